#include "ifma_kernels.hpp"

#include <immintrin.h>

namespace cipherlane::ifma {
namespace {

using Vector = __m512i;
#define CIPHERLANE_INLINE __attribute__((always_inline))
// Unrolled pieces are called, not repeated: the code of a product then fits the processor's cache for instructions.
#define CIPHERLANE_CALLED __attribute__((noinline))

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
template <std::size_t B, Start S, std::size_t First>
CIPHERLANE_CALLED void multiply_rows(Vector* columns, const Vector* a, std::size_t length, const Vector* b) {
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

// Calls body(Index<B>) for B = size.
template <class Body>
CIPHERLANE_INLINE inline void with_size(std::size_t size, Body&& body) {
  switch (size) {
    case 4:
      body(Index<4>{});
      break;
    case 5:
      body(Index<5>{});
      break;
    case 6:
      body(Index<6>{});
      break;
    case 7:
      body(Index<7>{});
      break;
    default:
      body(Index<8>{});
      break;
  }
}

// columns += (a b[row .. row + size)) 2^(52 row) for one block of rows of b.
template <Start S>
CIPHERLANE_INLINE inline void multiply_block(Vector* columns, const Vector* a, std::size_t length, const Vector* b,
                                             std::size_t row, std::size_t size) {
  with_size(size, [&](auto B) CIPHERLANE_INLINE { multiply_rows<B, S, 0>(columns + row, a, length, b + row); });
}

// Block k of a product that sets the columns as it goes.
CIPHERLANE_INLINE inline void multiply_next_block(Vector* columns, const Vector* a, const Vector* b,
                                                  const Constants& constants, std::size_t k) {
  const Block& block = constants.block[k];
  if (k == 0)
    multiply_block<Start::kUnset>(columns, a, constants.length, b, block.row, block.size);
  else
    multiply_block<Start::kTailUnset>(columns, a, constants.length, b, block.row, block.size);
}

CIPHERLANE_INLINE inline void add_block(Vector* columns, const Vector* a, const Vector* b, const Constants& constants,
                                        std::size_t k) {
  const Block& block = constants.block[k];
  multiply_block<Start::kSums>(columns, a, constants.length, b, block.row, block.size);
}

// columns[0 .. 2L) <- a b
void multiply_columns(Vector* columns, const Vector* a, const Vector* b, const Constants& constants) {
  for (std::size_t k = 0; k < constants.blocks; ++k) multiply_next_block(columns, a, b, constants, k);
}

// columns[0 .. 2L) += a b
void add_product(Vector* columns, const Vector* a, const Vector* b, const Constants& constants) {
  for (std::size_t k = 0; k < constants.blocks; ++k) add_block(columns, a, b, constants, k);
}

// columns[0 .. 2B) of a^2 for B digits, what is off the diagonal: pairs r < s once. The first B columns hold sums
// unless S is kUnset.
template <std::size_t B, Start S>
CIPHERLANE_CALLED void square_rows(Vector* columns, const Vector* a) {
  Vector digit[B];
  unroll<B>([&](auto r) CIPHERLANE_INLINE { digit[r] = a[r]; });
  Vector highs = zero();
  unroll<2 * B>([&](auto c) CIPHERLANE_INLINE {
    // r + s = c for r from max(0, c - B + 1) while r < s
    constexpr std::size_t first = c < B ? 0 : c - (B - 1);
    constexpr std::size_t pairs = (c + 1) / 2 > first ? (c + 1) / 2 - first : 0;
    Vector lows = S != Start::kUnset && c < B ? columns[c] : zero();
    Vector next = zero();
    unroll<pairs>([&](auto k) CIPHERLANE_INLINE {
      lows = low(lows, digit[first + k], digit[c - first - k]);
      next = high(next, digit[first + k], digit[c - first - k]);
    });
    columns[c] = add(lows, highs);
    highs = next;
  });
}

// columns[0 .. 2L) <- a^2. A doubled digit would not fit a factor's 52 bits, so what is off the diagonal is summed
// once and the sums are doubled.
void square_columns(Vector* columns, const Vector* a, const Constants& constants) {
  for (std::size_t k = 0; k < constants.blocks; ++k) {
    const auto [row, size] = constants.block[k];
    // With all digits before the block, of which there are none or at least as many as in the block.
    if (k > 0) multiply_block<Start::kTailUnset>(columns, a, row, a, row, size);
    with_size(size, [&](auto B) CIPHERLANE_INLINE {
      if (k == 0)
        square_rows<B, Start::kUnset>(columns, a);
      else
        square_rows<B, Start::kTailUnset>(columns + 2 * row, a + row);
    });
  }
  for (std::size_t i = 0; i < constants.length; ++i) {
    columns[2 * i] = low(add(columns[2 * i], columns[2 * i]), a[i], a[i]);
    columns[2 * i + 1] = high(add(columns[2 * i + 1], columns[2 * i + 1]), a[i], a[i]);
  }
}

// Finds B Montgomery digits q of T = columns, in a triangle of registers, and adds the carry out of it to column B.
// The low 52 bits of a column become zero, so that what it carries is its sum divided by 2^52 and rounded up, whatever
// the digit. With an offset, digits of offset - less are added first; they are positive.
template <std::size_t B, bool Offset>
CIPHERLANE_CALLED void find_digits(Vector* columns, const Vector* m, Vector inverse, Vector* q, const Vector* offset,
                                   const Vector* less) {
  Vector lows[B], highs[B];
  unroll<B>([&](auto c) CIPHERLANE_INLINE {
    lows[c] = columns[c];
    if constexpr (Offset) lows[c] = add(lows[c], _mm512_sub_epi64(offset[c], less[c]));
    highs[c] = zero();
  });
  Vector carry = zero();
  unroll<B>([&](auto c) CIPHERLANE_INLINE {
    const Vector t = add(add(lows[c], carry), highs[c]);
    const Vector digit = low(zero(), t, inverse);
    q[c] = digit;
    carry = carry_of(add(t, mask()));
    unroll<B - 1 - c>([&](auto k) CIPHERLANE_INLINE {
      constexpr std::size_t later = c + 1 + k;
      lows[later] = low(lows[later], digit, m[later - c]);
      highs[later] = high(highs[later], digit, m[later - c - 1]);
    });
  });
  columns[B] = add(columns[B], carry);
}

// A Montgomery reduction, block by block: columns[L .. 2L) <- (T + q m) / R, not yet carried.
class Reduction {
 public:
  CIPHERLANE_INLINE Reduction(Vector* columns, const Constants& constants, Vector* q)
      : columns_(columns),
        q_(q),
        constants_(constants),
        inverse_(_mm512_set1_epi64(static_cast<long long>(constants.negated_inverse))) {}

  // The digits of block k: one long chain of dependent instructions. Requires add_multiple of the blocks before.
  template <bool Offset = false>
  CIPHERLANE_INLINE void find(std::size_t k, const Vector* less = nullptr) const {
    const auto [row, size] = constants_.block[k];
    const Vector* m = vectors(constants_.m);
    with_size(size, [&, row = row](auto B) CIPHERLANE_INLINE {
      if constexpr (Offset)
        find_digits<B, true>(columns_ + row, m, inverse_, q_ + row, vectors(constants_.offset) + row, less + row);
      else
        find_digits<B, false>(columns_ + row, m, inverse_, q_ + row, nullptr, nullptr);
    });
  }

  CIPHERLANE_INLINE void add_multiple(std::size_t k) const {
    const auto [row, size] = constants_.block[k];
    with_size(size, [&, row = row](auto B) CIPHERLANE_INLINE {
      multiply_rows<B, Start::kSums, B>(columns_ + row, vectors(constants_.m), constants_.length, q_ + row);
    });
  }

 private:
  Vector* columns_;
  Vector* q_;
  const Constants& constants_;
  Vector inverse_;
};

// columns[L .. 2L) <- REDC(columns)
void reduce_columns(Vector* columns, const Constants& constants) {
  Vector q[kMostDigits];
  const Reduction reduction(columns, constants, q);
  for (std::size_t k = 0; k < constants.blocks; ++k) {
    reduction.find(k);
    reduction.add_multiple(k);
  }
}

// columns[L .. 2L) <- REDC(columns), whose quotient digits are q; cross[L .. 2L) <- REDC(cross + C - q), where
// cross_block(k) adds block k of the rows that cross is the sum of. The chains that find digits are long and narrow:
// two of them, of the second reduction one block behind the first, and the products after them fill each other's gaps.
template <class CrossBlock>
CIPHERLANE_INLINE inline void reduce_both(Vector* columns, Vector* cross, const Constants& constants,
                                          CrossBlock&& cross_block) {
  Vector q[kMostDigits], cross_q[kMostDigits];
  const Reduction first(columns, constants, q);
  const Reduction second(cross, constants, cross_q);
  for (std::size_t k = 0; k < constants.blocks; ++k) {
    first.find(k);
    if (k > 0) second.find<true>(k - 1, q);
    cross_block(k);
    first.add_multiple(k);
    if (k > 0) second.add_multiple(k - 1);
  }
  second.find<true>(constants.blocks - 1, q);
  second.add_multiple(constants.blocks - 1);
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
  const Vector* x0 = vectors(x);
  const Vector* y0 = vectors(y);
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits];
  multiply_columns(columns, x0, y0, constants);
  reduce_both(columns, cross, constants, [&](std::size_t k) CIPHERLANE_INLINE {
    multiply_next_block(cross, x0, y0 + length, constants, k);
    add_block(cross, x0 + length, y0, constants, k);
  });
  carry_columns(vectors(r), columns + length, length);
  carry_columns(vectors(r) + length, cross + length, length);
}

void square_pair(std::uint64_t* r, const std::uint64_t* x, const Constants& constants) {
  const std::size_t length = constants.length;
  const Vector* x0 = vectors(x);
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits], twice[kMostDigits];
  square_columns(columns, x0, constants);
  for (std::size_t i = 0; i < length; ++i) twice[i] = add(x0[length + i], x0[length + i]);
  carry_columns(twice, twice, length);  // 2 x1 < 8m < R
  reduce_both(columns, cross, constants,
              [&](std::size_t k) CIPHERLANE_INLINE { multiply_next_block(cross, x0, twice, constants, k); });
  carry_columns(vectors(r), columns + length, length);
  carry_columns(vectors(r) + length, cross + length, length);
}

void multiply_mod(std::uint64_t* r, const std::uint64_t* a, const std::uint64_t* b, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits];
  multiply_columns(columns, vectors(a), vectors(b), constants);
  reduce_columns(columns, constants);
  carry_columns(vectors(r), columns + length, length);
}

