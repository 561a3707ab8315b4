// The kernels that take one item a thread, and their launches.
#include "launch.cuh"

namespace cipherlane::kernels {
namespace {

constexpr int kBlockThreads = 128;

template <class Kernel>
__global__ void __launch_bounds__(kBlockThreads) run_items(const __grid_constant__ Kernel kernel) {
  const std::size_t index = thread_of_launch();
  if (index < kernel.count) kernel.run(index);
}

}  // namespace

template <class Kernel>
cudaError_t launch_items(const Kernel& kernel, cudaStream_t stream) {
  const std::size_t blocks = (kernel.count + kBlockThreads - 1) / kBlockThreads;
  if (blocks == 0 || blocks > 0x7fffffff) return cudaErrorInvalidValue;
  run_items<<<static_cast<unsigned>(blocks), kBlockThreads, 0, stream>>>(kernel);
  return cudaGetLastError();
}
#define CIPHERLANE_INSTANTIATE(Kernel) template cudaError_t launch_items(const Kernel&, cudaStream_t);
CIPHERLANE_ITEM_KERNELS(CIPHERLANE_INSTANTIATE)

}  // namespace cipherlane::kernels
