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
template <bool Value>
struct Flag {
  constexpr bool operator()() const { return Value; }
};
template <std::size_t N, std::size_t I = 0, class Body>
CIPHERLANE_INLINE inline void unroll(Body&& body) {
  if constexpr (I < N) {
    body(Index<I>{});
    unroll<N, I + 1>(body);
  }
}

constexpr std::uint64_t kDigitMask = (std::uint64_t{1} << kRadixBits) - 1;
// Rows that share a pass over the columns.
constexpr std::size_t kFewestRows = 4;
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

// What columns hold before a block of rows is added: sums everywhere, sums in all but the last B, nothing.
enum class Start { kSums, kTailUnset, kUnset };

// columns[r + c] += low(a[c] b[r]), columns[r + c + 1] += high(a[c] b[r]) for r < B, c < length; length >= B. Columns
// below First are left out. The multiplier's B digits stay in registers, and each digit of a is loaded once a column,
// for the low half of its product there and the high half in the next.
template <std::size_t B, Start S, std::size_t First = 0>
CIPHERLANE_INLINE inline void multiply_rows(Vector* columns, const Vector* a, std::size_t length, const Vector* b) {
  static_assert(First == 0 || First == B);
  Vector row[B];
  unroll<B>([&](auto r) CIPHERLANE_INLINE { row[r] = b[r]; });
  Vector highs = zero();
  if constexpr (First == B) unroll<B>([&](auto r) CIPHERLANE_INLINE { highs = high(highs, a[B - 1 - r], row[r]); });
  // Column c with rows Begin .. Begin + N - 1.
  const auto column = [&](auto begin, auto count, auto unset, std::size_t c) CIPHERLANE_INLINE {
    Vector lows = unset() ? zero() : columns[c];
    Vector next = zero();
    unroll<count>([&](auto k) CIPHERLANE_INLINE {
      const Vector digit = a[c - begin - k];
      lows = low(lows, digit, row[begin + k]);
      next = high(next, digit, row[begin + k]);
    });
    columns[c] = add(lows, highs);
    highs = next;
  };
  constexpr Flag<S == Start::kUnset> body_unset;
  constexpr Flag<S != Start::kSums> tail_unset;
  if constexpr (First == 0)
    unroll<B - 1>([&](auto c) CIPHERLANE_INLINE { column(Index<0>{}, Index<c + 1>{}, body_unset, c); });
  for (std::size_t c = First == 0 ? B - 1 : First; c < length; ++c) column(Index<0>{}, Index<B>{}, body_unset, c);
  unroll<B>([&](auto k) CIPHERLANE_INLINE { column(Index<k + 1>{}, Index<B - 1 - k>{}, tail_unset, length + k); });
}

// Calls body(Index<B>, row) for blocks that cover [0, rows), as few as possible and of nearly equal size, larger ones
// first. With rows >= 5, B is 4 to kMostRows.
template <class Body>
CIPHERLANE_INLINE inline void for_row_blocks(std::size_t rows, Body&& body) {
  std::size_t row = 0;
  for (std::size_t left = (rows + kMostRows - 1) / kMostRows; left > 0; --left) {
    const std::size_t size = (rows - row + left - 1) / left;
    unroll<kMostRows - kFewestRows + 1>([&](auto i) CIPHERLANE_INLINE {
      if (size == kFewestRows + i) body(Index<kFewestRows + i>{}, row);
    });
    row += size;
  }
}

// columns[0 .. 2L) <- a b
void multiply_columns(Vector* columns, const Vector* a, const Vector* b, std::size_t length) {
  for_row_blocks(length, [&](auto block, std::size_t row) CIPHERLANE_INLINE {
    if (row == 0)
      multiply_rows<block, Start::kUnset>(columns, a, length, b);
    else
      multiply_rows<block, Start::kTailUnset>(columns + row, a, length, b + row);
  });
}

// columns[0 .. 2L) += a b
void add_product(Vector* columns, const Vector* a, const Vector* b, std::size_t length) {
  for_row_blocks(length, [&](auto block, std::size_t row) CIPHERLANE_INLINE {
    multiply_rows<block, Start::kSums>(columns + row, a, length, b + row);
  });
}