void multiply_factored(std::uint64_t* state, const std::uint64_t* entry, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits];
  Vector* z = vectors(state);
  Vector* carried = z + length;
  Vector* sum = z + 2 * length;
  const Vector* t = vectors(entry);
  multiply_columns(columns, t, z, constants);
  reduce_both(columns, cross, constants,
              [&](std::size_t k) CIPHERLANE_INLINE { multiply_next_block(cross, t, carried, constants, k); });
  carry_columns(z, columns + length, length);
  carry_columns(carried, cross + length, length);
  for (std::size_t i = 0; i < length; ++i) sum[i] = add(sum[i], t[length + i]);
}

void carry_digits(std::uint64_t* a, const Constants& constants) {
  carry_columns(vectors(a), vectors(a), constants.length);
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
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits];
  for (std::size_t i = 0; i < length; ++i) columns[i] = vectors(x)[i], cross[i] = vectors(x)[length + i];
  clear(columns + length, length);
  clear(cross + length, length);
  reduce_both(columns, cross, constants, [](std::size_t) {});
  carry_columns(vectors(d0), columns + length, length);  // <= m, since x0 < R
  carry_columns(vectors(d1), cross + length, length);    // < m + 4

  // x0 >= m becomes x0 - m and one more m in x1.
  Vector carry = _mm512_maskz_set1_epi64(reduce_once(vectors(d0), constants), 1);
  for (std::size_t i = 0; i < length; ++i) {
    const Vector digit = add(vectors(d1)[i], carry);
    carry = carry_of(digit);
    vectors(d1)[i] = _mm512_and_si512(digit, mask());
  }
  reduce_once(vectors(d1), constants);
  wipe(columns, 2 * length);
  wipe(cross, 2 * length);
}

