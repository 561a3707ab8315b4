#include "cuda_handles.hpp"

#include <string>

#include "cipherlane/device_info.hpp"
#include "cipherlane/secure.hpp"

namespace cipherlane {

void throw_cuda_error(cudaError_t status, const char* expression, const char* file, int line) {
  (void)cudaGetLastError();  // or the next call would find the same error again
  const std::string path = file;
  const std::size_t slash = path.find_last_of('/');
  throw DeviceError(std::string(expression) + " at " + (slash == std::string::npos ? path : path.substr(slash + 1)) +
                    ":" + std::to_string(line) + " failed: " + cudaGetErrorName(status) + ", " +
                    cudaGetErrorString(status));
}

// What a destructor is answered is ignored below: it may run when the process ends and the runtime is gone.

CudaDeviceGuard::CudaDeviceGuard(int index) {
  CIPHERLANE_CUDA(cudaGetDevice(&before_));
  if (before_ == index) return;
  CIPHERLANE_CUDA(cudaSetDevice(index));
  changed_ = true;
}
CudaDeviceGuard::~CudaDeviceGuard() {
  if (changed_) (void)cudaSetDevice(before_);
}

CudaStream::CudaStream() { CIPHERLANE_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
CudaStream::~CudaStream() { (void)cudaStreamDestroy(stream_); }

CudaEvent::CudaEvent(bool timed) {
  CIPHERLANE_CUDA(cudaEventCreateWithFlags(&event_, timed ? cudaEventDefault : cudaEventDisableTiming));
}
CudaEvent::~CudaEvent() { (void)cudaEventDestroy(event_); }
void CudaEvent::record(cudaStream_t stream) const { CIPHERLANE_CUDA(cudaEventRecord(event_, stream)); }
void CudaEvent::wait() const { CIPHERLANE_CUDA(cudaEventSynchronize(event_)); }

PinnedMemory::PinnedMemory(std::size_t bytes) : bytes_(bytes) { CIPHERLANE_CUDA(cudaMallocHost(&memory_, bytes)); }
PinnedMemory::~PinnedMemory() {
  wipe(memory_, bytes_);
  (void)cudaFreeHost(memory_);
}

}  // namespace cipherlane
