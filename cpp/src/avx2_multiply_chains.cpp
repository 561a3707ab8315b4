#include <immintrin.h>

#include "multiply_chains.hpp"

namespace cipherlane {

std::uint64_t avx2_multiply_chains(std::size_t rounds) {
  // All loops over the chains are unrolled, or they would live in memory.
  __m256i chains[kVectorChains];
#pragma GCC unroll 12
  for (std::size_t i = 0; i < kVectorChains; ++i) chains[i] = _mm256_set1_epi64x(static_cast<long long>(2 * i + 1));
  const __m256i factor = _mm256_set1_epi64x(0x89abcdef);
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kVectorChains; ++i) {
      chains[i] = _mm256_mul_epu32(chains[i], factor);
#if defined(__GNUC__)
      // A power could be had with fewer multiplications; this keeps the compiler from finding that out.
      __asm__("" : "+x"(chains[i]));
#endif
    }
  }
  alignas(32) std::uint64_t lanes[4];
  __m256i sum = chains[0];
#pragma GCC unroll 12
  for (std::size_t i = 1; i < kVectorChains; ++i) sum = _mm256_xor_si256(sum, chains[i]);
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sum);
  std::uint64_t result = 0;
  for (const std::uint64_t lane : lanes) result ^= lane;
  return result;
}

}  // namespace cipherlane
