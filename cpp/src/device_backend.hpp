// The backend "cuda", of the device there is.
#pragma once

#include <memory>
#include <string>

#include "cipherlane/ring.hpp"

namespace cipherlane {

bool is_device_usable();
std::string why_no_device();
std::unique_ptr<Ring> make_device_ring(const Limb* modulus, std::size_t limbs);
// Wide multiply-adds a second of the whole device.
double device_multiply_peak();

}  // namespace cipherlane
