#include <stdexcept>

#include "cipherlane/ring.hpp"

namespace cipherlane {
namespace {

// The inverse of a single residue. With x y = 1 + t m for y = x^-1 mod m, x^-1 = y (1 - t m) mod m^2.
ResiduesPtr invert_one(const Ring& ring, const Limb* modulus, const Residues& x) {
  const std::size_t digits = ring.digit_limbs();
  Limbs d0(digits), d1(digits), inverse(ring.limbs(), 0);
  ring.download_digits(x, d0.data(), d1.data());
  if (!invert_vartime(inverse.data(), d0.data(), modulus, digits))
    throw std::domain_error("a ciphertext has a factor in common with the modulus and has no inverse");
  const ResiduesPtr y = ring.upload(inverse.data(), 1);
  ring.download_digits(*ring.multiply(x, *y), nullptr, d1.data());
  if (mask_zero(d1.data(), digits) == 0) subtract(d1.data(), modulus, d1.data(), digits);
  return ring.multiply_one_plus(*y, d1.data(), 1);
}

std::vector<std::int64_t> every_second(std::size_t count, std::int64_t first) {
  std::vector<std::int64_t> indices(count);
  for (std::size_t i = 0; i < count; ++i) indices[i] = first + 2 * static_cast<std::int64_t>(i);
  return indices;
}

}  // namespace

ResiduesPtr invert(const Ring& ring, const Limb* modulus, const ResiduesPtr& x) {
  const std::size_t count = x->count();
  if (count == 0) return x;
  if (count == 1) return invert_one(ring, modulus, *x);
  // Pairs (a, b) -> ab; from (ab)^-1 both inverses: a^-1 = b (ab)^-1, b^-1 = a (ab)^-1. An odd one goes up alone.
  const std::size_t pairs = count / 2;
  const ResiduesPtr a = ring.take(*x, every_second(pairs, 0).data(), pairs);
  const ResiduesPtr b = ring.take(*x, every_second(pairs, 1).data(), pairs);
  ResiduesPtr up = ring.multiply(*a, *b);
  const auto last = static_cast<std::int64_t>(count) - 1;
  if (count % 2 == 1) up = ring.concatenate({up, ring.take(*x, &last, 1)});
  const ResiduesPtr down = invert(ring, modulus, up);
  std::vector<std::int64_t> first_half(pairs);
  for (std::size_t i = 0; i < pairs; ++i) first_half[i] = static_cast<std::int64_t>(i);
  const ResiduesPtr paired = count % 2 == 1 ? ring.take(*down, first_half.data(), pairs) : down;
  const ResiduesPtr a_inverse = ring.multiply(*b, *paired);
  const ResiduesPtr b_inverse = ring.multiply(*a, *paired);
  // Interleave: [a_inverse | b_inverse | last] -> a0 b0 a1 b1 ... last
  std::vector<ResiduesPtr> parts{a_inverse, b_inverse};
  std::vector<std::int64_t> order(count);
  for (std::size_t i = 0; i < pairs; ++i) {
    order[2 * i] = static_cast<std::int64_t>(i);
    order[2 * i + 1] = static_cast<std::int64_t>(pairs + i);
  }
  if (count % 2 == 1) {
    const auto end = static_cast<std::int64_t>(pairs);
    parts.push_back(ring.take(*down, &end, 1));
    order[count - 1] = static_cast<std::int64_t>(2 * pairs);
  }
  return ring.take(*ring.concatenate(parts), order.data(), count);
}

}  // namespace cipherlane
