// The kernels of one shape, CIPHERLANE_THREADS threads of a group with CIPHERLANE_LIMBS limbs each, on the host.
#include "emulated_launch.hpp"

#include <algorithm>

#include "cipherlane/parallel.hpp"

namespace cipherlane {
namespace {

template <class Kernel>
void emulate(const Kernel& kernel, std::size_t groups) {
  // Of the groups past the end one is enough to see that they store nothing.
  const std::size_t run = std::min(groups, kernel.count + 1);
  const std::size_t grain = std::clamp<std::size_t>(run / 16, 1, 64);
  parallel_for(run, grain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t group = begin; group < end; ++group)
      kernel.template run<kernels::HostLanes<CIPHERLANE_THREADS>, CIPHERLANE_LIMBS>(group);
  });
}

}  // namespace

#define CIPHERLANE_JOIN(name, T, W) name##T##x##W
#define CIPHERLANE_OF_SHAPE(name, T, W) CIPHERLANE_JOIN(name, T, W)
#define CIPHERLANE_EMULATE CIPHERLANE_OF_SHAPE(emulate_, CIPHERLANE_THREADS, CIPHERLANE_LIMBS)

template <class Kernel>
void CIPHERLANE_EMULATE(const Kernel& kernel, std::size_t groups) {
  emulate(kernel, groups);
}
#define CIPHERLANE_INSTANTIATE(Kernel) template void CIPHERLANE_EMULATE(const kernels::Kernel&, std::size_t);
CIPHERLANE_KERNELS(CIPHERLANE_INSTANTIATE)

}  // namespace cipherlane
