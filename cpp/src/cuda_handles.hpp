// What CUDA's runtime gives out, owned; and every status checked.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>

namespace cipherlane {

// Throws DeviceError with the failing expression, its place and CUDA's message.
[[noreturn]] void throw_cuda_error(cudaError_t status, const char* expression, const char* file, int line);

inline void check_cuda(cudaError_t status, const char* expression, const char* file, int line) {
  if (status != cudaSuccess) throw_cuda_error(status, expression, file, line);
}
#define CIPHERLANE_CUDA(expression) check_cuda((expression), #expression, __FILE__, __LINE__)

// This thread's current device while it lives; the user's own choice comes back afterwards.
class CudaDeviceGuard {
 public:
  explicit CudaDeviceGuard(int index);
  ~CudaDeviceGuard();
  CudaDeviceGuard(const CudaDeviceGuard&) = delete;
  CudaDeviceGuard& operator=(const CudaDeviceGuard&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

// Not to be moved or copied: they live where they are made.
class CudaStream {
 public:
  CudaStream();
  ~CudaStream();
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class CudaEvent {
 public:
  explicit CudaEvent(bool timed);
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  cudaEvent_t get() const { return event_; }
  void record(cudaStream_t stream) const;
  void wait() const;

 private:
  cudaEvent_t event_ = nullptr;
};

// Host memory that the device reads and writes directly; overwritten before it is given back.
class PinnedMemory {
 public:
  explicit PinnedMemory(std::size_t bytes);
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  std::byte* data() const { return static_cast<std::byte*>(memory_); }
  std::size_t bytes() const { return bytes_; }

 private:
  void* memory_ = nullptr;
  std::size_t bytes_;
};

}  // namespace cipherlane
