#include "cuda_device.hpp"

#include <limits>
#include <stdexcept>
#include <string>

#include "../../kernels/launch.cuh"

namespace cipherlane {

CudaDevice::CudaDevice(int index, const cudaDeviceProp& properties) {
  info_.name = properties.name;
  info_.index = index;
  info_.total_memory = properties.totalGlobalMem;
  info_.compute_major = properties.major;
  info_.compute_minor = properties.minor;
  info_.emulated = false;
  CIPHERLANE_CUDA(cudaDriverGetVersion(&info_.driver_version));
  CIPHERLANE_CUDA(cudaRuntimeGetVersion(&info_.runtime_version));
  const CudaDeviceGuard guard(index);
#define CIPHERLANE_COUNT(T, W)                                          \
  {                                                                     \
    std::size_t groups = 0;                                             \
    CIPHERLANE_CUDA(kernels::groups_at_once_##T##x##W(index, &groups)); \
    groups_at_once_.push_back(groups);                                  \
  }
  CIPHERLANE_SHAPES(CIPHERLANE_COUNT)
#undef CIPHERLANE_COUNT
  int has_pools = 0;
  CIPHERLANE_CUDA(cudaDeviceGetAttribute(&has_pools, cudaDevAttrMemoryPoolsSupported, index));
  if (has_pools == 0) return;
  // A pool of its own: what it keeps, and when it gives it back, is nobody else's business.
  cudaMemPoolProps wanted{};
  wanted.allocType = cudaMemAllocationTypePinned;
  wanted.location.type = cudaMemLocationTypeDevice;
  wanted.location.id = index;
  CIPHERLANE_CUDA(cudaMemPoolCreate(&pool_, &wanted));
  // What is freed stays with the process up to a quarter of the device's memory.
  std::uint64_t kept = info_.total_memory / 4;
  CIPHERLANE_CUDA(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &kept));
}

class CudaDevice::StreamLoan {
 public:
  explicit StreamLoan(CudaDevice& device) : device_(device) {
    const std::lock_guard<std::mutex> lock(device.mutex_);
    if (device.idle_streams_.empty()) {
      stream_ = std::make_unique<CudaStream>();
    } else {
      stream_ = std::move(device.idle_streams_.back());
      device.idle_streams_.pop_back();
    }
  }
  ~StreamLoan() {
    if (device_.fork_.forked()) {
      (void)stream_.release();
      return;
    }
    const std::lock_guard<std::mutex> lock(device_.mutex_);
    try {
      device_.idle_streams_.push_back(std::move(stream_));
    } catch (const std::bad_alloc&) {
      // The stream is destroyed instead.
    }
  }
  StreamLoan(const StreamLoan&) = delete;
  StreamLoan& operator=(const StreamLoan&) = delete;
  cudaStream_t get() const { return stream_->get(); }

 private:
  CudaDevice& device_;
  std::unique_ptr<CudaStream> stream_;
};

cudaStream_t CudaDevice::stream() {
  // There is one device in a process.
  thread_local const StreamLoan loan(*this);
  return loan.get();
}

std::size_t CudaDevice::free_memory() const {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
  std::size_t free = 0, total = 0;
  CIPHERLANE_CUDA(cudaMemGetInfo(&free, &total));
  if (pool_ == nullptr) return free;
  std::uint64_t reserved = 0, used = 0;
  CIPHERLANE_CUDA(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemCurrent, &reserved));
  CIPHERLANE_CUDA(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrUsedMemCurrent, &used));
  return free + static_cast<std::size_t>(reserved - used);
}

std::size_t CudaDevice::groups_at_once(kernels::Shape shape) const {
  std::size_t i = 0;
  while (kernels::kShapes[i].threads != shape.threads || kernels::kShapes[i].limbs != shape.limbs) ++i;
  return groups_at_once_[i];
}

cudaError_t CudaDevice::try_allocate(void** memory, std::size_t bytes) {
  const cudaError_t status =
      pool_ == nullptr ? cudaMalloc(memory, bytes) : cudaMallocFromPoolAsync(memory, bytes, pool_, stream());
  if (status == cudaErrorMemoryAllocation) (void)cudaGetLastError();
  return status;
}

void* CudaDevice::allocate(std::size_t bytes) {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
  void* memory = nullptr;
  cudaError_t status = try_allocate(&memory, bytes);
  if (status == cudaErrorMemoryAllocation && pool_ != nullptr) {
    // What the pool keeps in pieces too small.
    wait();
    CIPHERLANE_CUDA(cudaMemPoolTrimTo(pool_, 0));
    status = try_allocate(&memory, bytes);
  }
  if (status == cudaErrorMemoryAllocation) throw DeviceOutOfMemory(bytes, free_memory(), total_memory());
  check_cuda(status, "allocation of device memory", __FILE__, __LINE__);
  return memory;
}

// Errors show at the next wait of this thread: those of the device stay.
void CudaDevice::release(void* memory, std::size_t bytes, bool wipe) noexcept {
  if (fork_.forked()) return;
  try {
    const CudaDeviceGuard guard(info_.index);
    if (wipe) (void)cudaMemsetAsync(memory, 0, bytes, stream());
    if (pool_ == nullptr) {
      (void)cudaStreamSynchronize(stream());
      (void)cudaFree(memory);
    } else {
      (void)cudaFreeAsync(memory, stream());
    }
  } catch (const std::exception&) {
    // The process ends, or the device has failed: its memory goes with it.
  }
}

