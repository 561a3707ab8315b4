// CUDA's current device 0 as the device of this process; CUDA_VISIBLE_DEVICES says which that is.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "cuda_handles.hpp"
#include "cuda_transfers.hpp"
#include "device.hpp"
#include "device_fork.hpp"

namespace cipherlane {

class CudaDevice final : public Device {
 public:
  CudaDevice(int index, const cudaDeviceProp& properties);

  DeviceInfo info() const override { return info_; }
  std::size_t total_memory() const override { return info_.total_memory; }
  std::size_t free_memory() const override;
  std::size_t groups_at_once(kernels::Shape shape) const override;

  void* allocate(std::size_t bytes) override;
  void release(void* memory, std::size_t bytes, bool wipe) noexcept override;

  void upload(void* to, const void* from, std::size_t bytes) override;
  void download(void* to, const void* from, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void zero(void* memory, std::size_t bytes) override;
  void wait() override;
  void wait_for_stream(std::uintptr_t stream) override;
  void wait_for_everyone() override;
  void check_memory(const void* memory, std::size_t bytes) override;
  double seconds(const std::function<void()>& work) override;

#define CIPHERLANE_LAUNCH(Kernel) \
  void launch(kernels::Shape shape, const kernels::Kernel& kernel, std::size_t groups) override;
  CIPHERLANE_KERNELS(CIPHERLANE_LAUNCH)
#undef CIPHERLANE_LAUNCH
#define CIPHERLANE_LAUNCH(Kernel) void launch(const kernels::Kernel& kernel) override;
  CIPHERLANE_ITEM_KERNELS(CIPHERLANE_LAUNCH)
#undef CIPHERLANE_LAUNCH

 private:
  // The stream of a thread, lent to another when the thread ends.
  class StreamLoan;
  cudaStream_t stream();
  cudaError_t try_allocate(void** memory, std::size_t bytes);
  template <class Kernel>
  void launch_shape(kernels::Shape shape, const Kernel& kernel, std::size_t groups);

  ForkGuard fork_;
  DeviceInfo info_;
  std::vector<std::size_t> groups_at_once_;  // as kernels::kShapes
  cudaMemPool_t pool_ = nullptr;             // null where the device has none
  CudaTransfers transfers_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<CudaStream>> idle_streams_;
};

}  // namespace cipherlane
