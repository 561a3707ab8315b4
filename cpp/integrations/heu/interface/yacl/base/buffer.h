// Stands in for yacl's buffer in tests of the adapter: the signatures it uses, nothing else.
#pragma once

#include <cstdint>
#include <vector>

namespace yacl {

class Buffer {
 public:
  Buffer(const void* data, std::size_t size)
      : bytes_(static_cast<const std::uint8_t*>(data), static_cast<const std::uint8_t*>(data) + size) {}
  template <class T = void>
  const T* data() const {
    return reinterpret_cast<const T*>(bytes_.data());
  }
  std::int64_t size() const { return static_cast<std::int64_t>(bytes_.size()); }

 private:
  std::vector<std::uint8_t> bytes_;
};

}  // namespace yacl
