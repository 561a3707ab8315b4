#include "device_backend.hpp"

#include <algorithm>

#include "device_batch.hpp"
#include "device_ring.hpp"

namespace cipherlane {
namespace {

Device& the_device() {
  const DeviceChoice choice = choose_device();
  if (choice.device == nullptr) throw DeviceError(choice.reason);
  return *choice.device;
}

}  // namespace

bool is_device_usable() { return choose_device().device != nullptr; }

std::string why_no_device() { return choose_device().reason; }

std::unique_ptr<Ring> make_device_ring(const Limb* modulus, std::size_t limbs) {
  return std::make_unique<DeviceRing>(the_device(), modulus, limbs);
}

std::optional<DeviceInfo> device_info() {
  const DeviceChoice choice = choose_device();
  if (choice.device == nullptr) return std::nullopt;
  return choice.device->info();
}

double device_multiply_peak() {
  constexpr kernels::Shape kShape{8, 8};
  constexpr std::size_t kProductsOfStep = 8;
  constexpr int kRuns = 12;
  Device& device = the_device();
  const std::size_t threads = device.groups_at_once(kShape) * kShape.threads;
  DeviceBuffer<std::uint32_t> results(device, threads, false);
  kernels::MultiplyPeak kernel{};
  kernel.r = results.get();
  kernel.steps = device.info().emulated ? 50 : 20'000;
  kernel.count = threads / kShape.threads;
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const double seconds = device.seconds([&] { device.launch(kShape, kernel, kernel.count); });
    if (seconds > 0) best = std::max(best, static_cast<double>(threads * kProductsOfStep * kernel.steps) / seconds);
  }
  return best;
}

}  // namespace cipherlane
