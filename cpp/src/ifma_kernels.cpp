#include "ifma_kernels.hpp"

#include <immintrin.h>

namespace cipherlane::ifma {
namespace {

using Vector = __m512i;
#define CIPHERLANE_INLINE __attribute__((always_inline))

// Own compile-time loops: those of the standard library may not be instantiated under this file's flags.
template <std::size_t I>
struct Index {
  static constexpr std::size_t value = I;
  constexpr operator std::size_t() const { return I; }
};
template <std::size_t N, std::size_t I = 0, class Body>
CIPHERLANE_INLINE inline void unroll(Body&& body) {
  if constexpr (I < N) {
    body(Index<I>{});
    unroll<N, I + 1>(body);
  }
}

constexpr std::uint64_t kDigitMask = (std::uint64_t{1} << kRadixBits) - 1;
constexpr std::size_t kMostRows = 8;

CIPHERLANE_INLINE inline Vector zero() { return _mm512_setzero_si512(); }
CIPHERLANE_INLINE inline Vector mask() { return _mm512_set1_epi64(static_cast<long long>(kDigitMask)); }
CIPHERLANE_INLINE inline Vector low(Vector sum, Vector a, Vector b) { return _mm512_madd52lo_epu64(sum, a, b); }
CIPHERLANE_INLINE inline Vector high(Vector sum, Vector a, Vector b) { return _mm512_madd52hi_epu64(sum, a, b); }
CIPHERLANE_INLINE inline Vector add(Vector a, Vector b) { return _mm512_add_epi64(a, b); }
CIPHERLANE_INLINE inline Vector carry_of(Vector a) { return _mm512_srli_epi64(a, kRadixBits); }
CIPHERLANE_INLINE inline const Vector* vectors(const std::uint64_t* words) {
  return reinterpret_cast<const Vector*>(words);
}
CIPHERLANE_INLINE inline Vector* vectors(std::uint64_t* words) { return reinterpret_cast<Vector*>(words); }

void wipe(Vector* memory, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) memory[i] = zero();
  __asm__ __volatile__("" : : "r"(memory) : "memory");
}

// columns[r + c] += low(a[c] b[r]), columns[r + c + 1] += high(a[c] b[r]) for r < B, c < length. Columns below First
// are left out. The multiplier's B digits and a window of B + 1 digits of a stay in registers; each column is loaded
// and stored once.
template <std::size_t B, std::size_t First = 0>
CIPHERLANE_INLINE inline void multiply_rows(Vector* columns, const Vector* a, std::size_t length, const Vector* b) {
  constexpr std::size_t W = B + 1;
  Vector row[B], window[W];
  unroll<B>([&](auto r) CIPHERLANE_INLINE { row[r] = b[r]; });
  // Column c takes a[c - r] with row r, low, and a[c - 1 - r], high. window[k mod W] holds a[k]; positions outside of a
  // are zero.
  unroll<W>([&](auto k) CIPHERLANE_INLINE { window[k] = zero(); });
  unroll<(First > B ? B : First)>([&](auto k) CIPHERLANE_INLINE { window[(First - 1 - k) % W] = a[First - 1 - k]; });
  const auto column = [&](auto phase, std::size_t c, Vector next) CIPHERLANE_INLINE {
    window[phase % W] = next;
    Vector lows = columns[c];
    Vector highs = zero();
    unroll<B>([&](auto r) CIPHERLANE_INLINE {
      lows = low(lows, window[(phase + 2 * W - r) % W], row[r]);
      highs = high(highs, window[(phase + 2 * W - 1 - r) % W], row[r]);
    });
    columns[c] = add(lows, highs);
  };
  std::size_t c = First;
  for (; c + W <= length; c += W)
    unroll<W>([&](auto k) CIPHERLANE_INLINE { column(Index<First + k>{}, c + k, a[c + k]); });
  // What is left of a, at most B digits, and the B columns past its end.
  unroll<2 * W>([&](auto k) CIPHERLANE_INLINE {
    if (c + k < length + B) column(Index<First + k>{}, c + k, c + k < length ? a[c + k] : zero());
  });
}

// Calls body(Index<B>, row) for blocks that cover [0, rows), as few as possible and of nearly equal size. rows >= 5.
template <class Body>
CIPHERLANE_INLINE inline void for_row_blocks(std::size_t rows, Body&& body) {
  std::size_t row = 0;
  for (std::size_t left = (rows + kMostRows - 1) / kMostRows; left > 0; --left) {
    const std::size_t size = (rows - row + left - 1) / left;
    switch (size) {
      case 4:
        body(Index<4>{}, row);
        break;
      case 5:
        body(Index<5>{}, row);
        break;
      case 6:
        body(Index<6>{}, row);
        break;
      case 7:
        body(Index<7>{}, row);
        break;
      default:
        body(Index<8>{}, row);
        break;
    }
    row += size;
  }
}

// columns[0 .. 2L] += a b
void multiply_columns(Vector* columns, const Vector* a, const Vector* b, std::size_t length) {
  for_row_blocks(length, [&](auto block, std::size_t row)
                             CIPHERLANE_INLINE { multiply_rows<block>(columns + row, a, length, b + row); });
}

// columns[0 .. 2L] += a^2. A doubled digit would not fit a factor's 52 bits, so what is off the diagonal is summed
// once, in columns of its own, and added twice.
void square_columns(Vector* columns, const Vector* a, std::size_t length) {
  Vector off[2 * kMostDigits + 1];
  for (std::size_t i = 0; i <= 2 * length; ++i) off[i] = zero();
  for_row_blocks(length, [&](auto block, std::size_t row) CIPHERLANE_INLINE {
    constexpr std::size_t B = block;
    // inside the block: pairs r < s
    unroll<B>([&](auto r) CIPHERLANE_INLINE {
      unroll<B - 1 - r>([&](auto k) CIPHERLANE_INLINE {
        constexpr std::size_t s = r + 1 + k;
        Vector* to = off + 2 * row + r + s;
        to[0] = low(to[0], a[row + r], a[row + s]);
        to[1] = high(to[1], a[row + r], a[row + s]);
      });
    });
    const std::size_t after = row + B;
    if (after < length) multiply_rows<B>(off + row + after, a + after, length - after, a + row);
  });
  for (std::size_t i = 0; i <= 2 * length; ++i) columns[i] = add(columns[i], add(off[i], off[i]));
  for (std::size_t i = 0; i < length; ++i) {
    columns[2 * i] = low(columns[2 * i], a[i], a[i]);
    columns[2 * i + 1] = high(columns[2 * i + 1], a[i], a[i]);
  }
}

// q <- Montgomery digits of T = columns; columns[L .. 2L] <- (T + q m) / R, not yet carried
void reduce_columns(Vector* columns, const Constants& constants, Vector* q) {
  const Vector* m = vectors(constants.m);
  const Vector inverse = _mm512_set1_epi64(static_cast<long long>(constants.negated_inverse));
  for_row_blocks(constants.length, [&](auto block, std::size_t row) CIPHERLANE_INLINE {
    constexpr std::size_t B = block;
    Vector* base = columns + row;
    Vector* digits = q + row;
    // The triangle that finds B digits of q, in registers; the carry out of it enters column B.
    Vector sum[B];
    unroll<B>([&](auto c) CIPHERLANE_INLINE { sum[c] = base[c]; });
    Vector carry = zero();
    unroll<B>([&](auto c) CIPHERLANE_INLINE {
      const Vector t = add(sum[c], carry);
      const Vector digit = low(zero(), t, inverse);
      digits[c] = digit;
      carry = carry_of(low(t, digit, m[0]));
      unroll<B - 1 - c>([&](auto k) CIPHERLANE_INLINE {
        constexpr std::size_t later = c + 1 + k;
        sum[later] = high(low(sum[later], digit, m[later - c]), digit, m[later - c - 1]);
      });
    });
    multiply_rows<B, B>(base, m, constants.length, digits);
    base[B] = add(base[B], carry);
  });
}

// r <- columns as digits below 2^52
CIPHERLANE_INLINE inline void carry_columns(Vector* r, const Vector* columns, std::size_t length) {
  Vector carry = zero();
  for (std::size_t i = 0; i < length; ++i) {
    const Vector sum = add(columns[i], carry);
    r[i] = _mm512_and_si512(sum, mask());
    carry = carry_of(sum);
  }
}

CIPHERLANE_INLINE inline void clear(Vector* columns, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) columns[i] = zero();
}

