// The backend that runs everywhere: one number at a time, on all threads.
#pragma once

#include <memory>

#include "cipherlane/ring.hpp"

namespace cipherlane::portable {

std::unique_ptr<Ring> make_ring(const Limb* modulus, std::size_t limbs);

}  // namespace cipherlane::portable
