// Stands in for HEU's integer of any size in tests of the adapter: the signatures it uses, sign and magnitude.
#pragma once

#include <algorithm>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cipherlane/numbers.hpp"
#include "heu/library/algorithms/util/spi_traits.h"
#include "yacl/base/byte_container_view.h"

namespace yacl::math {

class MPInt {
 public:
  MPInt() = default;
  explicit MPInt(std::int64_t value)
      : limbs_{value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value)},
        negative_(value < 0) {}

  bool IsZero() const { return BitCount() == 0; }
  bool IsNegative() const { return negative_ && !IsZero(); }
  std::size_t BitCount() const { return cipherlane::bit_length(limbs_.data(), limbs_.size()); }
  void NegateInplace() { negative_ = !negative_; }
  int CompareAbs(const MPInt& other) const {
    const std::size_t limbs = std::max(limbs_.size(), other.limbs_.size());
    for (std::size_t i = limbs; i-- > 0;)
      if (limb(i) != other.limb(i)) return limb(i) < other.limb(i) ? -1 : 1;
    return 0;
  }
  bool operator==(const MPInt& other) const { return IsNegative() == other.IsNegative() && CompareAbs(other) == 0; }
  bool operator!=(const MPInt& other) const { return !(*this == other); }

  MPInt operator-() const {
    MPInt result = *this;
    result.NegateInplace();
    return result;
  }
  MPInt operator+(const MPInt& other) const {
    const bool swap = CompareAbs(other) < 0;
    const MPInt &large = swap ? other : *this, &small = swap ? *this : other;
    MPInt result;
    result.negative_ = large.negative_;
    result.limbs_.resize(large.limbs_.size() + 1);
    cipherlane::DoubleLimb carry = 0;
    for (std::size_t i = 0; i < result.limbs_.size(); ++i) {
      if (large.negative_ == small.negative_)
        carry += static_cast<cipherlane::DoubleLimb>(large.limb(i)) + small.limb(i);
      else
        carry = static_cast<cipherlane::DoubleLimb>(large.limb(i)) - small.limb(i) - (carry != 0 ? 1 : 0);
      result.limbs_[i] = static_cast<std::uint64_t>(carry);
      carry >>= 64;
    }
    return result;
  }
  MPInt operator-(const MPInt& other) const { return *this + -other; }
  MPInt operator*(const MPInt& other) const {
    MPInt result;
    result.negative_ = negative_ != other.negative_;
    result.limbs_.resize(limbs_.size() + other.limbs_.size());
    cipherlane::multiply(result.limbs_.data(), limbs_.data(), limbs_.size(), other.limbs_.data(), other.limbs_.size());
    return result;
  }

  std::size_t ToMagBytes(unsigned char* buf, std::size_t buf_len, yacl::Endian endian) const {
    const std::size_t bytes = (BitCount() + 7) / 8;
    if (bytes > buf_len || endian != yacl::Endian::little) throw std::invalid_argument("ToMagBytes");
    for (std::size_t i = 0; i < bytes; ++i) buf[i] = static_cast<unsigned char>(limbs_[i / 8] >> 8 * (i % 8));
    return bytes;
  }
  void FromMagBytes(yacl::ByteContainerView buffer, yacl::Endian endian) {
    if (endian != yacl::Endian::little) throw std::invalid_argument("FromMagBytes");
    limbs_.assign((buffer.size() + 7) / 8, 0);
    for (std::size_t i = 0; i < buffer.size(); ++i)
      limbs_[i / 8] |= static_cast<std::uint64_t>(buffer.data()[i]) << 8 * (i % 8);
    negative_ = false;
  }
  std::string ToHexString() const {
    return (IsNegative() ? "-" : "") + cipherlane::hex_from_limbs(limbs_.data(), limbs_.size());
  }

 private:
  std::uint64_t limb(std::size_t i) const { return i < limbs_.size() ? limbs_[i] : 0; }

  std::vector<std::uint64_t> limbs_;
  bool negative_ = false;
};

}  // namespace yacl::math

namespace heu::lib::algorithms {
using yacl::math::MPInt;
}  // namespace heu::lib::algorithms
