#include "cipherlane/random.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

#if defined(__linux__)
#include <sys/random.h>
#endif

#include "cipherlane/parallel.hpp"
#include "secret_marks.hpp"

namespace cipherlane {
namespace {

constexpr std::size_t kBlockBytes = 64;
constexpr std::size_t kKeyBytes = 32;
constexpr std::uint64_t kReseedBytes = std::uint64_t{16} << 20;

void bytes_from_system(void* memory, std::size_t bytes) {
  auto* out = static_cast<std::uint8_t*>(memory);
  while (bytes > 0) {
    // getentropy and getrandom never return fewer than asked for up to 256 bytes once the pool is initialised.
    const std::size_t chunk = std::min<std::size_t>(bytes, 256);
#if defined(__linux__)
    const ssize_t got = ::getrandom(out, chunk, 0);
    if (got < 0 && errno == EINTR) continue;
    const bool failed = got != static_cast<ssize_t>(chunk);
#else
    const bool failed = ::getentropy(out, chunk) != 0;
#endif
    if (failed) throw std::system_error(errno, std::generic_category(), "the operating system gave no random bytes");
    out += chunk;
    bytes -= chunk;
  }
}

std::uint32_t rotate_left(std::uint32_t x, int by) { return x << by | x >> (32 - by); }

void quarter_round(std::uint32_t* s, int a, int b, int c, int d) {
  s[a] += s[b], s[d] = rotate_left(s[d] ^ s[a], 16);
  s[c] += s[d], s[b] = rotate_left(s[b] ^ s[c], 12);
  s[a] += s[b], s[d] = rotate_left(s[d] ^ s[a], 8);
  s[c] += s[d], s[b] = rotate_left(s[b] ^ s[c], 7);
}

std::uint32_t load32(const std::uint8_t* p) {
  return std::uint32_t{p[0]} | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[3]} << 24;
}

void block(std::uint8_t* out, const std::uint8_t* key, std::uint32_t counter, const std::uint8_t* nonce) {
  std::uint32_t input[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (int i = 0; i < 8; ++i) input[4 + i] = load32(key + 4 * i);
  input[12] = counter;
  for (int i = 0; i < 3; ++i) input[13 + i] = load32(nonce + 4 * i);
  std::uint32_t s[16];
  std::copy(std::begin(input), std::end(input), s);
  for (int round = 0; round < 10; ++round) {
    quarter_round(s, 0, 4, 8, 12), quarter_round(s, 1, 5, 9, 13);
    quarter_round(s, 2, 6, 10, 14), quarter_round(s, 3, 7, 11, 15);
    quarter_round(s, 0, 5, 10, 15), quarter_round(s, 1, 6, 11, 12);
    quarter_round(s, 2, 7, 8, 13), quarter_round(s, 3, 4, 9, 14);
  }
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t word = s[i] + input[i];
    for (int byte = 0; byte < 4; ++byte) out[4 * i + byte] = static_cast<std::uint8_t>(word >> (8 * byte));
  }
  wipe(input, sizeof input);
  wipe(s, sizeof s);
}

class Generator {
 public:
  ~Generator() { wipe(key_, sizeof key_); }

  void fill(std::uint8_t* out, std::size_t bytes) {
    // The process id catches a child made by a bare clone(), which runs no fork handlers.
    const std::uint64_t generation = fork_generation();
    const pid_t process = ::getpid();
    if (generation != generation_ || process != process_ || used_ > kReseedBytes) {
      bytes_from_system(key_, sizeof key_);
      classify(key_, sizeof key_);
      generation_ = generation;
      process_ = process;
      used_ = 0;
    }
    // Block 0 of the stream is the next key; the caller gets blocks 1, 2, ... The 32-bit counter covers 256 GiB, so
    // a call is cut far below that.
    constexpr std::size_t kMost = std::size_t{1} << 20;
    while (bytes > 0) {
      const std::size_t part = std::min(bytes, kMost);
      produce(out, part);
      out += part;
      bytes -= part;
      used_ += part;
    }
  }

 private:
  void produce(std::uint8_t* out, std::size_t bytes) {
    static constexpr std::uint8_t kNonce[12] = {};
    Wiped<std::array<std::uint8_t, kBlockBytes>> last;
    Wiped<std::array<std::uint8_t, kBlockBytes>> next;
    block(next.value.data(), key_, 0, kNonce);
    std::uint32_t counter = 1;
    for (; bytes >= kBlockBytes; bytes -= kBlockBytes, out += kBlockBytes) block(out, key_, counter++, kNonce);
    if (bytes > 0) {
      block(last.value.data(), key_, counter, kNonce);
      std::memcpy(out, last.value.data(), bytes);
    }
    std::memcpy(key_, next.value.data(), kKeyBytes);
  }

  std::uint8_t key_[kKeyBytes] = {};
  std::uint64_t generation_ = 0;
  pid_t process_ = 0;
  std::uint64_t used_ = 0;
};

thread_local Generator generator;

}  // namespace

std::array<std::uint8_t, 64> chacha20_block(const std::array<std::uint8_t, 32>& key, std::uint32_t counter,
                                            const std::array<std::uint8_t, 12>& nonce) {
  std::array<std::uint8_t, 64> out;
  block(out.data(), key.data(), counter, nonce.data());
  return out;
}

void random_bytes(void* memory, std::size_t bytes) { generator.fill(static_cast<std::uint8_t*>(memory), bytes); }

void random_bits(Limb* out, std::size_t count, std::size_t bits, std::size_t limbs) {
  random_bytes(out, count * limbs * sizeof(Limb));
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < limbs; ++j) {
      const std::size_t low = j * kLimbBits;
      if (low + kLimbBits <= bits) continue;
      out[i * limbs + j] &= low >= bits ? 0 : (Limb{1} << (bits - low)) - 1;
    }
  }
}

void random_below(Limb* out, const Limb* bound, std::size_t limbs) {
  const std::size_t bits = bit_length(bound, limbs);
  if (bits < 2) throw std::invalid_argument("random_below: expected a bound of at least 2");
  Limb accepted = 0;
  while (accepted == 0) {
    random_bits(out, 1, bits, limbs);
    accepted = declassified(mask_less(out, bound, limbs) & ~mask_zero(out, limbs));
  }
}

}  // namespace cipherlane
