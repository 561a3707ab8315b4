// SHA-256 of public data (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace cipherlane {

class Sha256 {
 public:
  void update(const void* data, std::size_t bytes);
  std::array<std::uint8_t, 32> finish();

 private:
  void compress(const std::uint8_t* block);

  std::uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::uint8_t block_[64] = {};
  std::uint64_t bytes_ = 0;
};

}  // namespace cipherlane
