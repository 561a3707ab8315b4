// Canonical big integers at the seams: little-endian 64-bit limbs, fixed width.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cipherlane/secure.hpp"

namespace cipherlane {

using Limb = std::uint64_t;
__extension__ using DoubleLimb = unsigned __int128;
constexpr std::size_t kLimbBits = 64;

using Limbs = std::vector<Limb>;
using SecretLimbs = std::vector<Limb, WipingAllocator<Limb>>;

constexpr std::size_t limbs_for_bits(std::size_t bits) { return (bits + kLimbBits - 1) / kLimbBits; }

// Number of significant bits; variable-time, for public numbers and public lengths.
std::size_t bit_length(const Limb* value, std::size_t limbs);

// The bits [first, first + count) of value, count <= 64; bits past the end read as zero.
Limb bits_at(const Limb* value, std::size_t limbs, std::size_t first, std::size_t count);

// The three below take the same time for all values of the same width.
// all ones when a < b, else zero
Limb mask_less(const Limb* a, const Limb* b, std::size_t limbs);
// all ones when a == 0, else zero
Limb mask_zero(const Limb* a, std::size_t limbs);
// r <- a - b, returns the borrow
Limb subtract(Limb* r, const Limb* a, const Limb* b, std::size_t limbs);

// r[0 .. a_limbs + b_limbs) <- a * b; r must not overlap a or b.
void multiply(Limb* r, const Limb* a, std::size_t a_limbs, const Limb* b, std::size_t b_limbs);

// r <- a^-1 mod m for odd m, 0 < a < m. Returns false when gcd(a, m) != 1. Binary extended Euclid.
bool invert_vartime(Limb* r, const Limb* a, const Limb* m, std::size_t limbs);

}  // namespace cipherlane
