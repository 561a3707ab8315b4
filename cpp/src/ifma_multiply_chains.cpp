#include <immintrin.h>

#include "multiply_chains.hpp"

namespace cipherlane {

std::uint64_t ifma_multiply_chains(std::size_t rounds) {
  // All loops over the chains are unrolled, or they would live in memory.
  __m512i chains[kVectorChains];
#pragma GCC unroll 12
  for (std::size_t i = 0; i < kVectorChains; ++i) chains[i] = _mm512_set1_epi64(static_cast<long long>(i + 1));
  const __m512i a = _mm512_set1_epi64(0x000fedcba9876543);
  const __m512i b = _mm512_set1_epi64(0x000123456789abcd);
  for (std::size_t round = 0; round < rounds; ++round) {
    // Two instructions a cycle of latency 4 need 8 chains; 12 leave room. Half take low, half take high products.
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kVectorChains; ++i)
      chains[i] = i % 2 == 0 ? _mm512_madd52lo_epu64(chains[i], a, b) : _mm512_madd52hi_epu64(chains[i], a, b);
#if defined(__GNUC__)
    // The sum could be had with one multiplication; this keeps the compiler from finding that out.
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kVectorChains; ++i) __asm__("" : "+v"(chains[i]));
#endif
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
