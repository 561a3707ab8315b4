// Lanes: the threads that hold one number, and the only names for them.
//
// A number of L = T W limbs of 32 bits is spread over a group of T threads, W limbs in each: thread l holds the limbs
// [l W, (l + 1) W). A lane value (Word) is one 32-bit register of each thread of the group. On the GPU it is that
// register; on the host it is an array over the group, and every operation runs all of it in lockstep. What is the same
// in all threads of a group is a plain std::uint32_t on both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#ifdef __CUDACC__
#define CIPHERLANE_DEVICE __device__ __forceinline__
#define CIPHERLANE_UNROLL _Pragma("unroll")
#define CIPHERLANE_ROLLED _Pragma("unroll 1")
#define CIPHERLANE_UNROLL_BY_32 _Pragma("unroll 32")
#else
#define CIPHERLANE_DEVICE inline
#define CIPHERLANE_UNROLL
#define CIPHERLANE_ROLLED
#define CIPHERLANE_UNROLL_BY_32
#endif

namespace cipherlane::kernels {

constexpr bool is_group_size(int threads) {
  return threads == 2 || threads == 4 || threads == 8 || threads == 16 || threads == 32;
}

// One bit a thread, and one above them for what leaves the group.
template <int Threads>
using GroupBits = std::conditional_t<Threads == 32, std::uint64_t, std::uint32_t>;

CIPHERLANE_DEVICE std::uint32_t cut_limb(std::uint32_t x, std::uint32_t limb, std::uint32_t bits) {
  return limb < bits / 32 ? x : limb == bits / 32 ? x & ((1u << bits % 32) - 1) : 0;
}

#ifdef __CUDACC__

// Which thread of its launch this is.
CIPHERLANE_DEVICE std::size_t thread_of_launch() { return std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; }

// All threads of a warp take part in every call: a launch has whole warps, and groups without work compute on the last
// number there is and store nothing.
template <int Threads>
struct CudaLanes {
  static_assert(is_group_size(Threads));
  static constexpr int kThreads = Threads;
  static constexpr int kGroups = 32 / Threads;  // of a warp
  static constexpr bool kHasPtx = true;
  using Word = std::uint32_t;
  using Bits = GroupBits<Threads>;

  CIPHERLANE_DEVICE static int lane() { return threadIdx.x & (Threads - 1); }
  CIPHERLANE_DEVICE static std::size_t group() {
    return (std::size_t{blockIdx.x} * blockDim.x + threadIdx.x) / Threads;
  }
  CIPHERLANE_DEVICE static Word lanes() { return threadIdx.x & (Threads - 1); }

  // x of one thread, in all.
  CIPHERLANE_DEVICE static std::uint32_t broadcast(Word x, int from) { return __shfl_sync(~0u, x, from, Threads); }
  // x of the thread above; in the last that of the first.
  CIPHERLANE_DEVICE static Word from_next(Word x) { return __shfl_sync(~0u, x, lane() + 1, Threads); }
  // x of the thread below; `first` in the first.
  CIPHERLANE_DEVICE static Word from_previous(Word x, std::uint32_t first) {
    const Word previous = __shfl_up_sync(~0u, x, 1, Threads);
    return lane() > 0 ? previous : first;
  }
  // Bit l: whether x of thread l is `value`.
  CIPHERLANE_DEVICE static Bits where_equal(Word x, std::uint32_t value) {
    const std::uint32_t all = __ballot_sync(~0u, x == value);
    if constexpr (Threads == 32)
      return all;
    else
      return (all >> (threadIdx.x & 31 & ~(Threads - 1))) & ((1u << Threads) - 1);
  }
  // Bit l, in thread l.
  CIPHERLANE_DEVICE static Word spread(Bits bits) { return static_cast<Word>(bits >> lane()) & 1; }
  // x in one thread, 0 in the others.
  CIPHERLANE_DEVICE static Word only(std::uint32_t x, int in) { return lane() == in ? x : 0; }
  // All ones in the first thread, 0 in the others. From a shuffle, so that the compiler knows no more of it than that
  // it is a number: of x & first() it would make a comparison and a choice.
  CIPHERLANE_DEVICE static Word first() { return __shfl_sync(~0u, lane() == 0 ? ~0u : 0, lane(), Threads); }
  // x in one thread, `others` in the others.
  CIPHERLANE_DEVICE static Word replace(Word others, std::uint32_t x, int in) { return lane() == in ? x : others; }
  // Which group of its warp this is.
  CIPHERLANE_DEVICE static std::uint32_t group_of_warp() { return (threadIdx.x & 31) / Threads; }
  // x of the same thread of another group of the warp.
  CIPHERLANE_DEVICE static Word of_group(Word x, std::uint32_t group) {
    return __shfl_sync(~0u, x, static_cast<int>(group * Threads) + lane());
  }
  // Whether any group of the warp has x.
  CIPHERLANE_DEVICE static bool any_in_warp(bool x) { return __any_sync(~0u, x); }
  template <class Function, class... Words>
  CIPHERLANE_DEVICE static void each(Function function, Words&... words) {
    function(words...);
  }

