#include <numeric>
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
  return ring.multiply_one_plus(*y, {d1.data(), digits}, 1);
}

// x[begin .. end)
ResiduesPtr part(const Ring& ring, const Residues& x, std::size_t begin, std::size_t end) {
  std::vector<std::int64_t> indices(end - begin);
  std::iota(indices.begin(), indices.end(), static_cast<std::int64_t>(begin));
  return ring.take(x, indices.data(), indices.size());
}

}  // namespace

ResiduesPtr invert(const Ring& ring, const Limb* modulus, const ResiduesPtr& x) {
  const std::size_t count = x->count();
  if (count == 0) return x;
  if (count == 1) return invert_one(ring, modulus, *x);
  // Two halves a, b -> ab; from (ab)^-1 both inverses: a^-1 = b (ab)^-1, b^-1 = a (ab)^-1. What is left over goes up as
  // it is. Halves of a multiple of all numbers of lanes are moved group by group.
  constexpr std::size_t kMostLanes = 8;
  std::size_t half = count / 2;
  if (half > kMostLanes) half -= half % kMostLanes;
  const ResiduesPtr a = part(ring, *x, 0, half);
  const ResiduesPtr b = part(ring, *x, half, 2 * half);
  ResiduesPtr up = ring.multiply(*a, *b);
  const bool rest = 2 * half < count;
  if (rest) up = ring.concatenate({up, part(ring, *x, 2 * half, count)});
  const ResiduesPtr down = invert(ring, modulus, up);
  const ResiduesPtr both = rest ? part(ring, *down, 0, half) : down;
  std::vector<ResiduesPtr> parts{ring.multiply(*b, *both), ring.multiply(*a, *both)};
  if (rest) parts.push_back(part(ring, *down, half, down->count()));
  return ring.concatenate(parts);
}

}  // namespace cipherlane
