// What keys and batches share of fixed point: numbers to plaintexts, and the check of what came back.
#pragma once

#include <vector>

#include "cipherlane/cipherlane.hpp"
#include "cipherlane/codec.hpp"

namespace cipherlane::encoding {

constexpr FixedPoint kIntegers{0, 64};

inline Packing packing(std::size_t scale_bits) { return {scale_bits, 1, 0}; }

// The most bits that a bound may have: 2^(|n| - 2) is below half the modulus.
inline std::size_t most_bound_bits(const PublicKey& key) { return key.bits() - 2; }

// Throws std::overflow_error, naming the operation and the remedy, when a result could wrap.
void check_room(const char* operation, const PublicKey& key, std::size_t bound_bits);

// Throws std::overflow_error when numbers of a codec could wrap.
void check_codec(const PublicKey& key, FixedPoint codec);

// The number of rows of `limbs` limbs; throws std::invalid_argument when there is a rest.
std::size_t rows(const char* name, std::size_t values, std::size_t limbs);

// (values.size(), limbs of n) plaintexts. Throws std::overflow_error for a value that the codec does not accept, and
// std::invalid_argument for NaN and infinities; both name the index.
SecretLimbs encode(const PublicKey& key, const std::vector<double>& values, FixedPoint codec);
SecretLimbs encode(const PublicKey& key, const std::vector<std::int64_t>& values, FixedPoint codec);

// Throws std::invalid_argument, naming the index, when a value would be rounded to an integer.
void check_whole(const std::vector<double>& values);

// Throws std::invalid_argument when the absolute value of a plaintext is above 2^bound_bits.
void check_bound(const PublicKey& key, const SecretLimbs& plaintexts, std::size_t bound_bits);

}  // namespace cipherlane::encoding
