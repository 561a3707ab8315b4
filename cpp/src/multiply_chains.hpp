// Loops of nothing but multiplications, in independent chains long enough to fill the multiplier's pipeline.
//
// Each returns a value that depends on all of them, so that no compiler can leave one out. Plain C++: all but the
// first are defined in files with flags of their own.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cipherlane {

// rounds * kPortableChains products of 64 x 64 bits.
constexpr std::size_t kPortableChains = 8;
std::uint64_t portable_multiply_chains(std::size_t rounds);

// rounds * kVectorChains products in each lane: half products of 52 x 52 bits in 8 lanes; products of 32 x 32 bits, of
// which the backends use 26 x 26, in 8 and in 4 lanes.
constexpr std::size_t kVectorChains = 12;
std::uint64_t ifma_multiply_chains(std::size_t rounds);
std::uint64_t avx512_multiply_chains(std::size_t rounds);
std::uint64_t avx2_multiply_chains(std::size_t rounds);

}  // namespace cipherlane