// columns[0 .. 2L) <- a^2. A doubled digit would not fit a factor's 52 bits, so what is off the diagonal is summed
// once and the sums are doubled.
void square_columns(Vector* columns, const Vector* a, std::size_t length) {
  for (std::size_t i = 0; i < 2 * length; ++i) columns[i] = zero();
  for_row_blocks(length, [&](auto block, std::size_t row) CIPHERLANE_INLINE {
    constexpr std::size_t B = block;
    // with all digits before the block, of which there are none or at least B
    if (row > 0) multiply_rows<B, Start::kSums>(columns + row, a, row, a + row);
    // inside the block: pairs r < s
    unroll<2 * B - 1>([&](auto c) CIPHERLANE_INLINE {
      // r + s = c: r from max(0, c - B + 1) while r < s
      constexpr std::size_t first = c < B ? 0 : c - (B - 1);
      constexpr std::size_t pairs = (c + 1) / 2 - first;
      if constexpr (pairs > 0) {
        Vector lows = columns[2 * row + c], highs = columns[2 * row + c + 1];
        unroll<pairs>([&](auto k) CIPHERLANE_INLINE {
          lows = low(lows, a[row + first + k], a[row + c - first - k]);
          highs = high(highs, a[row + first + k], a[row + c - first - k]);
        });
        columns[2 * row + c] = lows;
        columns[2 * row + c + 1] = highs;
      }
    });
  });
  for (std::size_t i = 0; i < length; ++i) {
    columns[2 * i] = low(add(columns[2 * i], columns[2 * i]), a[i], a[i]);
    columns[2 * i + 1] = high(add(columns[2 * i + 1], columns[2 * i + 1]), a[i], a[i]);
  }
}

struct Nothing {
  CIPHERLANE_INLINE Vector operator()(Vector sum, std::size_t) const { return sum; }
  template <class Block>
  CIPHERLANE_INLINE void operator()(Block, std::size_t) const {}
};

