// Stands in for abseil's span in tests of the adapter: the signatures it uses, nothing else.
#pragma once

#include <cstddef>
#include <type_traits>
#include <vector>

namespace absl {

template <class T>
class Span {
 public:
  Span(T* data, std::size_t size) : data_(data), size_(size) {}
  template <class Element, class = std::enable_if_t<std::is_convertible_v<const Element*, T*>>>
  Span(const std::vector<Element>& values) : data_(values.data()), size_(values.size()) {}

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) const { return data_[i]; }
  T* begin() const { return data_; }
  T* end() const { return data_ + size_; }

 private:
  T* data_;
  std::size_t size_;
};

}  // namespace absl
