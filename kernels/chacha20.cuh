// Exponents from ChaCha20 (RFC 8439), a block in each thread. The 128 bits beside the key are not those of a message:
//   word 12 the block within an exponent | words 13, 14 the ciphertext's global index | word 15 the domain.
// So no two ciphertexts under one key share a block; the caller never repeats an index, and takes a new key from the
// operating system for every stream of them.
#pragma once

#include "lanes.cuh"

namespace cipherlane::kernels {

constexpr int kBlockWords = 16;

template <class Word>
CIPHERLANE_DEVICE Word rotate_left(Word x, int bits) {
  return (x << bits) | (x >> (32 - bits));
}

// RFC 8439, 2.1
template <class Word>
CIPHERLANE_DEVICE void quarter_round(Word& a, Word& b, Word& c, Word& d) {
  a = a + b, d = rotate_left<Word>(d ^ a, 16);
  c = c + d, b = rotate_left<Word>(b ^ c, 12);
  a = a + b, d = rotate_left<Word>(d ^ a, 8);
  c = c + d, b = rotate_left<Word>(b ^ c, 7);
}

// block <- the key stream for 8 words of key, a counter for each thread, and 3 words of nonce. RFC 8439, 2.3
template <class Lanes>
CIPHERLANE_DEVICE void chacha20_block(typename Lanes::Word* block, const std::uint32_t* key,
                                      typename Lanes::Word counter, const std::uint32_t* nonce) {
  using Word = typename Lanes::Word;
  Word start[kBlockWords] = {Word(0x61707865u), Word(0x3320646eu), Word(0x79622d32u), Word(0x6b206574u)};
  CIPHERLANE_UNROLL
  for (int i = 0; i < 8; ++i) start[4 + i] = Word(key[i]);
  start[12] = counter;
  CIPHERLANE_UNROLL
  for (int i = 0; i < 3; ++i) start[13 + i] = Word(nonce[i]);
  CIPHERLANE_UNROLL
  for (int i = 0; i < kBlockWords; ++i) block[i] = start[i];
  CIPHERLANE_ROLLED
  for (int round = 0; round < 20; round += 2) {
    quarter_round(block[0], block[4], block[8], block[12]);
    quarter_round(block[1], block[5], block[9], block[13]);
    quarter_round(block[2], block[6], block[10], block[14]);
    quarter_round(block[3], block[7], block[11], block[15]);
    quarter_round(block[0], block[5], block[10], block[15]);
    quarter_round(block[1], block[6], block[11], block[12]);
    quarter_round(block[2], block[7], block[8], block[13]);
    quarter_round(block[3], block[4], block[9], block[14]);
  }
  CIPHERLANE_UNROLL
  for (int i = 0; i < kBlockWords; ++i) block[i] = block[i] + start[i];
}

// to[0 .. ceil(bits/32)) <- a uniform number below 2^bits for one ciphertext, by one group.
template <class Lanes>
CIPHERLANE_DEVICE void random_exponent(std::uint32_t* to, std::uint32_t bits, const std::uint32_t* key,
                                       std::uint64_t ciphertext, std::uint32_t domain) {
  using Word = typename Lanes::Word;
  const std::uint32_t words = (bits + 31) / 32;
  const std::uint32_t last_mask = bits % 32 == 0 ? ~0u : (1u << bits % 32) - 1;
  const std::uint32_t nonce[3] = {static_cast<std::uint32_t>(ciphertext), static_cast<std::uint32_t>(ciphertext >> 32),
                                  domain};
  CIPHERLANE_ROLLED
  for (std::uint32_t first = 0; first * kBlockWords < words; first += Lanes::kThreads) {
    const Word counter = Lanes::lanes() + Word(first);
    Word block[kBlockWords];
    chacha20_block<Lanes>(block, key, counter, nonce);
    CIPHERLANE_UNROLL
    for (int i = 0; i < kBlockWords; ++i) {
      const Word offset = counter * Word(kBlockWords) + Word(static_cast<std::uint32_t>(i));
      Lanes::scatter(to, offset, words - 1, block[i]);
      // The last word apart: it alone is cut.
      Word masked = block[i] & Word(last_mask);
      Lanes::scatter(to + (words - 1), offset - Word(words - 1), 1, masked);
    }
  }
}

}  // namespace cipherlane::kernels