// columns <- C - q, every digit positive
CIPHERLANE_INLINE inline void start_with_offset(Vector* columns, const Constants& constants, const Vector* q) {
  const Vector* offset = vectors(constants.offset);
  const Vector radix = _mm512_set1_epi64(static_cast<long long>(kDigitMask + 1));
  for (std::size_t i = 0; i < constants.length; ++i) columns[i] = _mm512_sub_epi64(add(radix, offset[i]), q[i]);
  clear(columns + constants.length, constants.length + 1);
}

// r <- r - m where r >= m. Returns the lanes in which it was.
CIPHERLANE_INLINE inline __mmask8 reduce_once(Vector* r, const Constants& constants) {
  const Vector* m = vectors(constants.m);
  Vector reduced[kMostDigits];
  Vector borrow = zero();
  for (std::size_t i = 0; i < constants.length; ++i) {
    const Vector difference = _mm512_sub_epi64(_mm512_sub_epi64(r[i], m[i]), borrow);
    borrow = _mm512_srli_epi64(difference, 63);
    reduced[i] = _mm512_and_si512(difference, mask());
  }
  const __mmask8 above = _mm512_cmpeq_epi64_mask(borrow, zero());
  for (std::size_t i = 0; i < constants.length; ++i) r[i] = _mm512_mask_mov_epi64(r[i], above, reduced[i]);
  return above;
}

}  // namespace