// q <- Montgomery digits of T = columns, of which digit i < L is adjusted by `adjust` first;
// columns[L .. 2L) <- (T + q m) / R, not yet carried. Finding the digits of a block is one long chain of dependent
// instructions: `meanwhile` is independent work to put in its gaps.
template <class Adjust = Nothing, class Meanwhile = Nothing>
CIPHERLANE_INLINE inline void reduce_columns(Vector* columns, const Constants& constants, Vector* q,
                                             Adjust&& adjust = {}, Meanwhile&& meanwhile = {}) {
  const Vector* m = vectors(constants.m);
  const Vector inverse = _mm512_set1_epi64(static_cast<long long>(constants.negated_inverse));
  for_row_blocks(constants.length, [&](auto block, std::size_t row) CIPHERLANE_INLINE {
    constexpr std::size_t B = block;
    Vector* base = columns + row;
    Vector* digits = q + row;
    // The triangle that finds B digits of q, in registers. The low 52 bits of a column become zero, so that what it
    // carries is its sum divided by 2^52 and rounded up, whatever the digit; the last carry enters column B.
    Vector lows[B], highs[B];
    unroll<B>([&](auto c) CIPHERLANE_INLINE {
      lows[c] = adjust(base[c], row + c);
      highs[c] = zero();
    });
    Vector carry = zero();
    unroll<B>([&](auto c) CIPHERLANE_INLINE {
      const Vector t = add(add(lows[c], carry), highs[c]);
      const Vector digit = low(zero(), t, inverse);
      digits[c] = digit;
      carry = carry_of(add(t, mask()));
      unroll<B - 1 - c>([&](auto k) CIPHERLANE_INLINE {
        constexpr std::size_t later = c + 1 + k;
        lows[later] = low(lows[later], digit, m[later - c]);
        highs[later] = high(highs[later], digit, m[later - c - 1]);
      });
    });
    base[B] = add(base[B], carry);
    meanwhile(block, row);
    multiply_rows<B, Start::kSums, B>(base, m, constants.length, digits);
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

// Adds digit i of C - q, which is positive.
CIPHERLANE_INLINE inline auto offset_less(const Constants& constants, const Vector* q) {
  const Vector* offset = vectors(constants.offset);
  const Vector radix = _mm512_set1_epi64(static_cast<long long>(kDigitMask + 1));
  return [=](Vector sum, std::size_t i)
             CIPHERLANE_INLINE { return add(sum, _mm512_sub_epi64(add(radix, offset[i]), q[i])); };
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

// Lane j of rows[i] <-> lane i of rows[j].
CIPHERLANE_INLINE inline void transpose(Vector (&rows)[kLanes]) {
  Vector pairs[kLanes], quads[kLanes];
  unroll<4>([&](auto k) CIPHERLANE_INLINE {
    pairs[2 * k] = _mm512_unpacklo_epi64(rows[2 * k], rows[2 * k + 1]);
    pairs[2 * k + 1] = _mm512_unpackhi_epi64(rows[2 * k], rows[2 * k + 1]);
  });
  // pairs[2k + h] holds, in 128-bit part p, element 2p + h of rows 2k and 2k + 1.
  unroll<2>([&](auto h) CIPHERLANE_INLINE {
    quads[h] = _mm512_shuffle_i64x2(pairs[h], pairs[2 + h], 0x44);          // parts 0, 1 of rows 0-3
    quads[2 + h] = _mm512_shuffle_i64x2(pairs[h], pairs[2 + h], 0xee);      // parts 2, 3 of rows 0-3
    quads[4 + h] = _mm512_shuffle_i64x2(pairs[4 + h], pairs[6 + h], 0x44);  // the same of rows 4-7
    quads[6 + h] = _mm512_shuffle_i64x2(pairs[4 + h], pairs[6 + h], 0xee);
  });
  unroll<2>([&](auto h) CIPHERLANE_INLINE {
    rows[h] = _mm512_shuffle_i64x2(quads[h], quads[4 + h], 0x88);
    rows[2 + h] = _mm512_shuffle_i64x2(quads[h], quads[4 + h], 0xdd);
    rows[4 + h] = _mm512_shuffle_i64x2(quads[2 + h], quads[6 + h], 0x88);
    rows[6 + h] = _mm512_shuffle_i64x2(quads[2 + h], quads[6 + h], 0xdd);
  });
}

}  // namespace

void multiply_pair(std::uint64_t* r, const std::uint64_t* x, const std::uint64_t* y, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits], q[kMostDigits], ignored[kMostDigits], z0[kMostDigits];
  multiply_columns(columns, vectors(x), vectors(y), length);
  // x0 y1 is summed while the digits of q are found.
  reduce_columns(columns, constants, q, Nothing{}, [&](auto block, std::size_t row) CIPHERLANE_INLINE {
    if (row == 0)
      multiply_rows<block, Start::kUnset>(cross, vectors(x), length, vectors(y) + length);
    else
      multiply_rows<block, Start::kTailUnset>(cross + row, vectors(x), length, vectors(y) + length + row);
  });
  carry_columns(z0, columns + length, length);
  add_product(cross, vectors(x) + length, vectors(y), length);
  reduce_columns(cross, constants, ignored, offset_less(constants, q));
  carry_columns(vectors(r) + length, cross + length, length);
  for (std::size_t i = 0; i < length; ++i) vectors(r)[i] = z0[i];
}

void square_pair(std::uint64_t* r, const std::uint64_t* x, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits], q[kMostDigits], ignored[kMostDigits], z0[kMostDigits];
  square_columns(columns, vectors(x), length);
  reduce_columns(columns, constants, q, Nothing{}, [&](auto block, std::size_t row) CIPHERLANE_INLINE {
    if (row == 0)
      multiply_rows<block, Start::kUnset>(cross, vectors(x), length, vectors(x) + length);
    else
      multiply_rows<block, Start::kTailUnset>(cross + row, vectors(x), length, vectors(x) + length + row);
  });
  carry_columns(z0, columns + length, length);
  // x0 x1 twice: the columns are doubled before C - q joins them.
  for (std::size_t i = 0; i < 2 * length; ++i) cross[i] = add(cross[i], cross[i]);
  reduce_columns(cross, constants, ignored, offset_less(constants, q));
  carry_columns(vectors(r) + length, cross + length, length);
  for (std::size_t i = 0; i < length; ++i) vectors(r)[i] = z0[i];
}

void multiply_factored(std::uint64_t* state, const std::uint64_t* entry, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits], q[kMostDigits], ignored[kMostDigits];
  Vector* z = vectors(state);
  Vector* carried = z + length;
  Vector* sum = z + 2 * length;
  const Vector* t = vectors(entry);
  multiply_columns(columns, t, z, length);
  reduce_columns(columns, constants, q, Nothing{}, [&](auto block, std::size_t row) CIPHERLANE_INLINE {
    if (row == 0)
      multiply_rows<block, Start::kUnset>(cross, t, length, carried);
    else
      multiply_rows<block, Start::kTailUnset>(cross + row, t, length, carried + row);
  });
  carry_columns(z, columns + length, length);
  for (std::size_t i = 0; i < length; ++i) sum[i] = add(sum[i], t[length + i]);
  reduce_columns(cross, constants, ignored, offset_less(constants, q));
  carry_columns(carried, cross + length, length);
}

void carry_digits(std::uint64_t* a, const Constants& constants) {
  carry_columns(vectors(a), vectors(a), constants.length);
}

