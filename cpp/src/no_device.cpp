// A build without the backend "cuda".
#include "device.hpp"

namespace cipherlane {

std::optional<DeviceInfo> device_info() { return std::nullopt; }

DeviceChoice choose_device() {
  return {nullptr, "this build of Cipherlane has no backend cuda: it was made without CUDA's compiler, nvcc"};
}

}  // namespace cipherlane
