// What is known of the device that the backend "cuda" runs on, and its errors.
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>

namespace cipherlane {

struct DeviceInfo {
  std::string name;
  int index;  // as CUDA counts: of those that CUDA_VISIBLE_DEVICES leaves
  std::size_t total_memory;
  int compute_major, compute_minor;
  int driver_version, runtime_version;  // 1000 major + 10 minor
  bool emulated;
};

// The device, or none where the backend "cuda" cannot be used.
std::optional<DeviceInfo> device_info();

// A device refused: what was asked of it, and its answer.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// There is no room for that many bytes.
class DeviceOutOfMemory : public DeviceError {
 public:
  DeviceOutOfMemory(std::size_t asked, std::size_t free, std::size_t total);
  std::size_t asked() const { return asked_; }

 private:
  std::size_t asked_;
};

}  // namespace cipherlane