void multiply_pair(std::uint64_t* r, const std::uint64_t* x, const std::uint64_t* y, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits + 1], q[kMostDigits], z0[kMostDigits];
  clear(columns, 2 * length + 1);
  multiply_columns(columns, vectors(x), vectors(y), length);
  reduce_columns(columns, constants, q);
  carry_columns(z0, columns + length, length);

  start_with_offset(columns, constants, q);
  multiply_columns(columns, vectors(x), vectors(y) + length, length);
  multiply_columns(columns, vectors(x) + length, vectors(y), length);
  reduce_columns(columns, constants, q);
  carry_columns(vectors(r) + length, columns + length, length);
  for (std::size_t i = 0; i < length; ++i) vectors(r)[i] = z0[i];
}

void square_pair(std::uint64_t* r, const std::uint64_t* x, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits + 1], q[kMostDigits], z0[kMostDigits];
  clear(columns, 2 * length + 1);
  square_columns(columns, vectors(x), length);
  reduce_columns(columns, constants, q);
  carry_columns(z0, columns + length, length);

  // x0 x1 twice: a doubled digit would not fit a factor's 52 bits, so the columns are doubled before C - q joins them.
  clear(columns, 2 * length + 1);
  multiply_columns(columns, vectors(x), vectors(x) + length, length);
  Vector start[2 * kMostDigits + 1];
  start_with_offset(start, constants, q);
  for (std::size_t i = 0; i <= 2 * length; ++i) columns[i] = add(start[i], add(columns[i], columns[i]));
  reduce_columns(columns, constants, q);
  carry_columns(vectors(r) + length, columns + length, length);
  for (std::size_t i = 0; i < length; ++i) vectors(r)[i] = z0[i];
}

void multiply_mod(std::uint64_t* r, const std::uint64_t* a, const std::uint64_t* b, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits + 1], q[kMostDigits];
  clear(columns, 2 * length + 1);
  multiply_columns(columns, vectors(a), vectors(b), length);
  reduce_columns(columns, constants, q);
  carry_columns(vectors(r), columns + length, length);
}

void add_mod(std::uint64_t* r, const std::uint64_t* a, const std::uint64_t* b, const Constants& constants) {
  // a + b < 4m; subtract 2m in the lanes where that does not borrow.
  const Vector* m = vectors(constants.m);
  Vector sum[kMostDigits], reduced[kMostDigits];
  Vector sum_carry = zero(), twice_carry = zero(), borrow = zero();
  for (std::size_t i = 0; i < constants.length; ++i) {
    const Vector digit = add(add(vectors(a)[i], vectors(b)[i]), sum_carry);
    sum_carry = carry_of(digit);
    sum[i] = _mm512_and_si512(digit, mask());
    const Vector twice = add(add(m[i], m[i]), twice_carry);
    twice_carry = carry_of(twice);
    const Vector difference = _mm512_sub_epi64(_mm512_sub_epi64(sum[i], _mm512_and_si512(twice, mask())), borrow);
    borrow = _mm512_srli_epi64(difference, 63);
    reduced[i] = _mm512_and_si512(difference, mask());
  }
  const __mmask8 above = _mm512_cmpeq_epi64_mask(borrow, zero());
  for (std::size_t i = 0; i < constants.length; ++i) vectors(r)[i] = _mm512_mask_mov_epi64(sum[i], above, reduced[i]);
}

