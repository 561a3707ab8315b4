// The batch operations as kernels: what each takes, and its body for one group of threads.
//
// A kernel is a struct of arguments with a member run<Lanes, W>(group), which computes one result; its fields do not
// depend on the shape, so host code fills them without knowing it. A launch has at least `count` groups: those past the
// end compute on the last result there is and store nothing.
//
// Residues are rows of 2 L words in Montgomery form (x0 then x1, Reduced, as every kernel gives them), 16-byte aligned.
// Plain numbers are rows of as many 32-bit words as the field says, little-endian, 8-byte aligned. `constants` as
// kernels::Modulus. Every count is above 0. A result may take the place of the operand of the same index.
#pragma once

#include "chacha20.cuh"
#include "power.cuh"

namespace cipherlane::kernels {

// Threads of a group and limbs of a thread.
struct Shape {
  int threads, limbs;
};
// By length; a modulus takes the shortest that holds it: 512, 1024, 1536, 2048, 3072 and 4096 bits.
#define CIPHERLANE_SHAPES(X) X(2, 8) X(4, 8) X(4, 12) X(8, 8) X(8, 12) X(16, 8)
#define CIPHERLANE_SHAPE(T, W) Shape{T, W},
constexpr Shape kShapes[] = {CIPHERLANE_SHAPES(CIPHERLANE_SHAPE)};
#undef CIPHERLANE_SHAPE

// Windows of powers with table in scratch memory.
constexpr int kPowerWindow = 4;
// Different plain numbers in one linear form.
constexpr int kMostNumbers = 2;

#ifdef CIPHERLANE_EMULATED_DEVICE
// From an address that the emulated device gives out to its memory there, cpp/src/emulated_memory.hpp.
extern std::ptrdiff_t emulated_distance;
#endif

// Memory of a device: host code moves it around, only kernels look into it.
template <class T>
class DevicePointer {
 public:
  DevicePointer() = default;
  explicit DevicePointer(T* address) : address_(address) {}
  template <class U, class = std::enable_if_t<std::is_convertible_v<U*, T*>>>
  DevicePointer(DevicePointer<U> other) : address_(other.address()) {}  // NOLINT: as pointers convert
  T* address() const { return address_; }
  DevicePointer operator+(std::size_t elements) const { return DevicePointer(address_ + elements); }
  explicit operator bool() const { return address_ != nullptr; }

#ifdef CIPHERLANE_EMULATED_DEVICE
  T* get() const {
    return address_ == nullptr ? nullptr
                               : reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(address_) + emulated_distance);
  }
#else
  CIPHERLANE_DEVICE T* get() const { return address_; }
#endif

 private:
  T* address_ = nullptr;
};
using WordPointer = DevicePointer<std::uint32_t>;
using ConstWordPointer = DevicePointer<const std::uint32_t>;

