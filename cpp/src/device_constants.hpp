// Constants of a modulus n as the kernels take them. They are made on the host by doublings in the digits x0 + x1 n, in
// the same time for all moduli of a length: a modulus may be a secret prime.
#pragma once

#include <cstdint>
#include <vector>

#include "../../kernels/batch_kernels.cuh"
#include "cipherlane/limbs.hpp"

namespace cipherlane {

using SecretWords = std::vector<std::uint32_t, WipingAllocator<std::uint32_t>>;

// The shortest shape whose L = threads * limbs limbs of 32 bits hold a modulus of that many bits, at most 4096.
kernels::Shape shape_for_bits(std::size_t bits);

class DeviceConstants {
 public:
  // n odd, above 1, its top limb not 0.
  DeviceConstants(const Limb* modulus, std::size_t limbs, std::size_t words);

  // As kernels::Modulus reads them: n | offset | R | R^2 | R^2 B
  SecretWords of_modulus() const;
  // c 2^first R^2 mod n^2 as x0 | x1, for each `first`; these rise.
  SecretWords lifted(const SecretLimbs& c, const std::vector<std::size_t>& firsts) const;

 private:
  SecretLimbs modulus_;
  std::size_t words_;  // L
};

}  // namespace cipherlane
