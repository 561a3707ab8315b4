#include "cuda_transfers.hpp"

#include <algorithm>
#include <cstring>

#include "cipherlane/parallel.hpp"
#include "cipherlane/secure.hpp"

namespace cipherlane {
namespace {

constexpr std::size_t kSmall = std::size_t{64} << 10, kLarge = std::size_t{16} << 20;
constexpr std::size_t kGrain = std::size_t{1} << 20;

void copy_by_all_threads(void* to, const void* from, std::size_t bytes) {
  if (bytes <= kGrain) {
    std::memcpy(to, from, bytes);
    return;
  }
  parallel_for(bytes, kGrain, [&](std::size_t begin, std::size_t end) {
    std::memcpy(static_cast<std::byte*>(to) + begin, static_cast<const std::byte*>(from) + begin, end - begin);
  });
}

}  // namespace

class CudaTransfers::Lease {
 public:
  Lease(CudaTransfers& owner, std::size_t bytes, cudaStream_t stream)
      : owner_(owner), pool_(bytes <= kSmall ? owner.small_ : owner.large_), stream_(stream) {
    {
      const std::lock_guard<std::mutex> lock(owner.mutex_);
      if (!pool_.empty()) {
        stage_ = std::move(pool_.back());
        pool_.pop_back();
      }
    }
    if (!stage_) stage_ = std::make_unique<Stage>(bytes <= kSmall ? kSmall : kLarge);
  }
  // Also where a transfer was broken off: nothing travels any more, then nothing is left.
  ~Lease() {
    const bool still = cudaStreamSynchronize(stream_) == cudaSuccess;
    for (std::size_t i = 0; i < 2; ++i) wipe(half(i).memory.data(), used_[i]);
    if (!still) return;
    const std::lock_guard<std::mutex> lock(owner_.mutex_);
    try {
      pool_.push_back(std::move(stage_));
    } catch (const std::bad_alloc&) {
      // The stage is given back instead.
    }
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Half& half(std::size_t piece) { return stage_->halves[piece % 2]; }
  void uses(std::size_t piece, std::size_t bytes) { used_[piece % 2] = std::max(used_[piece % 2], bytes); }

 private:
  CudaTransfers& owner_;
  std::vector<std::unique_ptr<Stage>>& pool_;
  cudaStream_t stream_;
  std::unique_ptr<Stage> stage_;
  std::size_t used_[2] = {0, 0};
};

void CudaTransfers::upload(void* to, const void* from, std::size_t bytes, cudaStream_t stream) {
  Lease lease(*this, bytes, stream);
  const std::size_t step = lease.half(0).memory.bytes();
  for (std::size_t first = 0, piece = 0; first < bytes; first += step, ++piece) {
    const std::size_t size = std::min(step, bytes - first);
    const Half& half = lease.half(piece);
    if (piece >= 2) half.done.wait();
    lease.uses(piece, size);
    copy_by_all_threads(half.memory.data(), static_cast<const std::byte*>(from) + first, size);
    CIPHERLANE_CUDA(
        cudaMemcpyAsync(static_cast<std::byte*>(to) + first, half.memory.data(), size, cudaMemcpyHostToDevice, stream));
    half.done.record(stream);
  }
}

void CudaTransfers::download(void* to, const void* from, std::size_t bytes, cudaStream_t stream) {
  Lease lease(*this, bytes, stream);
  const std::size_t step = lease.half(0).memory.bytes();
  const std::size_t pieces = (bytes + step - 1) / step;
  // One piece ahead of the one that is emptied.
  for (std::size_t piece = 0; piece <= pieces; ++piece) {
    if (piece < pieces) {
      const std::size_t first = piece * step, size = std::min(step, bytes - first);
      const Half& half = lease.half(piece);
      lease.uses(piece, size);
      CIPHERLANE_CUDA(cudaMemcpyAsync(half.memory.data(), static_cast<const std::byte*>(from) + first, size,
                                      cudaMemcpyDeviceToHost, stream));
      half.done.record(stream);
    }
    if (piece == 0) continue;
    const std::size_t first = (piece - 1) * step, size = std::min(step, bytes - first);
    lease.half(piece - 1).done.wait();
    copy_by_all_threads(static_cast<std::byte*>(to) + first, lease.half(piece - 1).memory.data(), size);
  }
}

}  // namespace cipherlane