void multiply_mod(std::uint64_t* r, const std::uint64_t* a, const std::uint64_t* b, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits], q[kMostDigits];
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
  Vector columns[2 * kMostDigits], q[kMostDigits], ignored[kMostDigits];
  for (std::size_t i = 0; i < length; ++i) columns[i] = vectors(x)[i];
  clear(columns + length, length);
  reduce_columns(columns, constants, q);
  carry_columns(vectors(d0), columns + length, length);  // <= m, since x < R

  for (std::size_t i = 0; i < length; ++i) columns[i] = vectors(x)[length + i];
  clear(columns + length, length);
  reduce_columns(columns, constants, ignored, offset_less(constants, q));
  carry_columns(vectors(d1), columns + length, length);  // < m + 4

  // x0 >= m becomes x0 - m and one more m in x1.
  Vector carry = _mm512_maskz_set1_epi64(reduce_once(vectors(d0), constants), 1);
  for (std::size_t i = 0; i < length; ++i) {
    const Vector digit = add(vectors(d1)[i], carry);
    carry = carry_of(digit);
    vectors(d1)[i] = _mm512_and_si512(digit, mask());
  }
  reduce_once(vectors(d1), constants);
  wipe(columns, 2 * length);
}

void join_digits(std::uint64_t* value, const std::uint64_t* d0, const std::uint64_t* d1, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits];
  multiply_columns(columns, vectors(d1), vectors(constants.m), length);
  for (std::size_t i = 0; i < length; ++i) columns[i] = add(columns[i], vectors(d0)[i]);
  carry_columns(vectors(value), columns, 2 * length);
}

void combine_pairs(std::uint64_t* r, const std::uint64_t* const* numbers, const std::uint64_t* const* factors,
                   std::size_t parts, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits], q[kMostDigits], ignored[kMostDigits];
  const auto sum_products = [&](std::size_t half) {
    multiply_columns(columns, vectors(numbers[0]), vectors(factors[0]) + half, length);
    for (std::size_t k = 1; k < parts; ++k)
      add_product(columns, vectors(numbers[k]), vectors(factors[k]) + half, length);
  };
  sum_products(0);
  reduce_columns(columns, constants, q);
  carry_columns(vectors(r), columns + length, length);
  sum_products(length);
  reduce_columns(columns, constants, ignored, offset_less(constants, q));
  carry_columns(vectors(r) + length, columns + length, length);
}

void gather(std::uint64_t* r, const std::uint64_t* table, const std::uint64_t* indices, std::size_t width) {
  const std::uint64_t* from[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) from[lane] = table + indices[lane] * width;
  for (std::size_t i = 0; i < width; i += kLanes) {
    Vector rows[kLanes];
    unroll<kLanes>([&](auto lane) CIPHERLANE_INLINE { rows[lane] = _mm512_load_si512(from[lane] + i); });
    transpose(rows);
    unroll<kLanes>([&](auto k) CIPHERLANE_INLINE { vectors(r)[i + k] = rows[k]; });
  }
}

void scatter(std::uint64_t* const* to, const std::uint64_t* x, std::size_t width) {
  for (std::size_t i = 0; i < width; i += kLanes) {
    Vector columns[kLanes];
    unroll<kLanes>([&](auto k) CIPHERLANE_INLINE { columns[k] = vectors(x)[i + k]; });
    transpose(columns);
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      if (to[lane] != nullptr) _mm512_store_si512(to[lane] + i, columns[lane]);
  }
}

void select(std::uint64_t* r, const std::uint64_t* table, std::size_t window, const std::uint64_t* indices,
            std::size_t width) {
  // An index's low four bits pick from two vectors at a time, its higher bits blend the picks pair by pair.
  const Vector wanted = _mm512_loadu_si512(indices);
  const auto bit = [&](unsigned position)
                       CIPHERLANE_INLINE { return _mm512_test_epi64_mask(wanted, _mm512_set1_epi64(1ll << position)); };
  const auto all_words = [&](auto pairs) CIPHERLANE_INLINE {
    const __mmask8 higher[3] = {bit(4), bit(5), bit(6)};
    for (std::size_t i = 0; i < width; ++i, table += 2 * kLanes * pairs) {
      Vector picks[pairs];
      unroll<pairs>([&](auto k) CIPHERLANE_INLINE {
        picks[k] = _mm512_permutex2var_epi64(vectors(table)[2 * k], wanted, vectors(table)[2 * k + 1]);
      });
      unroll<3>([&](auto level) CIPHERLANE_INLINE {
        constexpr std::size_t left = pairs >> level;
        unroll<left / 2>([&](auto k) CIPHERLANE_INLINE {
          picks[k] = _mm512_mask_mov_epi64(picks[2 * k], higher[level], picks[2 * k + 1]);
        });
      });
      vectors(r)[i] = picks[0];
    }
  };
  switch (window) {
    case 4:
      all_words(Index<1>{});
      break;
    case 5:
      all_words(Index<2>{});
      break;
    case 6:
      all_words(Index<4>{});
      break;
    default:
      all_words(Index<8>{});
      break;
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
