// The generator behind every obfuscator: ChaCha20 keyed by the operating system.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cipherlane/limbs.hpp"

namespace cipherlane {

// The ChaCha20 block function of RFC 8439, section 2.3.
std::array<std::uint8_t, 64> chacha20_block(const std::array<std::uint8_t, 32>& key, std::uint32_t counter,
                                            const std::array<std::uint8_t, 12>& nonce);

// Fills memory with unpredictable bytes. Each thread has its own generator, seeded by the operating system when
// first used, in a forked child before its first use, and after every 16 MiB; the key is replaced after every call, so
// that later disclosure of memory does not reveal earlier output (fast key erasure).
void random_bytes(void* memory, std::size_t bytes);

// count numbers, each uniform in [0, 2^bits), written with a stride of `limbs` limbs.
void random_bits(Limb* out, std::size_t count, std::size_t bits, std::size_t limbs);

// One number uniform in [1, bound), by rejection; the number of tries depends on bound alone.
void random_below(Limb* out, const Limb* bound, std::size_t limbs);

}  // namespace cipherlane
