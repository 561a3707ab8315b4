// Runs a backend's arithmetic on numbers from standard input, so that a test can feed it any operands and check the
// results with its own integers. Each line: operation, modulus, then numbers in hexadecimal; answer: one or two
// numbers.
//
//   multiply m c x0 x1 y0 y1     square m c x0 x1     canonical m c x0 x1     join m c x0 x1
//   factored m c z carried t     mod m c a b          add m c a b
//
// c is a multiple of m with digits from 2^w to 2^(w+1) in radix 2^w, which backends with a table of constants are
// given. Neighbouring lines that agree in operation, modulus and c share the lanes of one call.
#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#ifdef CIPHERLANE_TEST_ISA
#include "../src/vector_kernels.hpp"
#else
#include "../src/portable_arithmetic.hpp"
#endif
#include "cipherlane/limbs.hpp"
#include "hexadecimal.hpp"

using namespace cipherlane;
using tests::limbs_from_hex;

namespace {

#ifdef CIPHERLANE_TEST_ISA
using Kernels = VectorKernels<CIPHERLANE_TEST_ISA>;
constexpr std::size_t kMostDigits = Kernels::kMostDigits;

class Arithmetic {
 public:
  static constexpr std::size_t kWidth = Kernels::kLanes, kRadixBits = Kernels::kRadixBits;
  Arithmetic(const std::string& modulus, const std::string& offset) {
    const Limbs m = limbs_from_hex(modulus), c = limbs_from_hex(offset);
    length = Kernels::digits_for_bits(bit_length(m.data(), m.size()));
    constants_.length = length;
    fill(m_, m, length);
    // c = sum_i (2^w + o_i) 2^(w i): what is left of it after sum_i 2^(w i) are the digits o_i.
    Limbs rest = c, ones(c.size(), 0);
    for (std::size_t i = 0; i < length; ++i) ones[kRadixBits * (i + 1) / 64] |= Limb{1} << kRadixBits * (i + 1) % 64;
    subtract(rest.data(), rest.data(), ones.data(), rest.size());
    fill(offset_, rest, length);
    for (std::size_t i = 0; i < length * kWidth; ++i) offset_[i] += Limb{1} << kRadixBits;
    Limb inverse = m[0];
    for (int step = 0; step < 5; ++step) inverse *= 2 - m[0] * inverse;
    constants_.m = m_;
    constants_.offset = offset_;
    constants_.negated_inverse = (0 - inverse) & ((Limb{1} << kRadixBits) - 1);
    constants_.set_blocks();
  }
  void multiply_pair(Limb* r, const Limb* x, const Limb* y) const { Kernels::multiply_pair(r, x, y, constants_); }
  void square_pair(Limb* r, const Limb* x) const { Kernels::square_pair(r, x, constants_); }
  void canonical_digits(Limb* a, Limb* b, const Limb* x) const { Kernels::canonical_digits(a, b, x, constants_); }
  void join_digits(Limb* v, const Limb* a, const Limb* b) const { Kernels::join_digits(v, a, b, constants_); }
  void multiply_factored(Limb* state, const Limb* entry) const {
    Kernels::multiply_factored(state, entry, constants_);
    Kernels::carry_digits(state + 2 * length * kWidth, constants_);
  }
  void multiply_mod(Limb* r, const Limb* a, const Limb* b) const { Kernels::multiply_mod(r, a, b, constants_); }
  void add_mod(Limb* r, const Limb* a, const Limb* b) const { Kernels::add_mod(r, a, b, constants_); }
  std::size_t length;

 private:
  static void fill(Limb* to, const Limbs& number, std::size_t digits) {
    for (std::size_t i = 0; i < digits * kWidth; ++i)
      to[i] = bits_at(number.data(), number.size(), i / kWidth * kRadixBits, kRadixBits);
  }
  alignas(64) Limb m_[kMostDigits * kWidth];
  alignas(64) Limb offset_[kMostDigits * kWidth];
  Kernels::Constants constants_{};
};
#else
using namespace cipherlane::portable;

class Arithmetic {
 public:
  static constexpr std::size_t kWidth = 1, kRadixBits = portable::kRadixBits;
  Arithmetic(const std::string& modulus, const std::string&) {
    const Limbs m = limbs_from_hex(modulus);
    modulus_ = std::make_unique<Modulus>(m.data(), m.size());
    length = modulus_->length;
  }
  void multiply_pair(Limb* r, const Limb* x, const Limb* y) const { portable::multiply_pair(r, x, y, *modulus_); }
  void square_pair(Limb* r, const Limb* x) const { portable::square_pair(r, x, *modulus_); }
  void canonical_digits(Limb* a, Limb* b, const Limb* x) const { portable::canonical_digits(a, b, x, *modulus_); }
  void join_digits(Limb* v, const Limb* a, const Limb* b) const { portable::join_digits(v, a, b, *modulus_); }
  void multiply_factored(Limb* state, const Limb* entry) const { portable::multiply_factored(state, entry, *modulus_); }
  void multiply_mod(Limb* r, const Limb* a, const Limb* b) const { portable::multiply_mod(r, a, b, *modulus_); }
  void add_mod(Limb* r, const Limb* a, const Limb* b) const { portable::add_mod(r, a, b, *modulus_); }
  std::size_t length;

