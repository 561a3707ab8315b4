// Powers of one base on a device, from a table in factored form (kernels/power.cuh).
#pragma once

#include "device_modulus.hpp"

namespace cipherlane {

class DeviceTable final : public FixedBaseTable {
 public:
  // bases: two residues, the base and its inverse.
  DeviceTable(const DeviceModulus& modulus, const DeviceBatch& bases, std::size_t exponent_bits,
              std::size_t window_bits, Exponent kind);
  std::size_t window_bits() const override { return window_bits_; }
  std::size_t bytes() const override { return entries_.elements() * sizeof(std::uint32_t); }

  // r_i <- (1 + a_i m) base^(exponent_i)
  void power(DeviceBatch& result, const DeviceModulus& modulus, Numbers exponents, Numbers a) const;
  static WindowCosts costs(const DeviceModulus& modulus, Exponent kind);

 private:
  void fill(const DeviceModulus& modulus, kernels::WordPointer powers, kernels::ConstWordPointer chain,
            std::size_t windows) const;
  template <class Kernel>
  void launch_powers(DeviceBatch& result, const DeviceModulus& modulus, Numbers exponents, Numbers a) const;

  std::size_t windows_, window_bits_;
  Exponent kind_;
  DeviceBuffer<std::uint32_t> entries_;
};

}  // namespace cipherlane
