// The kernels of vector_kernels.hpp over the operations of an instruction set:
//
//   Vector                                   kLanes numbers of 64 bits
//   zero(), repeat(x), add(a, b), subtract(a, b), digit_of(a) = a mod 2^w, carry_of(a) = a / 2^w, borrow_of(a) = a /
//   2^63 kHalves                                  whether a product comes in two halves of w bits multiply_add(low,
//   high, a, b)            low += low half of a b, high += high half; or low += a b add_high(high, a, b) high += high
//   half of a b; or nothing quotient(a, b)                           a b mod 2^w, for any a choose_if_zero(test, yes,
//   no)            lane by lane merge(a, b, mask)                        a | (b & mask) transpose(rows) lane j of
//   rows[i] <-> lane i of rows[j] select(r, table, window, indices, width)
//
// Included by one file for each instruction set, which specialises Operations.
#pragma once

#include "vector_kernels.hpp"

#define CIPHERLANE_INLINE __attribute__((always_inline))
// Unrolled pieces are called, not repeated: the code of a product then fits the processor's cache for instructions.
#define CIPHERLANE_CALLED __attribute__((noinline))

namespace cipherlane {
namespace {

template <class Isa>
struct Operations;

// Own compile-time loops: those of the standard library may not be instantiated under the flags of these files.
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

// What columns hold before a block of rows is added: sums everywhere, sums in all but the last B, nothing.
enum class Start { kSums, kTailUnset, kUnset };

template <class Isa>
struct Lockstep {
  using O = Operations<Isa>;
  using Vector = typename O::Vector;
  using K = VectorKernels<Isa>;
  using Constants = typename K::Constants;
  static constexpr std::size_t kLanes = K::kLanes;
  static constexpr std::size_t kMostDigits = K::kMostDigits;

  CIPHERLANE_INLINE static const Vector* vectors(const std::uint64_t* words) {
    return reinterpret_cast<const Vector*>(words);
  }
  CIPHERLANE_INLINE static Vector* vectors(std::uint64_t* words) { return reinterpret_cast<Vector*>(words); }

  CIPHERLANE_INLINE static void clear(Vector* columns, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) columns[i] = O::zero();
  }

  static void wipe(Vector* memory, std::size_t count) {
    clear(memory, count);
    __asm__ __volatile__("" : : "r"(memory) : "memory");
  }

