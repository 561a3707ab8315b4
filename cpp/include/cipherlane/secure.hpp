// Memory that held a secret is overwritten before it is given back.
#pragma once

#include <cstddef>
#include <memory>

namespace cipherlane {

// Overwrites memory in a way that the optimiser may not remove.
void wipe(void* memory, std::size_t bytes) noexcept;

template <class T>
struct WipingAllocator {
  using value_type = T;

  WipingAllocator() = default;
  template <class U>
  WipingAllocator(const WipingAllocator<U>&) noexcept {}

  T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* memory, std::size_t count) noexcept {
    wipe(memory, count * sizeof(T));
    std::allocator<T>().deallocate(memory, count);
  }
  template <class U>
  bool operator==(const WipingAllocator<U>&) const noexcept {
    return true;
  }
  template <class U>
  bool operator!=(const WipingAllocator<U>&) const noexcept {
    return false;
  }
};

// A value on the stack that is overwritten when it leaves scope.
template <class T>
struct Wiped {
  T value;
  ~Wiped() { wipe(&value, sizeof(T)); }
};

}  // namespace cipherlane
