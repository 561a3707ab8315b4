#include <immintrin.h>

#include "multiply_chains.hpp"

namespace cipherlane {

std::uint64_t avx512_multiply_chains(std::size_t rounds) {
  // All loops over the chains are unrolled, or they would live in memory.
  __m512i chains[kVectorChains];
#pragma GCC unroll 12
  for (std::size_t i = 0; i < kVectorChains; ++i) chains[i] = _mm512_set1_epi64(static_cast<long long>(2 * i + 1));
  const __m512i factor = _mm512_set1_epi64(0x89abcdef);
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kVectorChains; ++i) {
      chains[i] = _mm512_mul_epu32(chains[i], factor);
#if defined(__GNUC__)
      // A power could be had with fewer multiplications; this keeps the compiler from finding that out.
      __asm__("" : "+v"(chains[i]));
#endif
    }
  }
  alignas(64) std::uint64_t lanes[8];
  __m512i sum = chains[0];
#pragma GCC unroll 12
  for (std::size_t i = 1; i < kVectorChains; ++i) sum = _mm512_xor_si512(sum, chains[i]);
  _mm512_store_si512(lanes, sum);
  std::uint64_t result = 0;
  for (const std::uint64_t lane : lanes) result ^= lane;
  return result;
}

}  // namespace cipherlane