  // columns[r + c] += a[c] b[r] for r < B, c < length; length >= B. Columns below First are left out. The multiplier's
  // B digits stay in registers, and each digit of a is loaded once a column: where products come in halves, for the low
  // half there and the high half in the next.
  template <std::size_t B, Start S, std::size_t First>
  CIPHERLANE_CALLED static void multiply_rows(Vector* columns, const Vector* a, std::size_t length, const Vector* b) {
    static_assert(First == 0 || First == B);
    Vector row[B];
    unroll<B>([&](auto r) CIPHERLANE_INLINE { row[r] = b[r]; });
    Vector highs = O::zero();
    if constexpr (First == B) unroll<B>([&](auto r) CIPHERLANE_INLINE { O::add_high(highs, a[B - 1 - r], row[r]); });
    // Column c with rows begin .. begin + count - 1.
    const auto column = [&](auto begin, auto count, auto unset, std::size_t c) CIPHERLANE_INLINE {
      Vector lows = unset() ? O::zero() : columns[c];
      Vector next = O::zero();
      unroll<count>([&](auto k) CIPHERLANE_INLINE { O::multiply_add(lows, next, a[c - begin - k], row[begin + k]); });
      columns[c] = O::add(lows, highs);
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
  CIPHERLANE_INLINE static void with_size(std::size_t size, Body&& body) {
    static_assert(K::kMostRows == 8);
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

  // columns += a b[row .. row + size) for one block of rows of b.
  template <Start S>
  CIPHERLANE_INLINE static void multiply_block(Vector* columns, const Vector* a, std::size_t length, const Vector* b,
                                               std::size_t row, std::size_t size) {
    with_size(size, [&](auto B) CIPHERLANE_INLINE { multiply_rows<B, S, 0>(columns + row, a, length, b + row); });
  }

  // Block k of a product that sets the columns as it goes.
  CIPHERLANE_INLINE static void multiply_next_block(Vector* columns, const Vector* a, const Vector* b,
                                                    const Constants& constants, std::size_t k) {
    const auto& block = constants.block[k];
    if (k == 0)
      multiply_block<Start::kUnset>(columns, a, constants.length, b, block.row, block.size);
    else
      multiply_block<Start::kTailUnset>(columns, a, constants.length, b, block.row, block.size);
  }

  CIPHERLANE_INLINE static void add_block(Vector* columns, const Vector* a, const Vector* b, const Constants& constants,
                                          std::size_t k) {
    const auto& block = constants.block[k];
    multiply_block<Start::kSums>(columns, a, constants.length, b, block.row, block.size);
  }

  // columns[0 .. 2L) <- a b
  CIPHERLANE_INLINE static void multiply_columns(Vector* columns, const Vector* a, const Vector* b,
                                                 const Constants& constants) {
    for (std::size_t k = 0; k < constants.blocks; ++k) multiply_next_block(columns, a, b, constants, k);
  }

  // columns[0 .. 2L) += a b
  CIPHERLANE_INLINE static void add_product(Vector* columns, const Vector* a, const Vector* b,
                                            const Constants& constants) {
    for (std::size_t k = 0; k < constants.blocks; ++k) add_block(columns, a, b, constants, k);
  }

  // columns[0 .. 2B) of a^2 for B digits, what is off the diagonal: pairs r < s once. The first B columns hold sums
  // unless S is kUnset.
  template <std::size_t B, Start S>
  CIPHERLANE_CALLED static void square_rows(Vector* columns, const Vector* a) {
    Vector digit[B];
    unroll<B>([&](auto r) CIPHERLANE_INLINE { digit[r] = a[r]; });
    Vector highs = O::zero();
    unroll<2 * B>([&](auto c) CIPHERLANE_INLINE {
      // r + s = c for r from max(0, c - B + 1) while r < s
      constexpr std::size_t first = c < B ? 0 : c - (B - 1);
      constexpr std::size_t pairs = (c + 1) / 2 > first ? (c + 1) / 2 - first : 0;
      Vector lows = S != Start::kUnset && c < B ? columns[c] : O::zero();
      Vector next = O::zero();
      unroll<pairs>([&](auto k)
                        CIPHERLANE_INLINE { O::multiply_add(lows, next, digit[first + k], digit[c - first - k]); });
      columns[c] = O::add(lows, highs);
      highs = next;
    });
  }

  // columns[0 .. 2L) <- a^2. A doubled digit might not fit a factor, so what is off the diagonal is summed once and the
  // sums are doubled.
  CIPHERLANE_INLINE static void square_columns(Vector* columns, const Vector* a, const Constants& constants) {
    for (std::size_t k = 0; k < constants.blocks; ++k) {
      const std::size_t row = constants.block[k].row;
      const std::size_t size = constants.block[k].size;
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
      Vector even = O::add(columns[2 * i], columns[2 * i]);
      Vector odd = O::add(columns[2 * i + 1], columns[2 * i + 1]);
      O::multiply_add(even, odd, a[i], a[i]);
      columns[2 * i] = even;
      columns[2 * i + 1] = odd;
    }
  }

  // Finds B Montgomery digits q of T = columns, in a triangle of registers, and adds the carry out of it to column B.
  // With an offset, digits of offset - less are added first; they are positive.
  template <std::size_t B, bool Offset>
  CIPHERLANE_CALLED static void find_digits(Vector* columns, const Vector* m, Vector inverse, Vector* q,
                                            const Vector* offset, const Vector* less) {
    // Low halves in one place, high halves in another: their sums do not wait for each other.
    Vector lows[B + 1], highs[B + 1];
    unroll<B>([&](auto c) CIPHERLANE_INLINE {
      lows[c] = columns[c];
      if constexpr (Offset) lows[c] = O::add(lows[c], O::subtract(offset[c], less[c]));
      highs[c] = O::zero();
    });
    Vector carry = O::zero();
    unroll<B>([&](auto c) CIPHERLANE_INLINE {
      const Vector t = O::add(O::add(lows[c], carry), highs[c]);
      const Vector digit = O::quotient(t, inverse);
      q[c] = digit;
      carry = O::carry_past(t, digit, m[0]);
      if constexpr (c + 1 < B) O::add_high(highs[c + 1], digit, m[0]);
      // The last column's high half belongs past the triangle: add_multiple has it.
      Vector ignored = O::zero();
      unroll<B - 1 - c>([&](auto k) CIPHERLANE_INLINE {
        O::multiply_add(lows[c + 1 + k], c + 2 + k < B ? highs[c + 2 + k] : ignored, digit, m[k + 1]);
      });
    });
    columns[B] = O::add(columns[B], carry);
  }

  // A Montgomery reduction, block by block: columns[L .. 2L) <- (T + q m) / R, not yet carried.
  class Reduction {
   public:
    CIPHERLANE_INLINE Reduction(Vector* columns, const Constants& constants, Vector* q)
        : columns_(columns), q_(q), constants_(constants), inverse_(O::repeat(constants.negated_inverse)) {}

    // The digits of block k: one long chain of dependent instructions. Requires add_multiple of the blocks before.
    template <bool Offset = false>
    CIPHERLANE_INLINE void find(std::size_t k, const Vector* less = nullptr) const {
      const std::size_t row = constants_.block[k].row;
      const Vector* m = vectors(constants_.m);
      with_size(constants_.block[k].size, [&](auto B) CIPHERLANE_INLINE {
        if constexpr (Offset)
          find_digits<B, true>(columns_ + row, m, inverse_, q_ + row, vectors(constants_.offset) + row, less + row);
        else
          find_digits<B, false>(columns_ + row, m, inverse_, q_ + row, nullptr, nullptr);
      });
    }

    CIPHERLANE_INLINE void add_multiple(std::size_t k) const {
      const std::size_t row = constants_.block[k].row;
      with_size(constants_.block[k].size, [&](auto B) CIPHERLANE_INLINE {
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
  CIPHERLANE_INLINE static void reduce_columns(Vector* columns, const Constants& constants) {
    Vector q[kMostDigits];
    const Reduction reduction(columns, constants, q);
    for (std::size_t k = 0; k < constants.blocks; ++k) {
      reduction.find(k);
      reduction.add_multiple(k);
    }
  }

  // columns[L .. 2L) <- REDC(columns), whose quotient digits are q; cross[L .. 2L) <- REDC(cross + C - q), where
  // cross_block(k) adds block k of the rows that cross is the sum of. The chains that find digits are long and narrow:
  // two of them, of the second reduction one block behind the first, and the products after them fill each other's
  // gaps.
  template <class CrossBlock>
  CIPHERLANE_INLINE static void reduce_both(Vector* columns, Vector* cross, const Constants& constants,
                                            CrossBlock&& cross_block) {
    Vector q[kMostDigits], cross_q[kMostDigits];
    const Reduction first(columns, constants, q);
    const Reduction second(cross, constants, cross_q);
    for (std::size_t k = 0; k < constants.blocks; ++k) {
      first.find(k);
      if (k > 0) second.template find<true>(k - 1, q);
      cross_block(k);
      first.add_multiple(k);
      if (k > 0) second.add_multiple(k - 1);
    }
    second.template find<true>(constants.blocks - 1, q);
    second.add_multiple(constants.blocks - 1);
  }

  // r <- columns as digits below 2^w
  CIPHERLANE_INLINE static void carry_columns(Vector* r, const Vector* columns, std::size_t length) {
    Vector carry = O::zero();
    for (std::size_t i = 0; i < length; ++i) {
      const Vector sum = O::add(columns[i], carry);
      r[i] = O::digit_of(sum);
      carry = O::carry_of(sum);
    }
  }

  // r <- r - m where r >= m. Returns 1 in the lanes in which it was, else 0.
  CIPHERLANE_INLINE static Vector reduce_once(Vector* r, const Constants& constants) {
    const Vector* m = vectors(constants.m);
    Vector reduced[kMostDigits];
    Vector borrow = O::zero();
    for (std::size_t i = 0; i < constants.length; ++i) {
      const Vector difference = O::subtract(O::subtract(r[i], m[i]), borrow);
      borrow = O::borrow_of(difference);
      reduced[i] = O::digit_of(difference);
    }
    for (std::size_t i = 0; i < constants.length; ++i) r[i] = O::choose_if_zero(borrow, reduced[i], r[i]);
    return O::subtract(O::repeat(1), borrow);
  }
};

}  // namespace

template <class Isa>
void VectorKernels<Isa>::multiply_pair(std::uint64_t* r, const std::uint64_t* x, const std::uint64_t* y,
                                       const Constants& constants) {
  using S = Lockstep<Isa>;
  using Vector = typename S::Vector;
  const std::size_t length = constants.length;
  const Vector* x0 = S::vectors(x);
  const Vector* y0 = S::vectors(y);
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits];
  S::multiply_columns(columns, x0, y0, constants);
  S::reduce_both(columns, cross, constants, [&](std::size_t k) CIPHERLANE_INLINE {
    S::multiply_next_block(cross, x0, y0 + length, constants, k);
    S::add_block(cross, x0 + length, y0, constants, k);
  });
  S::carry_columns(S::vectors(r), columns + length, length);
  S::carry_columns(S::vectors(r) + length, cross + length, length);
}

template <class Isa>
void VectorKernels<Isa>::square_pair(std::uint64_t* r, const std::uint64_t* x, const Constants& constants) {
  using S = Lockstep<Isa>;
  using Vector = typename S::Vector;
  const std::size_t length = constants.length;
  const Vector* x0 = S::vectors(x);
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits], twice[kMostDigits];
  S::square_columns(columns, x0, constants);
  for (std::size_t i = 0; i < length; ++i) twice[i] = S::O::add(x0[length + i], x0[length + i]);
  S::carry_columns(twice, twice, length);  // 2 x1 < 8m < R
  S::reduce_both(columns, cross, constants,
                 [&](std::size_t k) CIPHERLANE_INLINE { S::multiply_next_block(cross, x0, twice, constants, k); });
  S::carry_columns(S::vectors(r), columns + length, length);
  S::carry_columns(S::vectors(r) + length, cross + length, length);
}

template <class Isa>
void VectorKernels<Isa>::multiply_factored(std::uint64_t* state, const std::uint64_t* entry,
                                           const Constants& constants) {
  using S = Lockstep<Isa>;
  using Vector = typename S::Vector;
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits];
  Vector* z = S::vectors(state);
  Vector* carried = z + length;
  Vector* sum = z + 2 * length;
  const Vector* t = S::vectors(entry);
  S::multiply_columns(columns, t, z, constants);
  S::reduce_both(columns, cross, constants,
                 [&](std::size_t k) CIPHERLANE_INLINE { S::multiply_next_block(cross, t, carried, constants, k); });
  S::carry_columns(z, columns + length, length);
  S::carry_columns(carried, cross + length, length);
  for (std::size_t i = 0; i < length; ++i) sum[i] = S::O::add(sum[i], t[length + i]);
}

template <class Isa>
void VectorKernels<Isa>::carry_digits(std::uint64_t* a, const Constants& constants) {
  using S = Lockstep<Isa>;
  S::carry_columns(S::vectors(a), S::vectors(a), constants.length);
}

template <class Isa>
void VectorKernels<Isa>::multiply_mod(std::uint64_t* r, const std::uint64_t* a, const std::uint64_t* b,
                                      const Constants& constants) {
  using S = Lockstep<Isa>;
  const std::size_t length = constants.length;
  typename S::Vector columns[2 * kMostDigits];
  S::multiply_columns(columns, S::vectors(a), S::vectors(b), constants);
  S::reduce_columns(columns, constants);
  S::carry_columns(S::vectors(r), columns + length, length);
}

template <class Isa>
void VectorKernels<Isa>::add_mod(std::uint64_t* r, const std::uint64_t* a, const std::uint64_t* b,
                                 const Constants& constants) {
  using S = Lockstep<Isa>;
  using O = typename S::O;
  using Vector = typename S::Vector;
  // a + b < 4m; subtract 2m in the lanes where that does not borrow.
  const Vector* m = S::vectors(constants.m);
  Vector sum[kMostDigits], reduced[kMostDigits];
  Vector sum_carry = O::zero(), twice_carry = O::zero(), borrow = O::zero();
  for (std::size_t i = 0; i < constants.length; ++i) {
    const Vector digit = O::add(O::add(S::vectors(a)[i], S::vectors(b)[i]), sum_carry);
    sum_carry = O::carry_of(digit);
    sum[i] = O::digit_of(digit);
    const Vector twice = O::add(O::add(m[i], m[i]), twice_carry);
    twice_carry = O::carry_of(twice);
    const Vector difference = O::subtract(O::subtract(sum[i], O::digit_of(twice)), borrow);
    borrow = O::borrow_of(difference);
    reduced[i] = O::digit_of(difference);
  }
  for (std::size_t i = 0; i < constants.length; ++i) S::vectors(r)[i] = O::choose_if_zero(borrow, reduced[i], sum[i]);
}

template <class Isa>
void VectorKernels<Isa>::canonical_digits(std::uint64_t* d0, std::uint64_t* d1, const std::uint64_t* x,
                                          const Constants& constants) {
  using S = Lockstep<Isa>;
  using O = typename S::O;
  using Vector = typename S::Vector;
  const std::size_t length = constants.length;
  Vector columns[2 * kMostDigits], cross[2 * kMostDigits];
  for (std::size_t i = 0; i < length; ++i) columns[i] = S::vectors(x)[i], cross[i] = S::vectors(x)[length + i];
  S::clear(columns + length, length);
  S::clear(cross + length, length);
  S::reduce_both(columns, cross, constants, [](std::size_t) CIPHERLANE_INLINE {});
  S::carry_columns(S::vectors(d0), columns + length, length);  // <= m, since x0 < R
  S::carry_columns(S::vectors(d1), cross + length, length);    // < m + 4

  // x0 >= m becomes x0 - m and one more m in x1.
  Vector carry = S::reduce_once(S::vectors(d0), constants);
  for (std::size_t i = 0; i < length; ++i) {
    const Vector digit = O::add(S::vectors(d1)[i], carry);
    carry = O::carry_of(digit);
    S::vectors(d1)[i] = O::digit_of(digit);
  }
  S::reduce_once(S::vectors(d1), constants);
  S::wipe(columns, 2 * length);
  S::wipe(cross, 2 * length);
}

template <class Isa>
void VectorKernels<Isa>::join_digits(std::uint64_t* value, const std::uint64_t* d0, const std::uint64_t* d1,
                                     const Constants& constants) {
  using S = Lockstep<Isa>;
  const std::size_t length = constants.length;
  typename S::Vector columns[2 * kMostDigits];
  S::multiply_columns(columns, S::vectors(d1), S::vectors(constants.m), constants);
  for (std::size_t i = 0; i < length; ++i) columns[i] = S::O::add(columns[i], S::vectors(d0)[i]);
  S::carry_columns(S::vectors(value), columns, 2 * length);
}

template <class Isa>
void VectorKernels<Isa>::combine_pairs(std::uint64_t* r, const std::uint64_t* const* numbers,
                                       const std::uint64_t* const* factors, std::size_t parts,
                                       const Constants& constants) {
  using S = Lockstep<Isa>;
  const std::size_t length = constants.length;
  typename S::Vector columns[2 * kMostDigits], cross[2 * kMostDigits];
  S::multiply_columns(columns, S::vectors(numbers[0]), S::vectors(factors[0]), constants);
  for (std::size_t k = 1; k < parts; ++k)
    S::add_product(columns, S::vectors(numbers[k]), S::vectors(factors[k]), constants);
  S::reduce_both(columns, cross, constants, [&](std::size_t block) CIPHERLANE_INLINE {
    S::multiply_next_block(cross, S::vectors(numbers[0]), S::vectors(factors[0]) + length, constants, block);
    for (std::size_t k = 1; k < parts; ++k)
      S::add_block(cross, S::vectors(numbers[k]), S::vectors(factors[k]) + length, constants, block);
  });
  S::carry_columns(S::vectors(r), columns + length, length);
  S::carry_columns(S::vectors(r) + length, cross + length, length);
}

template <class Isa>
void VectorKernels<Isa>::gather(std::uint64_t* r, const std::uint64_t* table, const std::uint64_t* indices,
                                std::size_t width) {
  using S = Lockstep<Isa>;
  using Vector = typename S::Vector;
  const std::uint64_t* from[kLanes];
  for (std::size_t lane = 0; lane < kLanes; ++lane) from[lane] = table + indices[lane] * width;
  for (std::size_t i = 0; i < width; i += kLanes) {
    Vector rows[kLanes];
    unroll<kLanes>([&](auto lane) CIPHERLANE_INLINE { rows[lane] = *S::vectors(from[lane] + i); });
    S::O::transpose(rows);
    unroll<kLanes>([&](auto k) CIPHERLANE_INLINE { S::vectors(r)[i + k] = rows[k]; });
  }
}

template <class Isa>
void VectorKernels<Isa>::scatter(std::uint64_t* const* to, const std::uint64_t* x, std::size_t width) {
  using S = Lockstep<Isa>;
  using Vector = typename S::Vector;
  for (std::size_t i = 0; i < width; i += kLanes) {
    Vector columns[kLanes];
    unroll<kLanes>([&](auto k) CIPHERLANE_INLINE { columns[k] = S::vectors(x)[i + k]; });
    S::O::transpose(columns);
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      if (to[lane] != nullptr) *S::vectors(to[lane] + i) = columns[lane];
  }
}

template <class Isa>
void VectorKernels<Isa>::select(std::uint64_t* r, const std::uint64_t* table, std::size_t window,
                                const std::uint64_t* indices, std::size_t width) {
  using S = Lockstep<Isa>;
  S::O::select(S::vectors(r), S::vectors(table), window, indices, width);
}

template <class Isa>
void VectorKernels<Isa>::select_group(std::uint64_t* r, const std::uint64_t* groups, std::size_t count,
                                      std::uint64_t index, std::size_t vector_count) {
  using S = Lockstep<Isa>;
  using Vector = typename S::Vector;
  Vector* const to = S::vectors(r);
  Vector masks[kMostGroups];
  for (std::size_t group = 0; group < kMostGroups; ++group) {
    const std::uint64_t difference = group ^ index;
    masks[group] = S::O::repeat(((difference | (0 - difference)) >> 63) - 1);
  }
  for (std::size_t i = 0; i < vector_count; ++i) {
    const Vector* from = S::vectors(groups) + i;
    Vector chosen = S::O::zero();
    for (std::size_t group = 0; group < count; ++group)
      chosen = S::O::merge(chosen, from[group * vector_count], masks[group]);
    to[i] = chosen;
  }
  S::wipe(masks, kMostGroups);
}

template <class Isa>
std::uint64_t VectorKernels<Isa>::multiply_chains(std::size_t rounds) {
  using O = typename Lockstep<Isa>::O;
  using Vector = typename Lockstep<Isa>::Vector;
  Vector low[kChains], high[kChains];
  unroll<kChains>([&](auto k) CIPHERLANE_INLINE { low[k] = high[k] = O::repeat(k + 1); });
  Vector a = O::repeat(0x2345678);
  const Vector b = O::repeat(0x1abcdef);
  for (std::size_t round = 0; round < rounds; ++round) {
    unroll<kChains>([&](auto k) CIPHERLANE_INLINE {
      O::multiply_add(low[k], high[k], a, b);
      __asm__("" : "+v"(a));  // as if a changed: no product can be reused
    });
  }
  Vector sum = O::zero();
  unroll<kChains>([&](auto k) CIPHERLANE_INLINE { sum = O::add(sum, O::add(low[k], high[k])); });
  std::uint64_t words[kLanes];
  __builtin_memcpy(words, &sum, sizeof words);
  std::uint64_t result = 0;
  for (const std::uint64_t word : words) result += word;
  return result;
}

}  // namespace cipherlane
