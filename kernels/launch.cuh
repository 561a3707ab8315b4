// The kernels' launches, for host code: plain C++ with cuda_runtime_api.h. launch.cu defines those of one shape.
#pragma once

#include <cuda_runtime_api.h>

#include "batch_kernels.cuh"
#include "codec.cuh"

namespace cipherlane::kernels {

// For each shape, such as 8x8:
//   launch_8x8(kernel, groups, stream)  queues a kernel of CIPHERLANE_KERNELS with at least so many groups, of 8
//   threads
//                                       with 8 limbs each; groups > 0. Returns what cudaGetLastError does.
//   groups_at_once_8x8(device, groups)  groups <- how many of a kernel with scratch run at the same time on the current
//                                       device, whose number is `device`.
#define CIPHERLANE_LAUNCHES(T, W)                                                              \
  template <class Kernel>                                                                      \
  cudaError_t launch_##T##x##W(const Kernel& kernel, std::size_t groups, cudaStream_t stream); \
  cudaError_t groups_at_once_##T##x##W(int device, std::size_t* groups);
CIPHERLANE_SHAPES(CIPHERLANE_LAUNCHES)
#undef CIPHERLANE_LAUNCHES

// Queues a kernel of CIPHERLANE_ITEM_KERNELS for each of its items, of which there are some: launch_items.cu.
template <class Kernel>
cudaError_t launch_items(const Kernel& kernel, cudaStream_t stream);

}  // namespace cipherlane::kernels
