// The backends that keep one ciphertext in each lane of a vector.
#pragma once

#include <memory>

#include "cipherlane/ring.hpp"
#include "vector_kernels.hpp"

namespace cipherlane {

// Whether this processor has the instructions and its operating system saves their registers.
template <class Isa>
bool is_usable();

template <class Isa>
std::unique_ptr<Ring> make_vector_ring(const Limb* modulus, std::size_t limbs);

}  // namespace cipherlane
