// A modulus on a device: what every launch needs of it.
#pragma once

#include "device_batch.hpp"
#include "device_chunks.hpp"
#include "device_constants.hpp"

namespace cipherlane {

class DeviceModulus {
 public:
  DeviceModulus(Device& device, const DeviceConstants& constants, kernels::Shape shape)
      : device_(device), shape_(shape) {
    const SecretWords words = constants.of_modulus();
    constants_ = DeviceBuffer<std::uint32_t>(device, words.size(), true);
    constants_.upload(words.data());
    device.wait();
  }
  Device& device() const { return device_; }
  kernels::Shape shape() const { return shape_; }
  // Of a residue: 2 L.
  std::size_t row_words() const { return 2 * static_cast<std::size_t>(shape_.threads * shape_.limbs); }
  std::size_t row_bytes() const { return row_words() * sizeof(std::uint32_t); }
  kernels::ConstWordPointer constants() const { return constants_.get(); }
  // The row of 1, in Montgomery form: after the modulus and its offset, L words each.
  kernels::ConstWordPointer one() const { return constants() + row_words(); }

  DeviceBuffer<std::uint32_t> rows(std::size_t count, bool secret) const {
    return DeviceBuffer<std::uint32_t>(device_, count * row_words(), secret);
  }
  void copy_rows(kernels::WordPointer to, kernels::ConstWordPointer from, std::size_t count) const {
    if (count != 0) device_.copy(to.address(), from.address(), count * row_bytes());
  }
  template <class Kernel>
  void launch(const Kernel& kernel) const {
    device_.launch(shape_, kernel, kernel.count);
  }
  void in_chunks(std::size_t count, ElementCost cost, const std::function<void(std::size_t, std::size_t)>& body) const {
    cipherlane::in_chunks(device_, shape_, count, cost, body);
  }

 private:
  Device& device_;
  kernels::Shape shape_;
  DeviceBuffer<std::uint32_t> constants_;
};

}  // namespace cipherlane
