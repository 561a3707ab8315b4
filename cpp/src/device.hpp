// A device that runs the kernels: what host code sees of it. CUDA is one (cuda_device.cpp); tests have another, which
// runs the same kernels on the host (emulated_device.cpp). A build has one of them or none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "../../kernels/batch_kernels.cuh"
#include "../../kernels/codec.cuh"
#include "cipherlane/device_info.hpp"

namespace cipherlane {

// Work is queued in the order of the calls of a thread; wait() returns when all of this thread's is done, and throws
// what went wrong in it. Memory may be given back as soon as the work that uses it is queued; another thread may use it
// once this one has waited. In a forked child everything throws, since no device survives a fork; only release does
// nothing there.
class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceInfo info() const = 0;
  virtual std::size_t total_memory() const = 0;
  virtual std::size_t free_memory() const = 0;
  // Groups of a shape that run at the same time.
  virtual std::size_t groups_at_once(kernels::Shape shape) const = 0;

  virtual void* allocate(std::size_t bytes) = 0;  // 256-byte aligned, throws DeviceOutOfMemory
  virtual void release(void* memory, std::size_t bytes, bool wipe) noexcept = 0;

  virtual void upload(void* to, const void* from, std::size_t bytes) = 0;    // `from` may change when it returns
  virtual void download(void* to, const void* from, std::size_t bytes) = 0;  // is done when it returns
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void zero(void* memory, std::size_t bytes) = 0;
  virtual void wait() = 0;

  // Other libraries work on the device too. What this thread queues from now on starts after what lies in a stream of
  // CUDA now (a handle; 1 and 2 are the default streams, as CUDA counts them); wait_for_everyone returns when all that
  // anyone queued is done.
  virtual void wait_for_stream(std::uintptr_t stream) = 0;
  virtual void wait_for_everyone() = 0;
  // Throws std::invalid_argument unless all these bytes are memory that this device reads.
  virtual void check_memory(const void* memory, std::size_t bytes) = 0;

  // How long the device takes for what `work` launches.
  virtual double seconds(const std::function<void()>& work) = 0;

  // groups >= kernel.count > 0
#define CIPHERLANE_LAUNCH(Kernel) \
  virtual void launch(kernels::Shape shape, const kernels::Kernel& kernel, std::size_t groups) = 0;
  CIPHERLANE_KERNELS(CIPHERLANE_LAUNCH)
#undef CIPHERLANE_LAUNCH
  // For each of its items, of which there are some.
#define CIPHERLANE_LAUNCH(Kernel) virtual void launch(const kernels::Kernel& kernel) = 0;
  CIPHERLANE_ITEM_KERNELS(CIPHERLANE_LAUNCH)
#undef CIPHERLANE_LAUNCH
};

// The device of this process and, where there is none, why.
struct DeviceChoice {
  Device* device;
  std::string reason;
};
DeviceChoice choose_device();

// Memory of a device. What is secret is overwritten before it is given back.
template <class T>
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(Device& device, std::size_t elements, bool secret)
      : device_(&device),
        elements_(elements),
        secret_(secret),
        memory_(elements == 0 ? nullptr : static_cast<T*>(device.allocate(elements * sizeof(T)))) {}
  ~DeviceBuffer() {
    if (memory_ != nullptr) device_->release(memory_, elements_ * sizeof(T), secret_);
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : device_(other.device_),
        elements_(std::exchange(other.elements_, 0)),
        secret_(other.secret_),
        memory_(std::exchange(other.memory_, nullptr)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(elements_, other.elements_);
    std::swap(secret_, other.secret_);
    std::swap(memory_, other.memory_);
    return *this;
  }

  std::size_t elements() const { return elements_; }
  kernels::DevicePointer<T> get() { return kernels::DevicePointer<T>(memory_); }
  kernels::DevicePointer<const T> get() const { return kernels::DevicePointer<const T>(memory_); }
  void upload(const T* from) {
    if (elements_ != 0) device_->upload(memory_, from, elements_ * sizeof(T));
  }

 private:
  Device* device_ = nullptr;
  std::size_t elements_ = 0;
  bool secret_ = false;
  T* memory_ = nullptr;
};

}  // namespace cipherlane
