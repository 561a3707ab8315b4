// Runs the portable arithmetic on numbers from standard input, so that a test can feed it any operands and check the
// results with its own integers. Each line: operation, modulus, x0, x1, y0, y1 in hexadecimal; answer: two numbers.
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "../src/portable_arithmetic.hpp"

using namespace cipherlane;
using namespace cipherlane::portable;

namespace {

Limbs limbs_from_hex(const std::string& text) {
  Limbs limbs((text.size() + 15) / 16, 0);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[text.size() - 1 - i];
    const Limb nibble = static_cast<Limb>(c <= '9' ? c - '0' : c - 'a' + 10);
    limbs[i / 16] |= nibble << 4 * (i % 16);
  }
  return limbs;
}

std::string hex_from_digits(const Limb* digits, std::size_t length) {
  // 60 bits are 15 hexadecimal figures.
  std::string text;
  char part[16];
  for (std::size_t i = length; i-- > 0;) {
    std::snprintf(part, sizeof part, "%015llx", static_cast<unsigned long long>(digits[i]));
    text += part;
  }
  return text;
}

}  // namespace

int main() {
  std::string line, last_modulus;
  std::unique_ptr<Modulus> modulus;
  while (std::getline(std::cin, line)) {
    std::istringstream fields(line);
    std::string operation, m, operand[4];
    fields >> operation >> m >> operand[0] >> operand[1] >> operand[2] >> operand[3];
    if (m != last_modulus) {
      const Limbs limbs = limbs_from_hex(m);
      modulus = std::make_unique<Modulus>(limbs.data(), limbs.size());
      last_modulus = m;
    }
    const std::size_t length = modulus->length;
    Limb x[2 * kMostDigits], y[2 * kMostDigits], r[2 * kMostDigits];
    for (int i = 0; i < 4; ++i) {
      const Limbs limbs = limbs_from_hex(operand[i]);
      digits_from_limbs((i < 2 ? x : y) + (i % 2 ? length : 0), length, limbs.data(), limbs.size());
    }
    if (operation == "multiply") {
      multiply_pair(r, x, y, *modulus);
    } else if (operation == "square") {
      square_pair(r, x, *modulus);
    } else if (operation == "canonical") {
      canonical_digits(r, r + length, x, *modulus);
    } else {
      std::cerr << "unknown operation: " << operation << "\n";
      return 2;
    }
    std::cout << hex_from_digits(r, length) << " " << hex_from_digits(r + length, length) << "\n";
  }
  return 0;
}
