// Products of powers on a device by Pippenger's buckets.
#pragma once

#include "device_products.hpp"

namespace cipherlane {

struct MultiPower {
  const DeviceBatch& x;
  const DeviceBatch* inverse;  // or null, where nothing is negative
  std::size_t columns;
  Numbers weights;
  const bool* negative;
  std::size_t rows, inner;
};

// r[i, c] <- prod_j x[j, c]^weights[i, j], with inverse[j, c] in place of x[j, c] where negative[i, j].
void multi_power(DeviceBatch& r, const DeviceModulus& modulus, const MultiPower& problem);

}  // namespace cipherlane