void CudaDevice::upload(void* to, const void* from, std::size_t bytes) {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
  transfers_.upload(to, from, bytes, stream());
}

void CudaDevice::download(void* to, const void* from, std::size_t bytes) {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
  transfers_.download(to, from, bytes, stream());
}

void CudaDevice::copy(void* to, const void* from, std::size_t bytes) {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
  CIPHERLANE_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()));
}

void CudaDevice::zero(void* memory, std::size_t bytes) {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
  CIPHERLANE_CUDA(cudaMemsetAsync(memory, 0, bytes, stream()));
}

void CudaDevice::wait() {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
  CIPHERLANE_CUDA(cudaStreamSynchronize(stream()));
}

void CudaDevice::wait_for_stream(std::uintptr_t stream_of_others) {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
  static_assert(sizeof(cudaStream_t) == sizeof stream_of_others, "handles are passed as numbers");
  const CudaEvent reached(false);
  reached.record(reinterpret_cast<cudaStream_t>(stream_of_others));
  CIPHERLANE_CUDA(cudaStreamWaitEvent(stream(), reached.get(), 0));
}

void CudaDevice::wait_for_everyone() {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
  CIPHERLANE_CUDA(cudaDeviceSynchronize());
}

// Both ends: what lies between belongs to whoever says that it is one array.
void CudaDevice::check_memory(const void* memory, std::size_t bytes) {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
  const auto first = reinterpret_cast<std::uintptr_t>(memory);
  for (const std::uintptr_t end : {first, first + bytes - 1}) {
    cudaPointerAttributes found{};
    CIPHERLANE_CUDA(cudaPointerGetAttributes(&found, reinterpret_cast<const void*>(end)));
    if (found.type == cudaMemoryTypeManaged || (found.type == cudaMemoryTypeDevice && found.device == info_.index))
      continue;
    const std::string place = found.type == cudaMemoryTypeDevice ? "cuda:" + std::to_string(found.device) : "the host";
    throw std::invalid_argument("address: expected memory of cuda:" + std::to_string(info_.index) +
                                ", got other memory (of " + place + ")");
  }
}

double CudaDevice::seconds(const std::function<void()>& work) {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
  const CudaEvent start(true), end(true);
  start.record(stream());
  work();
  end.record(stream());
  end.wait();
  float milliseconds = 0;
  CIPHERLANE_CUDA(cudaEventElapsedTime(&milliseconds, start.get(), end.get()));
  return 1e-3 * static_cast<double>(milliseconds);
}

template <class Kernel>
void CudaDevice::launch_shape(kernels::Shape shape, const Kernel& kernel, std::size_t groups) {
  fork_.check();
  const CudaDeviceGuard guard(info_.index);
#define CIPHERLANE_CASE(T, W)                                             \
  if (shape.threads == T && shape.limbs == W) {                           \
    CIPHERLANE_CUDA(kernels::launch_##T##x##W(kernel, groups, stream())); \
    return;                                                               \
  }
  CIPHERLANE_SHAPES(CIPHERLANE_CASE)
#undef CIPHERLANE_CASE
  throw DeviceError("launch: no kernels of " + std::to_string(shape.threads) + " threads with " +
                    std::to_string(shape.limbs) + " limbs");
}

#define CIPHERLANE_LAUNCH(Kernel)                                                                    \
  void CudaDevice::launch(kernels::Shape shape, const kernels::Kernel& kernel, std::size_t groups) { \
    launch_shape(shape, kernel, groups);                                                             \
  }
CIPHERLANE_KERNELS(CIPHERLANE_LAUNCH)
#undef CIPHERLANE_LAUNCH

#define CIPHERLANE_LAUNCH(Kernel)                             \
  void CudaDevice::launch(const kernels::Kernel& kernel) {    \
    fork_.check();                                            \
    const CudaDeviceGuard guard(info_.index);                 \
    CIPHERLANE_CUDA(kernels::launch_items(kernel, stream())); \
  }
CIPHERLANE_ITEM_KERNELS(CIPHERLANE_LAUNCH)
#undef CIPHERLANE_LAUNCH

namespace {

DeviceChoice find_cuda_device() {
  constexpr int kIndex = 0;
  int count = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
  cudaDeviceProp properties{};
  if (status == cudaSuccess && count > kIndex) status = cudaGetDeviceProperties(&properties, kIndex);
  if (status != cudaSuccess) {
    (void)cudaGetLastError();
    return {nullptr, std::string("CUDA finds no device: ") + cudaGetErrorString(status)};
  }
  if (count == 0) return {nullptr, "CUDA finds no device"};
  if (10 * properties.major + properties.minor < 75)
    return {nullptr, std::string(properties.name) + " has compute capability " + std::to_string(properties.major) +
                         "." + std::to_string(properties.minor) + ", and 7.5 is the least"};
  try {
    // For ever: batches may outlive static objects.
    return {new CudaDevice(kIndex, properties), ""};
  } catch (const DeviceError& error) {
    return {nullptr, error.what()};
  }
}

}  // namespace

// The first question brings CUDA to life, and a fork before the answer would leave a child that waits for it for ever.
DeviceChoice choose_device() {
  static const ForkGuard fork;
  if (fork.forked()) return {nullptr, kForkedMessage};
  static const DeviceChoice choice = [] {
    const ForkDelay delay;
    return find_cuda_device();
  }();
  return choice;
}

}  // namespace cipherlane