  // L limbs at `from`, 16-byte aligned.
  template <int W>
  CIPHERLANE_DEVICE static void load(Word* r, const std::uint32_t* from) {
    static_assert(W % 4 == 0);
    const uint4* source = reinterpret_cast<const uint4*>(from) + lane() * (W / 4);
    CIPHERLANE_UNROLL
    for (int j = 0; j < W / 4; ++j) {
      const uint4 four = source[j];
      r[4 * j] = four.x, r[4 * j + 1] = four.y, r[4 * j + 2] = four.z, r[4 * j + 3] = four.w;
    }
  }
  // As load, from memory that the kernel does not write.
  template <int W>
  CIPHERLANE_DEVICE static void load_constant(Word* r, const std::uint32_t* from) {
    static_assert(W % 4 == 0);
    const uint4* source = reinterpret_cast<const uint4*>(from) + lane() * (W / 4);
    CIPHERLANE_UNROLL
    for (int j = 0; j < W / 4; ++j) {
      const uint4 four = __ldg(source + j);
      r[4 * j] = four.x, r[4 * j + 1] = four.y, r[4 * j + 2] = four.z, r[4 * j + 3] = four.w;
    }
  }
  template <int W>
  CIPHERLANE_DEVICE static void store(std::uint32_t* to, const Word* x) {
    static_assert(W % 4 == 0);
    uint4* target = reinterpret_cast<uint4*>(to) + lane() * (W / 4);
    CIPHERLANE_UNROLL
    for (int j = 0; j < W / 4; ++j) target[j] = make_uint4(x[4 * j], x[4 * j + 1], x[4 * j + 2], x[4 * j + 3]);
  }
  // from[offset], for each thread its own; 0 where offset >= count.
  CIPHERLANE_DEVICE static Word gather(const std::uint32_t* from, Word offset, std::uint32_t count) {
    return offset < count ? from[offset] : 0;
  }
  // The limb x of a number, for each thread its own, cut to what is below 2^bits.
  CIPHERLANE_DEVICE static Word keep_bits(Word x, Word limb, std::uint32_t bits) { return cut_limb(x, limb, bits); }
  // to[offset], for each thread its own; nothing where offset >= count.
  CIPHERLANE_DEVICE static void scatter(std::uint32_t* to, Word offset, std::uint32_t count, Word x) {
    if (offset < count) to[offset] = x;
  }
};

#endif

template <int Threads>
struct LockstepWord {
  std::uint32_t lane[Threads];
  LockstepWord() = default;
  LockstepWord(std::uint32_t x) {  // NOLINT: a plain number is the same in every thread
    for (auto& each : lane) each = x;
  }
#define CIPHERLANE_LOCKSTEP(op)                                           \
  friend LockstepWord operator op(LockstepWord a, LockstepWord b) {       \
    for (int l = 0; l < Threads; ++l) a.lane[l] = a.lane[l] op b.lane[l]; \
    return a;                                                             \
  }
  CIPHERLANE_LOCKSTEP(+)
  CIPHERLANE_LOCKSTEP(-)
  CIPHERLANE_LOCKSTEP(*)
  CIPHERLANE_LOCKSTEP(&)
  CIPHERLANE_LOCKSTEP(|)
  CIPHERLANE_LOCKSTEP(^)
#undef CIPHERLANE_LOCKSTEP
  friend LockstepWord operator~(LockstepWord a) {
    for (auto& each : a.lane) each = ~each;
    return a;
  }
  friend LockstepWord operator<<(LockstepWord a, int bits) {
    for (auto& each : a.lane) each <<= bits;
    return a;
  }
  friend LockstepWord operator>>(LockstepWord a, int bits) {
    for (auto& each : a.lane) each >>= bits;
    return a;
  }
};

template <int Threads>
struct HostLanes {
  static_assert(is_group_size(Threads));
  static constexpr int kThreads = Threads;
  static constexpr int kGroups = 1;
  static constexpr bool kHasPtx = false;
  using Word = LockstepWord<Threads>;
  using Bits = GroupBits<Threads>;