void join_digits(std::uint64_t* value, const std::uint64_t* d0, const std::uint64_t* d1, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits];
  multiply_columns(columns, vectors(d1), vectors(constants.m), constants);
  for (std::size_t i = 0; i < length; ++i) columns[i] = add(columns[i], vectors(d0)[i]);
  carry_columns(vectors(value), columns, 2 * length);
}

void combine_pairs(std::uint64_t* r, const std::uint64_t* const* numbers, const std::uint64_t* const* factors,
                   std::size_t parts, const Constants& constants) {
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits];
  multiply_columns(columns, vectors(numbers[0]), vectors(factors[0]), constants);
  for (std::size_t k = 1; k < parts; ++k) add_product(columns, vectors(numbers[k]), vectors(factors[k]), constants);
  reduce_both(columns, cross, constants, [&](std::size_t block) CIPHERLANE_INLINE {
    multiply_next_block(cross, vectors(numbers[0]), vectors(factors[0]) + length, constants, block);
    for (std::size_t k = 1; k < parts; ++k)
      add_block(cross, vectors(numbers[k]), vectors(factors[k]) + length, constants, block);
  });
  carry_columns(vectors(r), columns + length, length);
  carry_columns(vectors(r) + length, cross + length, length);
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
    const __mmask8 higher[2] = {bit(4), bit(5)};
    for (std::size_t i = 0; i < width; ++i, table += 2 * kLanes * pairs) {
      Vector picks[pairs];
      unroll<pairs>([&](auto k) CIPHERLANE_INLINE {
        picks[k] = _mm512_permutex2var_epi64(vectors(table)[2 * k], wanted, vectors(table)[2 * k + 1]);
      });
      unroll<2>([&](auto level) CIPHERLANE_INLINE {
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
    default:
      all_words(Index<4>{});
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
