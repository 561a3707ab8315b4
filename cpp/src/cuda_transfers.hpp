// Copies between the host and a CUDA device through pinned memory: while one half travels, the other is filled or
// emptied by all threads.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "cuda_handles.hpp"

namespace cipherlane {

class CudaTransfers {
 public:
  // Both are done when they return, and have left nothing in pinned memory.
  void upload(void* to, const void* from, std::size_t bytes, cudaStream_t stream);
  void download(void* to, const void* from, std::size_t bytes, cudaStream_t stream);

 private:
  struct Half {
    explicit Half(std::size_t bytes) : memory(bytes), done(false) {}
    PinnedMemory memory;
    CudaEvent done;
  };
  struct Stage {
    explicit Stage(std::size_t bytes) : halves{Half(bytes), Half(bytes)} {}
    Half halves[2];
  };
  // A stage for as long as a transfer lasts.
  class Lease;

  std::mutex mutex_;
  std::vector<std::unique_ptr<Stage>> small_, large_;
};

}  // namespace cipherlane
