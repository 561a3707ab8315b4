// Numbers that lie in a device's memory already: encoded, decoded, checked and copied there.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "cipherlane/ring.hpp"
#include "device.hpp"

namespace cipherlane {

// The first place of each kernels::Fault, kernels::kNowhere for none.
using Faults = std::array<std::uint64_t, kernels::kFaults>;

// Memory of a device that may be lent to other libraries. It holds secrets, so it is overwritten when nobody needs it
// any more, and if it was lent only when all that is queued on the device has ended.
class DeviceMemory {
 public:
  DeviceMemory(Device& device, std::size_t bytes);
  DeviceMemory(Device& device, PlainPtr numbers, std::size_t bytes);  // that of numbers on the device
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  void* address() const { return address_; }
  void* lend() {
    lent_ = true;
    return address_;
  }
  std::size_t bytes() const { return bytes_; }
  void upload(const void* from) { device_.upload(address_, from, bytes_); }
  void download(void* to) const { device_.download(to, address_, bytes_); }

 private:
  Device& device_;
  std::size_t bytes_;
  DeviceBuffer<unsigned char> own_;
  PlainPtr numbers_;
  void* address_;
  std::atomic<bool> lent_{false};
};
using DeviceMemoryPtr = std::shared_ptr<DeviceMemory>;

// All of these are done when they return. Of a kernel the caller fills what describes the values and the plaintexts;
// memory, modulus and faults are filled in here. There is at least one row.
std::pair<PlainPtr, Faults> encode_rows(Device& device, kernels::EncodeRows kernel, const Limbs& modulus);
// values: of 64 bits each, as many as there are.
std::pair<DeviceMemoryPtr, Faults> decode_rows(Device& device, kernels::DecodeRows kernel, Numbers plaintexts,
                                               std::size_t values, const Limbs& modulus);
// The first row that is zero or not below the modulus, kernels::kNowhere for none.
std::uint64_t first_out_of_range(Device& device, const Limb* rows, std::size_t count, const Limbs& modulus);
// The elements in C order, each of 2^log_bytes bytes.
DeviceMemoryPtr compact(Device& device, const kernels::Strided& from, std::uint32_t log_bytes, std::size_t count);

}  // namespace cipherlane
