// Between numbers and plaintexts: signed fixed point, several values a plaintext.
//
//   encode: v -> i = round(v 2^scale), ties to even;  plaintext = sum_k i_k 2^(slot_bits k) mod n
// A negative sum is stored as n minus its magnitude. Slots hold signed digits below 2^(slot_bits-1) in magnitude.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cipherlane/limbs.hpp"

namespace cipherlane {

struct Packing {
  std::size_t scale_bits;
  std::size_t slots;      // values a plaintext
  std::size_t slot_bits;  // 0 when slots is 1
};

// plaintexts: (ceil(count / slots), limbs). Throws std::overflow_error when a value does not fit, naming its index.
void encode(Limb* plaintexts, const double* values, std::size_t count, const Packing& packing, const Limb* modulus,
            std::size_t limbs);
void encode(Limb* plaintexts, const std::int64_t* values, std::size_t count, const Packing& packing,
            const Limb* modulus, std::size_t limbs);
void encode(Limb* plaintexts, const std::uint64_t* values, std::size_t count, const Packing& packing,
            const Limb* modulus, std::size_t limbs);

// The nearest double to i 2^-scale for each value.
void decode(double* values, const Limb* plaintexts, std::size_t count, const Packing& packing, const Limb* modulus,
            std::size_t limbs);
// Throws std::overflow_error when an integer does not fit; packing.scale_bits must be 0.
void decode(std::int64_t* values, const Limb* plaintexts, std::size_t count, const Packing& packing,
            const Limb* modulus, std::size_t limbs);

}  // namespace cipherlane
