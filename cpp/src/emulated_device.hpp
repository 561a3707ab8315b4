// What tests ask of the emulated device.
#pragma once

#include <cstdint>
#include <vector>

#include "emulated_memory.hpp"

namespace cipherlane {

EmulatedCounts emulated_counts();
void set_emulated_memory(std::size_t bytes);
void watch_emulated_memory(std::vector<std::uint8_t> bytes);

}  // namespace cipherlane
