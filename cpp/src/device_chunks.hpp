// Long batches run on a device in chunks: short enough that an interrupt is answered, and that their temporary memory
// has room.
#pragma once

#include <cstddef>
#include <functional>

#include "device.hpp"

namespace cipherlane {

// What one element of a batch takes.
struct ElementCost {
  double products;             // mod n^2, about: sizes the first chunk; later ones go by the clock
  std::size_t bytes = 0;       // of temporary memory on the device
  std::size_t host_bytes = 0;  // and on the host
};

// A chunk has no more.
constexpr std::size_t kMostElements = std::size_t{1} << 25;

// Calls body(first, count) for ranges one after the other that cover [0, count), and waits for the device after each.
// Where the device has no room for what a body allocates, the range is halved and tried again: a body must start anew
// when called twice. Rethrows DeviceOutOfMemory where even one element has no room.
void in_chunks(Device& device, kernels::Shape shape, std::size_t count, ElementCost cost,
               const std::function<void(std::size_t, std::size_t)>& body);

// Temporary memory that an operation may plan with.
std::size_t temporary_bytes(const Device& device);

}  // namespace cipherlane