  static Word lanes() {
    Word r;
    for (int l = 0; l < Threads; ++l) r.lane[l] = static_cast<std::uint32_t>(l);
    return r;
  }
  static std::uint32_t broadcast(const Word& x, int from) { return x.lane[from]; }
  static Word from_next(const Word& x) {
    Word r;
    for (int l = 0; l < Threads; ++l) r.lane[l] = x.lane[(l + 1) % Threads];
    return r;
  }
  static Word from_previous(const Word& x, std::uint32_t first) {
    Word r(first);
    for (int l = 1; l < Threads; ++l) r.lane[l] = x.lane[l - 1];
    return r;
  }
  static Bits where_equal(const Word& x, std::uint32_t value) {
    Bits bits = 0;
    for (int l = 0; l < Threads; ++l) bits |= static_cast<Bits>(x.lane[l] == value) << l;
    return bits;
  }
  static Word spread(Bits bits) {
    Word r;
    for (int l = 0; l < Threads; ++l) r.lane[l] = static_cast<std::uint32_t>(bits >> l) & 1;
    return r;
  }
  static Word only(std::uint32_t x, int in) { return replace(0, x, in); }
  static Word first() { return only(~0u, 0); }
  static Word replace(Word others, std::uint32_t x, int in) {
    others.lane[in] = x;
    return others;
  }
  static std::uint32_t group_of_warp() { return 0; }
  static Word of_group(const Word& x, std::uint32_t) { return x; }
  static bool any_in_warp(bool x) { return x; }
  template <class Function, class... Words>
  static void each(Function function, Words&... words) {
    for (int l = 0; l < Threads; ++l) function(words.lane[l]...);
  }
  template <int W>
  static void load(Word* r, const std::uint32_t* from) {
    for (int l = 0; l < Threads; ++l)
      for (int j = 0; j < W; ++j) r[j].lane[l] = from[l * W + j];
  }
  template <int W>
  static void load_constant(Word* r, const std::uint32_t* from) {
    load<W>(r, from);
  }
  template <int W>
  static void store(std::uint32_t* to, const Word* x) {
    for (int l = 0; l < Threads; ++l)
      for (int j = 0; j < W; ++j) to[l * W + j] = x[j].lane[l];
  }
  static Word gather(const std::uint32_t* from, const Word& offset, std::uint32_t count) {
    Word r(0);
    for (int l = 0; l < Threads; ++l)
      if (offset.lane[l] < count) r.lane[l] = from[offset.lane[l]];
    return r;
  }
  static Word keep_bits(Word x, const Word& limb, std::uint32_t bits) {
    for (int l = 0; l < Threads; ++l) x.lane[l] = cut_limb(x.lane[l], limb.lane[l], bits);
    return x;
  }
  static void scatter(std::uint32_t* to, const Word& offset, std::uint32_t count, const Word& x) {
    for (int l = 0; l < Threads; ++l)
      if (offset.lane[l] < count) to[offset.lane[l]] = x.lane[l];
  }
};

}  // namespace cipherlane::kernels
