// Products of many residues on a device: by segments, and with an exponent each.
#pragma once

#include <vector>

#include "device_modulus.hpp"

namespace cipherlane {

class DeviceProducts {
 public:
  explicit DeviceProducts(const DeviceModulus& modulus) : modulus_(modulus) {}

  // r_s <- product of x[indices[i]], offsets[s] <= i < offsets[s+1]
  void segments(kernels::WordPointer r, kernels::ConstWordPointer x, const std::int64_t* indices,
                const std::int64_t* offsets, std::size_t segments) const;
  // r_i <- x[indices[i]], for less than 2^32 rows of x
  void gather(kernels::WordPointer r, kernels::ConstWordPointer x, const std::int64_t* indices,
              std::size_t count) const;

 private:
  void slab(kernels::WordPointer r, kernels::ConstWordPointer x, const std::int64_t* indices,
            const std::int64_t* offsets, std::size_t segments, std::size_t longest) const;

  const DeviceModulus& modulus_;
};

}  // namespace cipherlane