void canonical_digits(std::uint64_t* d0, std::uint64_t* d1, const std::uint64_t* x, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits + 1], q[kMostDigits];
  for (std::size_t i = 0; i < length; ++i) columns[i] = vectors(x)[i];
  clear(columns + length, length + 1);
  reduce_columns(columns, constants, q);
  carry_columns(vectors(d0), columns + length, length);  // <= m, since x < R

  start_with_offset(columns, constants, q);
  for (std::size_t i = 0; i < length; ++i) columns[i] = add(columns[i], vectors(x)[length + i]);
  reduce_columns(columns, constants, q);
  carry_columns(vectors(d1), columns + length, length);  // < m + 4

  // x0 >= m becomes x0 - m and one more m in x1.
  Vector carry = _mm512_maskz_set1_epi64(reduce_once(vectors(d0), constants), 1);
  for (std::size_t i = 0; i < length; ++i) {
    const Vector digit = add(vectors(d1)[i], carry);
    carry = carry_of(digit);
    vectors(d1)[i] = _mm512_and_si512(digit, mask());
  }
  reduce_once(vectors(d1), constants);
  wipe(columns, 2 * length + 1);
}

void join_digits(std::uint64_t* value, const std::uint64_t* d0, const std::uint64_t* d1, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits + 1];
  for (std::size_t i = 0; i < length; ++i) columns[i] = vectors(d0)[i];
  clear(columns + length, length + 1);
  multiply_columns(columns, vectors(d1), vectors(constants.m), length);
  carry_columns(vectors(value), columns, 2 * length);
}

void combine_pairs(std::uint64_t* r, const std::uint64_t* const* numbers, const std::uint64_t* const* factors,
                   std::size_t parts, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits + 1], q[kMostDigits];
  clear(columns, 2 * length + 1);
  for (std::size_t k = 0; k < parts; ++k) multiply_columns(columns, vectors(numbers[k]), vectors(factors[k]), length);
  reduce_columns(columns, constants, q);
  carry_columns(vectors(r), columns + length, length);
  start_with_offset(columns, constants, q);
  for (std::size_t k = 0; k < parts; ++k)
    multiply_columns(columns, vectors(numbers[k]), vectors(factors[k]) + length, length);
  reduce_columns(columns, constants, q);
  carry_columns(vectors(r) + length, columns + length, length);
}

void gather(std::uint64_t* r, const std::uint64_t* table, const std::uint64_t* indices, std::size_t width) {
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    const std::uint64_t* from = table + indices[lane] * width;
    for (std::size_t i = 0; i < width; ++i) r[i * kLanes + lane] = from[i];
  }
}

void select(std::uint64_t* r, const std::uint64_t* table, std::size_t rows, const std::uint64_t* indices,
            std::size_t width) {
  const Vector wanted = _mm512_loadu_si512(indices);
  clear(vectors(r), width);
  for (std::size_t row = 0; row < rows; ++row) {
    const __mmask8 here = _mm512_cmpeq_epi64_mask(wanted, _mm512_set1_epi64(static_cast<long long>(row)));
    const std::uint64_t* from = table + row * width;
    for (std::size_t i = 0; i < width; ++i)
      vectors(r)[i] = _mm512_mask_set1_epi64(vectors(r)[i], here, static_cast<long long>(from[i]));
  }
}

void select_group(std::uint64_t* r, const std::uint64_t* groups, std::size_t count, std::uint64_t index,
                  std::size_t vector_count) {
  const Vector wanted = _mm512_set1_epi64(static_cast<long long>(index));
  clear(vectors(r), vector_count);
  for (std::size_t group = 0; group < count; ++group) {
    const __mmask8 here = _mm512_cmpeq_epi64_mask(wanted, _mm512_set1_epi64(static_cast<long long>(group)));
    const Vector* from = vectors(groups) + group * vector_count;
    for (std::size_t i = 0; i < vector_count; ++i) vectors(r)[i] = _mm512_mask_mov_epi64(vectors(r)[i], here, from[i]);
  }
}

}  // namespace cipherlane::ifma
