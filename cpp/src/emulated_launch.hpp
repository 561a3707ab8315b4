// The kernels of each shape on the host; emulated_launch.cpp defines those of one.
#pragma once

#include "../../kernels/batch_kernels.cuh"

namespace cipherlane {

#define CIPHERLANE_EMULATED_LAUNCHES(T, W) \
  template <class Kernel>                  \
  void emulate_##T##x##W(const Kernel& kernel, std::size_t groups);
CIPHERLANE_SHAPES(CIPHERLANE_EMULATED_LAUNCHES)
#undef CIPHERLANE_EMULATED_LAUNCHES

}  // namespace cipherlane
