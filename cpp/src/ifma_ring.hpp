// The backend for AVX-512 IFMA: eight ciphertexts a vector.
#pragma once

#include <memory>

#include "cipherlane/ring.hpp"

namespace cipherlane::ifma {

// Whether this processor has the instructions and its operating system saves their registers.
bool usable();

std::unique_ptr<Ring> make_ring(const Limb* modulus, std::size_t limbs);

}  // namespace cipherlane::ifma
