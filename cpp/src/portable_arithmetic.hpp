// Arithmetic mod m and mod m^2 on one number, radix 2^60, 128-bit column sums.
//
// A digit is below 2^60, so a column may hold up to 255 products: 255 (2^60-1)^2 + 2^68 < 2^128. No carry is propagated
// inside a product; that is what makes the inner loop one multiplication and one addition.
//
// Bounds. R = 2^(60 L) >= 2^8 m. A number is Lazy when it is below 4m and Reduced when below 2m (one lazy sum of two
// Reduced numbers is Lazy). A residue mod m^2 is a pair (x0, x1) that stands for x0 + x1 m, in Montgomery form.
//   REDC(T) = (T + q m)/R < T/R + m. With T <= 16 m^2: z0 < m (1 + 16/256) < 2m.
//   z1 = REDC(x0 y1 + x1 y0 + C - q), T <= 32 m^2 + C, C < R (1 + 2^-59) + m: z1 < m (1 + 32/256) + 3 < 2m.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "cipherlane/limbs.hpp"

namespace cipherlane::portable {

constexpr std::size_t kRadixBits = 60;
constexpr Limb kDigitMask = (Limb{1} << kRadixBits) - 1;
constexpr std::size_t kSlackBits = 8;
constexpr std::size_t kMostModulusBits = 4096;
constexpr std::size_t kMostDigits = (kMostModulusBits + kSlackBits + kRadixBits - 1) / kRadixBits;
constexpr std::size_t kMostProducts = 255;
// Rows that share a pass over the columns; more of them save loads and stores, and 9 divides most lengths best.
constexpr std::size_t kFewestRows = 5;
constexpr std::size_t kMostRows = 9;

constexpr std::size_t digits_for_bits(std::size_t bits) { return (bits + kSlackBits + kRadixBits - 1) / kRadixBits; }

struct Column {
  Limb low, high;
};
using Columns = std::array<Column, 2 * kMostDigits>;
using Digits = std::array<Limb, kMostDigits>;

// s <- s + a b; the caller has proved that it fits 128 bits.
inline void multiply_add(Column& s, Limb a, Limb b) {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(CIPHERLANE_NO_ASSEMBLY)
  // Compilers spill 128-bit sums to memory; three instructions do not.
  __asm__("mulq %[b]\n\taddq %%rax, %[low]\n\tadcq %%rdx, %[high]"
          : [low] "+&r"(s.low), [high] "+&r"(s.high), "+&a"(a)
          : [b] "rm"(b)
          : "rdx", "cc");
#else
  const DoubleLimb sum = (static_cast<DoubleLimb>(s.high) << 64 | s.low) + static_cast<DoubleLimb>(a) * b;
  s.low = static_cast<Limb>(sum);
  s.high = static_cast<Limb>(sum >> 64);
#endif
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(CIPHERLANE_NO_ASSEMBLY)
#define CIPHERLANE_DUAL_CARRY 1
// s <- s + a b, t <- t + c d, with the processor's two carry flags (MULX, ADX) in place of one: neither sum waits for
// the other. A sum that fits leaves its flag clear, so the flags are cleared once.
inline void multiply_add_twice(Column& s, const Limb& a, Limb b, Column& t, const Limb& c, Limb d) {
  Limb low, high;
  __asm__(
      "xorl %k[low], %k[low]\n\t"
      "movq %[a], %%rdx\n\tmulxq %[b], %[low], %[high]\n\tadcxq %[low], %[s_low]\n\tadcxq %[high], %[s_high]\n\t"
      "movq %[c], %%rdx\n\tmulxq %[d], %[low], %[high]\n\tadoxq %[low], %[t_low]\n\tadoxq %[high], %[t_high]"
      : [s_low] "+&r"(s.low), [s_high] "+&r"(s.high), [t_low] "+&r"(t.low), [t_high] "+&r"(t.high), [low] "=&r"(low),
        [high] "=&r"(high)
      : [a] "m"(a), [c] "m"(c), [b] "rm"(b), [d] "rm"(d)
      : "rdx", "cc");
}
#endif

// Whether this processor has MULX and ADX.
bool has_dual_carry();

inline DoubleLimb wide(const Column& s) { return static_cast<DoubleLimb>(s.high) << 64 | s.low; }
inline Column narrow(DoubleLimb s) { return {static_cast<Limb>(s), static_cast<Limb>(s >> 64)}; }

#if defined(__GNUC__)
#define CIPHERLANE_INLINE __attribute__((always_inline))
#else
#define CIPHERLANE_INLINE
#endif

// Calls body(0), body(1), ..., body(N - 1), each with its index as a compile-time constant.
template <class Body, std::size_t... I>
CIPHERLANE_INLINE inline void unroll(Body&& body, std::index_sequence<I...>) {
  (body(std::integral_constant<std::size_t, I>{}), ...);
}
template <std::size_t N, class Body>
CIPHERLANE_INLINE inline void unroll(Body&& body) {
  unroll(body, std::make_index_sequence<N>{});
}

// s + a[0] b[0] + a[-1] b[1] + ... + a[-(N - 1)] b[N - 1]. Dual: with two carry flags, in two sums.
template <bool Dual, std::size_t N>
CIPHERLANE_INLINE inline Column multiply_chain(Column s, const Limb* a, const Limb* b) {
#ifdef CIPHERLANE_DUAL_CARRY
  if constexpr (Dual && N >= 4) {
    Column other{0, 0};
    unroll<N / 2>([&](auto r) CIPHERLANE_INLINE {
      multiply_add_twice(s, a[-static_cast<std::ptrdiff_t>(2 * r)], b[2 * r], other,
                         a[-static_cast<std::ptrdiff_t>(2 * r + 1)], b[2 * r + 1]);
    });
    if constexpr (N % 2 == 1) multiply_add(s, *(a - (N - 1)), b[N - 1]);
    return narrow(wide(s) + wide(other));
  }
#endif
  unroll<N>([&](auto r) CIPHERLANE_INLINE { multiply_add(s, *(a - r), b[r]); });
  return s;
}

// columns[r + c] += a[c] b[r] for r < B, c < length; length >= B. The first and last B - 1 columns take fewer terms;
// columns below First are left out.
template <bool Dual, std::size_t B, std::size_t First = 0>
inline void multiply_rows(Column* columns, const Limb* a, std::size_t length, const Limb* b) {
  static_assert(First == 0 || First >= B - 1);
  Limb row[B];
  unroll<B>([&](auto r) CIPHERLANE_INLINE { row[r] = b[r]; });
  if constexpr (First == 0)
    unroll<B - 1>([&](auto c) CIPHERLANE_INLINE { columns[c] = multiply_chain<Dual, c + 1>(columns[c], a + c, row); });
  for (std::size_t c = First == 0 ? B - 1 : First; c < length; ++c)
    columns[c] = multiply_chain<Dual, B>(columns[c], a + c, row);
  unroll<B - 1>([&](auto c) CIPHERLANE_INLINE {
    columns[length + c] = multiply_chain<Dual, B - 1 - c>(columns[length + c], a + length - 1, row + c + 1);
  });
}

// Calls body(B, row) for blocks that cover [0, rows), as few as possible and of nearly equal size B; B is a
// compile-time constant. With rows >= 5, B is 5 to 9.
template <class Body>
inline void for_row_blocks(std::size_t rows, Body&& body) {
  std::size_t row = 0;
  for (std::size_t left = (rows + kMostRows - 1) / kMostRows; left > 0; --left) {
    const std::size_t size = (rows - row + left - 1) / left;
    unroll<kMostRows - kFewestRows + 1>([&](auto i) CIPHERLANE_INLINE {
      using Size = std::integral_constant<std::size_t, kFewestRows + i>;
      if (size == Size::value) body(Size{}, row);
    });
    row += size;
  }
}

// columns[0 .. 2L-1) += a b
template <bool Dual>
inline void multiply_columns(Column* columns, const Limb* a, const Limb* b, std::size_t length) {
  for_row_blocks(length,
                 [&](auto block, std::size_t row) { multiply_rows<Dual, block()>(columns + row, a, length, b + row); });
}

// columns[0 .. 2L-1) += a^2: each product of two different digits once, doubled; a doubled digit is below 2^61, so a
// column counts as many products as in multiply_columns.
template <bool Dual>
inline void square_columns(Column* columns, const Limb* a, std::size_t length) {
  for_row_blocks(length, [&](auto block, std::size_t row) {
    constexpr std::size_t B = block();
    Limb twice[B];
    unroll<B>([&](auto r) CIPHERLANE_INLINE { twice[r] = 2 * a[row + r]; });
    unroll<2 * B - 1>([&](auto c) CIPHERLANE_INLINE {
      constexpr std::size_t first = c < B ? 0 : c - (B - 1);
      Column sum = columns[2 * row + c];
      unroll<(c + 1) / 2 - first>(
          [&](auto k) CIPHERLANE_INLINE { multiply_add(sum, a[row + c - first - k], twice[first + k]); });
      if constexpr (c % 2 == 0) multiply_add(sum, a[row + c / 2], a[row + c / 2]);
      columns[2 * row + c] = sum;
    });
    const std::size_t after = row + B;
    const std::size_t rest = length - after;
    if (rest >= B) {
      multiply_rows<Dual, B>(columns + row + after, a + after, rest, twice);
    } else {
      for (std::size_t c = 0; c < rest; ++c)
        for (std::size_t r = 0; r < B; ++r) multiply_add(columns[row + after + c + r], a[after + c], twice[r]);
    }
  });
}

// The constants of arithmetic mod an odd m.
struct Modulus {
  std::size_t bits;
  std::size_t length;    // L, digits
  Limb negated_inverse;  // -m^-1 mod 2^60
  bool dual_carry;       // whether to use the processor's two carry flags
  Digits m;
  Digits offset;                          // digits of C - sum_i 2^60 2^(60 i), see below
  std::array<Limb, 2 * kMostDigits> one;  // R mod m^2 as a pair, its halves next to each other

  Modulus(const Limb* value, std::size_t limbs);
  ~Modulus() { wipe(this, sizeof *this); }
};

// q <- Montgomery digits of T = columns, columns[L .. 2L) + carry <- (T + q m)/R
template <bool Dual>
inline void reduce_columns(Column* columns, const Modulus& modulus, Limb* q) {
  const Limb* m = modulus.m.data();
  const std::size_t length = modulus.length;
  for_row_blocks(length, [&](auto block, std::size_t row) {
    constexpr std::size_t B = block();
    Column* base = columns + row;
    Limb* digits = q + row;
    DoubleLimb carry = 0;
    unroll<B>([&](auto c) CIPHERLANE_INLINE {
      // The carry comes last: it waits for the digit before, the products do not all.
      Column sum = base[c];
      unroll<c>([&](auto r) CIPHERLANE_INLINE { multiply_add(sum, m[c - r], digits[r]); });
      sum = narrow(wide(sum) + carry);
      digits[c] = (sum.low * modulus.negated_inverse) & kDigitMask;
      multiply_add(sum, m[0], digits[c]);
      carry = wide(sum) >> kRadixBits;
    });
    multiply_rows<Dual, B, B>(base, m, length, digits);
    // Column row + B < 2L always exists here but for the last block, where it is column L of the result.
    base[B] = narrow(wide(base[B]) + carry);
  });
}

// r <- columns as digits below 2^60; the value fits L digits.
// A column's bits 0-59, 60-119 and 120-127 belong to three digits; only sums below 2^61 + 2^8 are left to carry in
// turn.
inline void carry_columns(Limb* r, const Column* columns, std::size_t length) {
  Limb carry = 0, middle = 0, top = 0, top_before = 0;
  for (std::size_t i = 0; i < length; ++i) {
    const Limb sum = (columns[i].low & kDigitMask) + middle + top_before + carry;
    r[i] = sum & kDigitMask;
    carry = sum >> kRadixBits;
    top_before = top;
    top = columns[i].high >> (2 * kRadixBits - 64);
    middle = (columns[i].high << (64 - kRadixBits) | columns[i].low >> kRadixBits) & kDigitMask;
  }
  assert(carry == 0 && middle == 0 && top == 0 && top_before == 0);
}

inline void clear(Column* columns, std::size_t count) { std::memset(columns, 0, count * sizeof(Column)); }

// columns <- C - q, where C = sum_i (2^60 + offset_i) 2^(60 i) is a multiple of m above R: every digit stays positive.
inline void start_with_offset(Column* columns, const Modulus& modulus, const Limb* q) {
  const std::size_t length = modulus.length;
  for (std::size_t i = 0; i < length; ++i) columns[i] = {(Limb{1} << kRadixBits) + modulus.offset[i] - q[i], 0};
  clear(columns + length, length);
}

// r <- a b R^-1 mod m, r < 2m. Requires a b <= R m. r may be a or b.
void multiply_mod(Limb* r, const Limb* a, const Limb* b, const Modulus& modulus);
// r <- r - m if r >= m, in constant time. Requires r < 2m.
void reduce_once(Limb* r, const Modulus& modulus);

// Pairs are 2L digits, x0 then x1. r may be x or y. r <- x y R^-1 mod m^2, Reduced. Requires x, y Lazy.
void multiply_pair(Limb* r, const Limb* x, const Limb* y, const Modulus& modulus);
// r <- x^2 R^-1 mod m^2, Reduced. Requires x Lazy.
void square_pair(Limb* r, const Limb* x, const Modulus& modulus);
// d0, d1 <- the canonical digits of x R^-1: x R^-1 = d0 + d1 m, both below m. Requires x Lazy.
void canonical_digits(Limb* d0, Limb* d1, const Limb* x, const Modulus& modulus);

// One step of a product in factored form, see lane_powers.hpp: state = (z, c, e), 3L digits, entry = (t, s), 2L.
// z <- z t R^-1 mod m, c <- c t R^-1 - q R^-1 mod m, both below 2m, where q are the quotient digits of z t; e <- e + s
// as a plain number. Requires z, c, t < 2m and e + s < R.
void multiply_factored(Limb* state, const Limb* entry, const Modulus& modulus);

// r <- a + b mod m, r < 2m. Requires a, b < 2m.
void add_mod(Limb* r, const Limb* a, const Limb* b, const Modulus& modulus);
// value[0 .. 2L) <- d0 + d1 m, a plain number. Requires canonical d0, d1.
void join_digits(Limb* value, const Limb* d0, const Limb* d1, const Modulus& modulus);
// r <- sum_k numbers_k constants_k R^-1 mod m^2, Reduced, for plain numbers below 4m and Reduced pairs: two reductions
// for all parts together. With P parts, (P + 1) L <= kMostProducts keeps the columns and P <= 16 the bounds of REDC,
// for T <= 128 m^2 gives z0 < m (1 + 128/256) and z1 < m (1 + 128/256) + 3.
void combine_pairs(Limb* r, const Limb* const* numbers, const Limb* const* constants, std::size_t parts,
                   const Modulus& modulus);

// digits[0 .. length) <- the bits [0, 64 limbs) of value
void digits_from_limbs(Limb* digits, std::size_t length, const Limb* value, std::size_t limbs);

}  // namespace cipherlane::portable
