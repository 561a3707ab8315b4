// Stands in for yacl's view of bytes in tests of the adapter: the signatures it uses, nothing else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "yacl/base/buffer.h"

namespace yacl {

class ByteContainerView {
 public:
  ByteContainerView(const void* data, std::size_t size) : data_(static_cast<const std::uint8_t*>(data)), size_(size) {}
  ByteContainerView(const Buffer& buffer)
      : data_(buffer.data<std::uint8_t>()), size_(static_cast<std::size_t>(buffer.size())) {}
  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

}  // namespace yacl
