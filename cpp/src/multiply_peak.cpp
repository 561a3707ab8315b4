#include "cipherlane/multiply_peak.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "cipherlane/limbs.hpp"
#include "cipherlane/ring.hpp"
#include "vector_kernels.hpp"
#ifdef CIPHERLANE_WITH_DEVICE
#include "device_backend.hpp"
#endif

namespace cipherlane {
namespace {

// CPU seconds of this thread, where the system counts them.
double thread_seconds() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec now{};
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0)
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
#endif
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class Chains>
double best_rate(Chains&& chains, std::size_t products_a_round) {
  constexpr std::size_t kRounds = 200'000;  // about half a millisecond
  constexpr int kRuns = 12;
  volatile std::uint64_t sink = chains(kRounds);
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const double start = thread_seconds();
    sink = sink ^ chains(kRounds);
    const double seconds = thread_seconds() - start;
    if (seconds > 0) best = std::max(best, static_cast<double>(kRounds * products_a_round) / seconds);
  }
  return best;
}

// rounds * kPortableChains products of 64 x 64 bits, in chains long enough to fill the multiplier's pipeline.
constexpr std::size_t kPortableChains = 8;

std::uint64_t portable_chains(std::size_t rounds) {
  std::uint64_t chains[kPortableChains];
  for (std::size_t i = 0; i < kPortableChains; ++i) chains[i] = 0x9e3779b97f4a7c15 * (i + 1);
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kPortableChains; ++i) {
      // Both halves of the product go on, so that all of it has to be computed.
      const DoubleLimb product = static_cast<DoubleLimb>(chains[i]) * 0xd1342543de82ef95;
      chains[i] = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    }
  }
  std::uint64_t result = 0;
  for (const std::uint64_t chain : chains) result ^= chain;
  return result;
}

#ifdef CIPHERLANE_WITH_VECTORS
template <class Isa>
double vector_rate() {
  return best_rate(VectorKernels<Isa>::multiply_chains, VectorKernels<Isa>::kChainProducts);
}
#endif

}  // namespace

double multiply_peak(const std::string& backend) {
  const std::vector<std::string> usable = usable_backends();
  if (std::find(usable.begin(), usable.end(), backend) == usable.end()) {
    std::string names;
    for (const std::string& name : usable) names += (names.empty() ? "" : ", ") + name;
    throw BackendUnavailable("backend: '" + backend + "' cannot be used on this machine; usable here: " + names);
  }
#ifdef CIPHERLANE_WITH_DEVICE
  if (backend == "cuda") return device_multiply_peak();
#endif
#ifdef CIPHERLANE_WITH_VECTORS
  if (backend == "ifma") return vector_rate<Ifma>();
  if (backend == "avx512") return vector_rate<Avx512>();
  if (backend == "avx2") return vector_rate<Avx2>();
#endif
  return best_rate(portable_chains, kPortableChains);
}

}  // namespace cipherlane
