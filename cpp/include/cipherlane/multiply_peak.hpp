// What the processor's or the device's multiplier can do: the yardstick that the benchmark holds every operation
// against.
#pragma once

#include <string>

namespace cipherlane {

// Products a second of one core, all chains independent and in registers: for "ifma" the low or high half of a 52 x 52
// bit product, for "avx512" and "avx2" a whole 32 x 32 bit product, each in every lane; for "portable" a whole 64 x 64
// bit product. For "cuda" 32 x 32 bit products, each added to 64 bits, of the whole device. The best of several short
// runs, each timed by the calling thread's CPU clock, or by the device's. Throws BackendUnavailable.
double multiply_peak(const std::string& backend);

}  // namespace cipherlane
