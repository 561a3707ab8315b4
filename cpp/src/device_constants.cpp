#include "device_constants.hpp"

#include <stdexcept>

namespace cipherlane {
namespace {

constexpr std::size_t kWordBits = 32;

// x0 + x1 n below n^2, both digits below n.
class Digits {
 public:
  explicit Digits(const SecretLimbs& modulus)
      : modulus_(modulus), x0_(modulus.size(), 0), x1_(modulus.size(), 0), difference_(modulus.size()) {}

  // x <- 2 x + bit mod n^2
  void double_and_add(Limb bit) { double_digit(x1_, double_digit(x0_, bit)); }
  // x <- 2^times x mod n^2
  void shift(std::size_t times) {
    for (; times > 0; --times) double_and_add(0);
  }
  const SecretLimbs& low() const { return x0_; }
  const SecretLimbs& high() const { return x1_; }

 private:
  // x <- 2 x + bit mod n; returns whether n was taken away. x <= n - 1 and bit <= 1, so 2 x + bit < 2n.
  Limb double_digit(SecretLimbs& x, Limb bit) {
    Limb carry = bit;
    for (Limb& limb : x) {
      const Limb top = limb >> (kLimbBits - 1);
      limb = limb << 1 | carry;
      carry = top;
    }
    const Limb below = subtract(difference_.data(), x.data(), modulus_.data(), x.size());
    const Limb reduced = carry | (1 - below);
    const Limb mask = 0 - reduced;
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = (x[i] & ~mask) | (difference_[i] & mask);
    return reduced;
  }

  const SecretLimbs& modulus_;
  SecretLimbs x0_, x1_, difference_;
};

void append(SecretWords& to, const SecretLimbs& number, std::size_t words) {
  for (std::size_t i = 0; i < words; ++i)
    to.push_back(static_cast<std::uint32_t>(bits_at(number.data(), number.size(), i * kWordBits, kWordBits)));
}

void append(SecretWords& to, const Digits& x, std::size_t words) {
  append(to, x.low(), words);
  append(to, x.high(), words);
}

}  // namespace

kernels::Shape shape_for_bits(std::size_t bits) {
  for (const kernels::Shape shape : kernels::kShapes)
    if (bits <= kWordBits * static_cast<std::size_t>(shape.threads * shape.limbs)) return shape;
  throw std::invalid_argument("modulus: expected at most 4096 bits, got " + std::to_string(bits));
}

DeviceConstants::DeviceConstants(const Limb* modulus, std::size_t limbs, std::size_t words)
    : modulus_(modulus, modulus + limbs), words_(words) {}

SecretWords DeviceConstants::of_modulus() const {
  const std::size_t shift_of_r = kWordBits * (words_ + 1);
  SecretWords constants;
  constants.reserve(8 * words_);
  append(constants, modulus_, words_);
  Digits x(modulus_);
  x.double_and_add(1);
  x.shift(shift_of_r);
  // offset = 1 - R mod n: n - (R mod n) lies in [1, n), since n is odd; then 1 more, and 0 for n.
  SecretLimbs offset(modulus_.size()), reduced(modulus_.size());
  subtract(offset.data(), modulus_.data(), x.low().data(), offset.size());
  Limb carry = 1;
  for (Limb& limb : offset) {
    limb += carry;
    carry &= mask_zero(&limb, 1);
  }
  const Limb keep = 0 - subtract(reduced.data(), offset.data(), modulus_.data(), offset.size());
  for (std::size_t i = 0; i < offset.size(); ++i) offset[i] &= keep;
  append(constants, offset, words_);
  append(constants, x, words_);
  x.shift(shift_of_r);
  append(constants, x, words_);
  x.shift(kWordBits * words_);
  append(constants, x, words_);
  return constants;
}

SecretWords DeviceConstants::lifted(const SecretLimbs& c, const std::vector<std::size_t>& firsts) const {
  Digits x(modulus_);
  for (std::size_t bit = c.size() * kLimbBits; bit-- > 0;) x.double_and_add(bits_at(c.data(), c.size(), bit, 1));
  x.shift(2 * kWordBits * (words_ + 1));
  SecretWords constants;
  constants.reserve(firsts.size() * 2 * words_);
  std::size_t shifted = 0;
  for (const std::size_t first : firsts) {
    x.shift(first - shifted);
    shifted = first;
    append(constants, x, words_);
  }
  return constants;
}

}  // namespace cipherlane
