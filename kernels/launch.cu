// The kernels of one shape, CIPHERLANE_THREADS threads of a group with CIPHERLANE_LIMBS limbs each, and their launches.
#include "launch.cuh"

#if !defined(CIPHERLANE_THREADS) || !defined(CIPHERLANE_LIMBS)
#error "compile with -DCIPHERLANE_THREADS=8 -DCIPHERLANE_LIMBS=8, or another of kShapes"
#endif

namespace cipherlane::kernels {

constexpr int kBlockThreads = 128;
constexpr int kGroupsOfBlock = kBlockThreads / CIPHERLANE_THREADS;

// Of two kernels, which hold a residue beside the factors of a product.
template <class Kernel>
constexpr bool kHoldsThree = std::is_same_v<Kernel, BucketSums> || std::is_same_v<Kernel, Evaluate>;

// Blocks which the registers of a multiprocessor (65,536) hold: 128, 170 or 255 registers a thread for 8, 12 or 16
// limbs, where 170 are too few for three residues. Without this number the compiler spills to fit one block more.
template <class Kernel, int W>
constexpr int kBlocksAtOnce = W <= 8                            ? 4
                              : W <= 12 && !kHoldsThree<Kernel> ? 3
                                                                : 2;

template <int T, int W, class Kernel>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce<Kernel, W>)
    run_kernel(const __grid_constant__ Kernel kernel) {
  kernel.template run<CudaLanes<T>, W>(CudaLanes<T>::group());
}

namespace {

template <class Kernel>
constexpr auto kEntry = run_kernel<CIPHERLANE_THREADS, CIPHERLANE_LIMBS, Kernel>;

template <class Kernel>
cudaError_t launch(const Kernel& kernel, std::size_t groups, cudaStream_t stream) {
  const std::size_t blocks = (groups + kGroupsOfBlock - 1) / kGroupsOfBlock;
  if (blocks == 0 || blocks > 0x7fffffff) return cudaErrorInvalidValue;
  kEntry<Kernel><<<static_cast<unsigned>(blocks), kBlockThreads, 0, stream>>>(kernel);
  return cudaGetLastError();
}

// fewest <- the blocks of a kernel that run at the same time on one multiprocessor, where those are fewer.
template <class Kernel>
cudaError_t take_fewer(int* fewest) {
  int blocks = 0;
  const cudaError_t error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kEntry<Kernel>, kBlockThreads, 0);
  if (error == cudaSuccess && blocks < *fewest) *fewest = blocks;
  return error;
}

cudaError_t groups_at_once(int device, std::size_t* groups) {
  int multiprocessors = 0, blocks = 0x7fffffff;
  cudaError_t error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  if (error == cudaSuccess) error = take_fewer<FixedWindowPowers>(&blocks);
  if (error == cudaSuccess) error = take_fewer<PowersEachVartime>(&blocks);
  if (error == cudaSuccess) *groups = std::size_t{1} * multiprocessors * blocks * kGroupsOfBlock;
  return error;
}

}  // namespace

#define CIPHERLANE_JOIN(name, T, W) name##T##x##W
#define CIPHERLANE_OF_SHAPE(name, T, W) CIPHERLANE_JOIN(name, T, W)
#define CIPHERLANE_LAUNCH_OF_SHAPE CIPHERLANE_OF_SHAPE(launch_, CIPHERLANE_THREADS, CIPHERLANE_LIMBS)

template <class Kernel>
cudaError_t CIPHERLANE_LAUNCH_OF_SHAPE(const Kernel& kernel, std::size_t groups, cudaStream_t stream) {
  return launch(kernel, groups, stream);
}
#define CIPHERLANE_INSTANTIATE(Kernel) \
  template cudaError_t CIPHERLANE_LAUNCH_OF_SHAPE(const Kernel&, std::size_t, cudaStream_t);
CIPHERLANE_KERNELS(CIPHERLANE_INSTANTIATE)

cudaError_t CIPHERLANE_OF_SHAPE(groups_at_once_, CIPHERLANE_THREADS, CIPHERLANE_LIMBS)(int device,
                                                                                       std::size_t* groups) {
  return groups_at_once(device, groups);
}

}  // namespace cipherlane::kernels