 private:
  std::unique_ptr<Modulus> modulus_;
};
#endif

constexpr std::size_t kMostOperands = 5;
constexpr std::size_t kWidth = Arithmetic::kWidth;
constexpr std::size_t kHalf = kMostDigits * kWidth;

struct Line {
  std::string operation, modulus, offset;
  std::array<std::string, kMostOperands> operand;
};

void print(const Limb* digits, std::size_t length, std::size_t lane) {
  constexpr std::size_t kBits = Arithmetic::kRadixBits;
  Limbs number(length * kBits / 64 + 2, 0);
  for (std::size_t i = 0; i < length; ++i) {
    const Limb digit = digits[i * kWidth + lane];
    const std::size_t index = i * kBits / 64, shift = i * kBits % 64;
    number[index] |= digit << shift;
    if (shift != 0) number[index + 1] |= digit >> (64 - shift);
    if (digit >> kBits != 0) std::exit(3);  // a digit that was not carried
  }
  for (std::size_t i = number.size(); i-- > 0;) std::printf("%016llx", static_cast<unsigned long long>(number[i]));
}

void run(const std::vector<Line>& lines) {
  const Line& first = lines.front();
  const Arithmetic arithmetic(first.modulus, first.offset);
  const std::size_t length = arithmetic.length, half = length * kWidth;
  alignas(64) static Limb operand[kMostOperands][kHalf], x[3 * kHalf], y[2 * kHalf], r[3 * kHalf];
  for (std::size_t k = 0; k < kMostOperands; ++k)
    for (std::size_t lane = 0; lane < kWidth; ++lane) {
      const Limbs limbs = limbs_from_hex(lines[lane < lines.size() ? lane : 0].operand[k]);
      for (std::size_t i = 0; i < length; ++i)
        operand[k][i * kWidth + lane] =
            bits_at(limbs.data(), limbs.size(), i * Arithmetic::kRadixBits, Arithmetic::kRadixBits);
    }
  for (std::size_t i = 0; i < half; ++i) {
    x[i] = operand[0][i], x[half + i] = operand[1][i];
    y[i] = operand[2][i], y[half + i] = operand[3][i];
  }
  std::size_t answers = 2, width = length;
  if (first.operation == "multiply") {
    arithmetic.multiply_pair(r, x, y);
  } else if (first.operation == "square") {
    arithmetic.square_pair(r, x);
  } else if (first.operation == "canonical") {
    arithmetic.canonical_digits(r, r + half, x);
  } else if (first.operation == "join") {
    arithmetic.join_digits(r, x, x + half);
    answers = 1, width = 2 * length;
  } else if (first.operation == "factored") {
    // z, c and e = t; the entry is t, s = z
    for (std::size_t i = 0; i < half; ++i) {
      r[i] = operand[0][i], r[half + i] = operand[1][i], r[2 * half + i] = operand[2][i];
      y[i] = operand[2][i], y[half + i] = operand[0][i];
    }
    arithmetic.multiply_factored(r, y);
    answers = 3;
  } else if (first.operation == "mod") {
    arithmetic.multiply_mod(r, x, x + half);
    answers = 1;
  } else if (first.operation == "add") {
    arithmetic.add_mod(r, x, x + half);
    answers = 1;
  } else {
    std::cerr << "unknown operation: " << first.operation << "\n";
    std::exit(2);
  }
  for (std::size_t lane = 0; lane < lines.size(); ++lane) {
    for (std::size_t k = 0; k < answers; ++k) {
      print(r + k * width * kWidth, width, lane);
      std::printf(k + 1 < answers ? " " : "\n");
    }
  }
}

}  // namespace

int main() {
  std::vector<Line> together;
  std::string text;
  while (std::getline(std::cin, text)) {
    std::istringstream fields(text);
    Line line;
    fields >> line.operation >> line.modulus >> line.offset;
    for (auto& operand : line.operand)
      if (!(fields >> operand)) operand = "0";
    const bool fits = !together.empty() && together.size() < kWidth && together.front().operation == line.operation &&
                      together.front().modulus == line.modulus;
    if (!together.empty() && !fits) {
      run(together);
      together.clear();
    }
    together.push_back(line);
  }
  if (!together.empty()) run(together);
  return 0;
}
