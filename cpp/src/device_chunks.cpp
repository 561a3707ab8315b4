#include "device_chunks.hpp"

#include <algorithm>
#include <chrono>

#include "cipherlane/parallel.hpp"

namespace cipherlane {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kWanted{100};

// Products one after the other, of all groups that run at once, in a first chunk: some 40 ms on a GPU.
constexpr double kProductsAtFirst = 2000;
constexpr std::size_t kMostHostBytes = std::size_t{256} << 20;

}  // namespace

std::size_t temporary_bytes(const Device& device) { return std::max<std::size_t>(device.total_memory() / 16, 1); }

void in_chunks(Device& device, kernels::Shape shape, std::size_t count, ElementCost cost,
               const std::function<void(std::size_t, std::size_t)>& body) {
  if (count == 0) return;
  const std::size_t together = device.groups_at_once(shape);
  const std::size_t most =
      std::clamp<std::size_t>(std::min(temporary_bytes(device) / std::max<std::size_t>(cost.bytes, 1),
                                       kMostHostBytes / std::max<std::size_t>(cost.host_bytes, 1)),
                              1, kMostElements);
  const double rounds = std::max(1.0, kProductsAtFirst / std::max(cost.products, 1.0));
  std::size_t limit = std::min(most, static_cast<std::size_t>(rounds) * together);
  for (std::size_t first = 0; first < count;) {
    check_interrupt();
    const std::size_t size = std::min(limit, count - first);
    const auto start = Clock::now();
    try {
      body(first, size);
      device.wait();
    } catch (const DeviceOutOfMemory&) {
      if (size == 1) throw;
      device.wait();  // what the body gave back is there again
      limit = size / 2;
      continue;
    }
    first += size;
    const auto taken = Clock::now() - start;
    if (size < limit) continue;
    if (taken < kWanted / 2)
      limit = std::min(most, 2 * limit);
    else if (taken > kWanted)
      limit = std::max(std::min(limit, together), limit / 2);
  }
}

}  // namespace cipherlane