// r_i <- x_i y_i mod n^2. A step of 0 repeats the first row for all results, 1 takes them one by one.
struct MultiplyPairs {
  WordPointer r;
  ConstWordPointer x, y;
  std::uint32_t x_step, y_step;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// r_i <- (1 + a_i n) x_i mod n^2, for plain numbers a_i below n.
struct MultiplyOnePlus {
  WordPointer r;
  ConstWordPointer x;
  std::uint32_t x_step;
  ConstWordPointer a;
  std::uint32_t a_words;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// r_i <- (1 + a_i n) base^(e_i) mod n^2; a may be null. Entries of the table are in factored form, rows of 2 L words:
// T[j][d] at row (j << window_bits) + d. The addresses read depend on the exponents.
struct FixedBasePowersVartime {
  WordPointer r;
  ConstWordPointer entries;
  std::uint32_t window_bits, windows;
  ConstWordPointer exponents;
  std::uint32_t exponent_words;
  ConstWordPointer a;
  std::uint32_t a_words;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// As FixedBasePowersVartime, but every entry of a window is read and masked: no address depends on an exponent.
struct FixedBasePowersMasked {
  WordPointer r;
  ConstWordPointer entries;
  std::uint32_t window_bits, windows;
  ConstWordPointer exponents;
  std::uint32_t exponent_words;
  ConstWordPointer a;
  std::uint32_t a_words;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// r_i <- x_i^e mod n^2 for one secret e of exponent_bits bits. scratch: 2^kPowerWindow rows for each of the results;
// groups past the end write there what the last result's does. No branch and no address depends on e.
struct FixedWindowPowers {
  WordPointer r;
  ConstWordPointer x, exponent;
  std::uint32_t exponent_bits;
  WordPointer scratch;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// r_i <- x_i^(e_i) mod n^2, all e_i below 2^exponent_bits; scratch as above. The addresses read depend on e_i.
struct PowersEachVartime {
  WordPointer r;
  ConstWordPointer x;
  std::uint32_t x_step;
  ConstWordPointer exponents;
  std::uint32_t exponent_words, exponent_bits;
  WordPointer scratch;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// r_i <- the product of x_row over rows[starts_i .. starts_(i + 1)); one for an empty segment. A warp takes as many
// steps as its longest segment has rows: a launch deals out segments of like length.
struct SegmentProducts {
  WordPointer r;
  ConstWordPointer x, rows, starts;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// r_i <- sum over parts of constant_k * (bits [first, first + bits) of numbers[number]_i) mod n^2 in Montgomery form.
// constants_of_parts: one row of 2 L words each, c R^2 mod n^2 for the constant c, Canonical. A part's bits fit L
// limbs: as the constant is Canonical they need not be below 2^16 n.
struct LinearPart {
  std::uint32_t number, first, bits;
};
struct Evaluate {
  WordPointer r;
  DevicePointer<const LinearPart> parts;
  std::uint32_t part_count;
  ConstWordPointer constants_of_parts;
  ConstWordPointer numbers[kMostNumbers];
  std::uint32_t number_words[kMostNumbers];
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// d0_i, d1_i <- the digits of the residue x_i stands for, both below n: plain numbers of `words` words. Either may be
// null.
struct Digits {
  WordPointer d0, d1;
  std::uint32_t words;
  ConstWordPointer x;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// c_i <- the number below n^2 that x_i stands for: `words` words.
struct Values {
  WordPointer c;
  std::uint32_t words;
  ConstWordPointer x;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// r_i <- x_(rows_i)
struct Gather {
  WordPointer r;
  ConstWordPointer x, rows;
  std::size_t count;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// r_(i, k) <- x_i^(2^k) for k < steps, at row i * steps + k.
struct SquareChains {
  WordPointer r;
  ConstWordPointer x;
  std::uint32_t steps;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// One doubling of tables of powers, for windows j < windows: powers[j][d + 2^level] <- powers[j][d] chain[w j + level]
// for d < 2^level, where powers[j][0] is one and chain[k] = base^(2^k). Rows: powers[j][d] at (j << window_bits) + d.
// count = windows << level.
struct TableLevel {
  WordPointer powers;
  ConstWordPointer chain;
  std::uint32_t window_bits, level;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// entry_i <- the factored form (t, s), Canonical, of powers_i, given with its inverse: for powers_i = t + t1 n and
// inverses_i = u + u1 n in Montgomery form, t u = R^2 mod n and s = t1 u R^-1 mod n. entries may be powers.
struct FactorEntries {
  WordPointer entries;
  ConstWordPointer powers, inverses;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// r_i <- prod_{1 <= d <= buckets} bucket_(i, d)^d, the bucket (i, d) at row i * buckets + d - 1; buckets > 0.
struct BucketSums {
  WordPointer r;
  ConstWordPointer bucket_rows;
  std::uint32_t buckets;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// r_i <- prod_k x_(i, k)^(2^(window_bits k)) for k < windows, x_(i, k) at row i * windows + k; windows > 0.
struct JoinWindows {
  WordPointer r;
  ConstWordPointer x;
  std::uint32_t windows, window_bits;
  std::size_t count;
  ConstWordPointer constants;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// exponents_i <- a uniform number below 2^bits from ChaCha20, for the indices first, first + 1, ...; rows of `words`
// words, those past ceil(bits/32) set to 0.
struct RandomExponents {
  WordPointer exponents;
  std::uint32_t words, bits;
  ConstWordPointer key;  // 8 words
  std::uint64_t first;
  std::uint32_t domain;
  std::size_t count;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

// The peak that the others are held to: 8 * steps wide multiply-adds a thread, in 8 chains that do not depend on each
// other. The thread t (of all) takes v_k <- v_k + (2 steps + 1)(2 (8 t + k) + 1) mod 2^64 for k < 8, steps times from
// 0, both factors mod 2^32; r_t is the exclusive or of both halves of all v_k. count groups, and as many words of r for
// each as it has threads.
struct MultiplyPeak {
  WordPointer r;
  std::uint32_t steps;
  std::size_t count;
  template <class Lanes, int W>
  CIPHERLANE_DEVICE void run(std::size_t group) const;
};

#define CIPHERLANE_KERNELS(X) \
  X(MultiplyPairs)            \
  X(MultiplyOnePlus)          \
  X(FixedBasePowersVartime)   \
  X(FixedBasePowersMasked)    \
  X(FixedWindowPowers)        \
  X(PowersEachVartime)        \
  X(SegmentProducts)          \
  X(Evaluate)                 \
  X(Digits)                   \
  X(Values)                   \
  X(Gather)                   \
  X(SquareChains)             \
  X(TableLevel)               \
  X(FactorEntries)            \
  X(BucketSums)               \
  X(JoinWindows)              \
  X(RandomExponents)          \
  X(MultiplyPeak)

}  // namespace cipherlane::kernels

#include "batch_kernels_impl.cuh"
