// Arithmetic mod n and mod n^2 on numbers spread over a group of threads.
//
// B = 2^(32 L) for L = T W limbs; n < B is odd, of any length, at least 5. Montgomery's R is 2^32 B: one step more than
// there are limbs. That step costs 1/L of a reduction and leaves results so close to n that one conditional subtraction
// makes them fit, though n may fill all its limbs.
//
// Bounds. Let C = min(B, 2^16 n). A number is Lazy when it is below C, Reduced when below both B and n + C/2^31 + 3
// (hence below 2n - 1, and Lazy), and Canonical when below n. A residue mod n^2 is a pair (x0, x1) that stands for
// x0 + x1 n, in Montgomery form.
//   REDC(t) = (t + q n)/R with q <= R - 1 is < t/R + n.
//   z0 = REDC(x0 y0), t < C^2 <= C B:                               z0 < n + C/2^32.
//   z1 = REDC(x0 y1 + x1 y0 + (R - 1 - q) + offset), where offset = -(R - 1) mod n makes R - 1 - q + offset = -q mod n,
//        t < 2 C^2 + R + n:                                         z1 < n + C/2^31 + 2.
//   A z0 >= B becomes z0 - n < C/2^32, and z1 + 1 < n + C/2^31 + 3; a z1 >= B becomes z1 - n < C/2^31 + 3. So both are
//   Reduced. A z0 or z1 below 2n that is not below B leaves the group by one bit.
//   A factor that is Canonical leaves the other free: with x below n and y any number below B every t above is smaller
//   still, as n B <= C B.
// A thread's share V of the accumulator, at most three products a step: V <- V/2^32 + 3 2^(32 W) + 2^(32 W) keeps it
// below 5 2^(32 W) between steps and below 4 2^(32 (W + 1)) within: `top` stays below 4, what a thread owes the next
// below 5.
//
// Carries between threads: bit l of two ballots says whether thread l sends a carry on its own (G), or would pass one
// on (P, all limbs full); (2 G + P) ^ P are the carries that come in, that out of the group on top. A thread that took
// a small word (below 2^32) and carried is not full, so for l > 0 bit l is never in both.
#pragma once

#include <cassert>

#include "limbs.cuh"

#ifdef __CUDA_ARCH__
#define CIPHERLANE_ASSERT(condition)
#else
#define CIPHERLANE_ASSERT(condition) assert((condition) || any_planted())
#endif

namespace cipherlane::kernels {

// A modulus: its limbs in registers, its other constants in memory, L limbs each, 16-byte aligned:
//   n | offset | one, 2 parts: R mod n^2 | square, 2 parts: R^2 mod n^2 | upper, 2 parts: R^2 B mod n^2
// with Canonical pairs x0, x1. The last two pairs are what Evaluate takes for a number of 2 L limbs.
template <class Lanes, int W>
struct Modulus {
  using Word = typename Lanes::Word;
  static constexpr int kThreads = Lanes::kThreads;
  static constexpr int kLimbs = kThreads * W;
  static constexpr int kConstantParts = 8;

  CIPHERLANE_DEVICE explicit Modulus(const std::uint32_t* memory) : constants(memory) {
    Lanes::template load_constant<W>(n, memory);
    // Newton's iteration: 3 correct bits, 6, 12, 24, 48.
    const std::uint32_t low = memory[0];
    std::uint32_t inverse = low;
    for (int step = 0; step < 4; ++step) inverse *= 2 - low * inverse;
    negated_inverse = 0 - inverse;
    first = Lanes::first();
  }
  CIPHERLANE_DEVICE const std::uint32_t* offset() const { return constants + kLimbs; }
  CIPHERLANE_DEVICE const std::uint32_t* one() const { return constants + 2 * kLimbs; }
  CIPHERLANE_DEVICE const std::uint32_t* square() const { return constants + 4 * kLimbs; }

  Word n[W];
  const std::uint32_t* constants;
  std::uint32_t negated_inverse;  // -n^-1 mod 2^32
  Word first;                     // all ones in the first thread
};

template <class Lanes, int W>
struct Pair {
  typename Lanes::Word x0[W], x1[W];
};

// Words of a residue in memory: x0 then x1.
template <class Lanes, int W>
constexpr std::size_t kRow = 2 * Lanes::kThreads * W;

template <class Lanes, int W>
CIPHERLANE_DEVICE void load_pair(Pair<Lanes, W>& r, const std::uint32_t* from) {
  Lanes::template load<W>(r.x0, from);
  Lanes::template load<W>(r.x1, from + Lanes::kThreads * W);
}
template <class Lanes, int W>
CIPHERLANE_DEVICE void store_pair(std::uint32_t* to, const Pair<Lanes, W>& x) {
  Lanes::template store<W>(to, x.x0);
  Lanes::template store<W>(to + Lanes::kThreads * W, x.x1);
}

// As load_pair, from memory that the kernel does not write.
template <class Lanes, int W>
CIPHERLANE_DEVICE void load_constant_pair(Pair<Lanes, W>& r, const std::uint32_t* from) {
  Lanes::template load_constant<W>(r.x0, from);
  Lanes::template load_constant<W>(r.x1, from + Lanes::kThreads * W);
}

// r <- the bits [start, start + bits) of a number in memory; those past its end are 0. bits <= 32 L.
template <class Lanes, int W>
CIPHERLANE_DEVICE void load_bits(typename Lanes::Word* r, const std::uint32_t* words, std::uint32_t count,
                                 std::uint32_t start, std::uint32_t bits) {
  using Word = typename Lanes::Word;
  const int shift = static_cast<int>(start % 32);
  const Word place = Lanes::lanes() * Word(W);
  Word here = Lanes::gather(words, place + Word(start / 32), count);
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) {
    const Word limb = place + Word(static_cast<std::uint32_t>(j));
    const Word next = Lanes::gather(words, limb + Word(start / 32 + 1), count);
    Word x = here >> shift;
    if (!planted(Mutant::kPartAcrossWords)) x = x | (next << 1) << (31 - shift);
    r[j] = Lanes::keep_bits(x, limb, planted(Mutant::kPartLength) ? bits + 1 : bits);
    here = next;
  }
}

// r <- a number in memory of at most L limbs.
template <class Lanes, int W>
CIPHERLANE_DEVICE void load_words(typename Lanes::Word* r, const std::uint32_t* words, std::uint32_t count) {
  load_bits<Lanes, W>(r, words, count, 0, 32 * Lanes::kThreads * W);
}

// to[0 .. count) <- the limbs of x from `first` on: those that count leaves. Limbs past x's are not written.
template <class Lanes, int W>
CIPHERLANE_DEVICE void store_words(std::uint32_t* to, std::uint32_t count, std::uint32_t first,
                                   const typename Lanes::Word* x) {
  using Word = typename Lanes::Word;
  const Word place = Lanes::lanes() * Word(W) + Word(first);
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) Lanes::scatter(to, place + Word(static_cast<std::uint32_t>(j)), count, x[j]);
}

// to[first .. count) <- 0
template <class Lanes>
CIPHERLANE_DEVICE void clear_words(std::uint32_t* to, std::uint32_t count, std::uint32_t first) {
  using Word = typename Lanes::Word;
  CIPHERLANE_ROLLED
  for (; first < count; first += Lanes::kThreads) Lanes::scatter(to, Lanes::lanes() + Word(first), count, Word(0));
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void copy(typename Lanes::Word* r, const typename Lanes::Word* a) {
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) r[j] = a[j];
}

template <class Lanes>
CIPHERLANE_DEVICE typename Lanes::Bits look_ahead(typename Lanes::Bits generate, typename Lanes::Bits pass) {
  if (planted(Mutant::kCarryThroughThread)) pass = 0;
  return (2 * generate + pass) ^ pass;
}

template <class Lanes>
CIPHERLANE_DEVICE std::uint32_t out_of_group(typename Lanes::Bits carries) {
  return static_cast<std::uint32_t>(carries >> Lanes::kThreads);
}

// Adds to each thread the carry of those below; returns the one out of the group. `carry` is 0 or 1.
template <class Lanes, int W>
CIPHERLANE_DEVICE std::uint32_t carry_across(typename Lanes::Word* r, typename Lanes::Word carry) {
  typename Lanes::Word full = r[0];
  CIPHERLANE_UNROLL
  for (int j = 1; j < W; ++j) full = full & r[j];
  const auto carries = look_ahead<Lanes>(Lanes::where_equal(carry, 1), Lanes::where_equal(full, 0xffffffffu));
  add_word<Lanes, W>(r, Lanes::spread(carries));
  return planted(Mutant::kCarryOutOfGroup) ? 0 : out_of_group<Lanes>(carries);
}

// As carry_across for borrows: a thread whose limbs are all 0 passes one on, and one that borrowed is not 0.
template <class Lanes, int W>
CIPHERLANE_DEVICE std::uint32_t borrow_across(typename Lanes::Word* r, typename Lanes::Word borrow) {
  typename Lanes::Word any = r[0];
  CIPHERLANE_UNROLL
  for (int j = 1; j < W; ++j) any = any | r[j];
  auto pass = Lanes::where_equal(any, 0);
  if (planted(Mutant::kBorrowThroughThread)) pass = 0;
  auto borrows = look_ahead<Lanes>(Lanes::where_equal(borrow, 1), pass);
  if (planted(Mutant::kBorrowAcross)) borrows &= ~((typename Lanes::Bits{1} << Lanes::kThreads) - 1);
  subtract_word<Lanes, W>(r, Lanes::spread(borrows));
  return out_of_group<Lanes>(borrows);
}

// r + B result <- r + sum_l overhang_l 2^(32 W (l + 1)) + first
template <class Lanes, int W>
CIPHERLANE_DEVICE std::uint32_t settle(typename Lanes::Word* r, typename Lanes::Word overhang, std::uint32_t first) {
  const std::uint32_t last = Lanes::broadcast(overhang, Lanes::kThreads - 1);
  typename Lanes::Word owed = Lanes::from_previous(overhang, first);
  if (planted(Mutant::kOverhang)) owed = Lanes::only(first, 0);
  return last + carry_across<Lanes, W>(r, add_word<Lanes, W>(r, owed));
}

// r <- r + B over - n over, the complement B - n of n added where over = 1.
// Requires over 0 or 1, and 0 <= r + B over - n over < B.
template <class Lanes, int W>
CIPHERLANE_DEVICE void subtract_if_over(typename Lanes::Word* r, std::uint32_t over, const Modulus<Lanes, W>& m) {
  CIPHERLANE_ASSERT(over <= 1);
  typename Lanes::Word complement[W];
  const typename Lanes::Word mask(0 - over);
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) complement[j] = ~m.n[j] & mask;
  typename Lanes::Word carry = add_limbs<Lanes, W>(r, r, complement);
  // In the first thread this may carry on top of add_limbs, but not both: over + ~n_0 <= 2^(32 W).
  carry = carry + add_word<Lanes, W>(r, Lanes::only(over, 0));
  const std::uint32_t out = carry_across<Lanes, W>(r, carry);
  CIPHERLANE_ASSERT(out == 0);
  (void)out;
}

// r <- r - n if r >= n: Canonical. Requires r < 2n.
template <class Lanes, int W>
CIPHERLANE_DEVICE std::uint32_t reduce_once(typename Lanes::Word* r, const Modulus<Lanes, W>& m) {
  typename Lanes::Word difference[W];
  const std::uint32_t below = borrow_across<Lanes, W>(difference, subtract_limbs<Lanes, W>(difference, r, m.n));
  const typename Lanes::Word keep(0 - below);
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) r[j] = (r[j] & keep) | (difference[j] & ~keep);
  return 1 - below;
}

// r <- a + b + carry mod n, Canonical. Requires a + b + carry < 2n. Returns whether n was taken away.
template <class Lanes, int W>
CIPHERLANE_DEVICE std::uint32_t add_mod(typename Lanes::Word* r, const typename Lanes::Word* a,
                                        const typename Lanes::Word* b, std::uint32_t carry,
                                        const Modulus<Lanes, W>& m) {
  typename Lanes::Word sum[W], difference[W];
  typename Lanes::Word out = add_limbs<Lanes, W>(sum, a, b);
  // a_0 + b_0 + 1 < 2^(32 W + 1): at most one of the two carries.
  out = out + add_word<Lanes, W>(sum, Lanes::only(carry, 0));
  const std::uint32_t over = carry_across<Lanes, W>(sum, out);
  const std::uint32_t below = borrow_across<Lanes, W>(difference, subtract_limbs<Lanes, W>(difference, sum, m.n));
  // B over + sum >= n where the sum left the group or the difference did not borrow; both at once cannot be, as the sum
  // is below 2n < n + B.
  const std::uint32_t reduced = over | (1 - below);
  const typename Lanes::Word keep(reduced - 1);
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) r[j] = (sum[j] & keep) | (difference[j] & ~keep);
  return reduced;
}

// r <- a - b - borrow mod n, Canonical. Requires -n <= a - b - borrow < n. Returns whether n was added.
template <class Lanes, int W>
CIPHERLANE_DEVICE std::uint32_t sub_mod(typename Lanes::Word* r, const typename Lanes::Word* a,
                                        const typename Lanes::Word* b, std::uint32_t borrow,
                                        const Modulus<Lanes, W>& m) {
  typename Lanes::Word difference[W], addend[W];
  typename Lanes::Word owed = subtract_limbs<Lanes, W>(difference, a, b);
  // The first thread may be 0 after its own borrow only where `borrow` made it so; nothing runs through it.
  owed = owed + subtract_word<Lanes, W>(difference, Lanes::only(borrow, 0));
  const std::uint32_t below = borrow_across<Lanes, W>(difference, owed);
  const typename Lanes::Word mask(0 - below);
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) addend[j] = m.n[j] & mask;
  carry_across<Lanes, W>(difference, add_limbs<Lanes, W>(difference, difference, addend));
  copy<Lanes, W>(r, difference);
  return below;
}

// A sum that moves down one limb before each product; V of limbs.cuh, spread over the group. `Parity` says which array
// is even in this step; W is even, so a thread's limbs bring it back. The lowest limb of all is 0 when it moves down,
// which is what then comes in on top.
template <class Lanes, int W>
class Accumulator {
 public:
  using Word = typename Lanes::Word;

  // 0 after its first move.
  CIPHERLANE_DEVICE Accumulator() : top_(0) {
    CIPHERLANE_UNROLL
    for (int j = 0; j < W; ++j) limbs_[0][j] = limbs_[1][j] = Word(0);
  }
  // x after its first move.
  CIPHERLANE_DEVICE explicit Accumulator(const Word* x) : top_(0) {
    CIPHERLANE_UNROLL
    for (int j = 0; j < W; ++j) limbs_[0][j] = x[j], limbs_[1][j] = Word(0);
  }
  // -(R - 1) mod n after its first move.
  CIPHERLANE_DEVICE explicit Accumulator(const Modulus<Lanes, W>& m) : top_(0) {
    Lanes::template load_constant<W>(limbs_[0], m.offset());
    CIPHERLANE_UNROLL
    for (int j = 0; j < W; ++j) limbs_[1][j] = Word(0);
  }

  // Moves down, then adds a b.
  template <int Parity>
  CIPHERLANE_DEVICE void step(const Word* a, std::uint32_t b) {
    const Word incoming = Lanes::from_next(limbs_[1 - Parity][0]);
    shift_multiply_add<Lanes, W>(limbs_[Parity], limbs_[1 - Parity], top_, incoming, a, b);
  }
  // Moves down, then adds a word at the lowest limb.
  template <int Parity>
  CIPHERLANE_DEVICE void step(std::uint32_t addend) {
    const Word incoming = Lanes::from_next(limbs_[1 - Parity][0]);
    shift_add<Lanes, W>(limbs_[Parity], limbs_[1 - Parity], top_, incoming, Lanes::only(addend, 0));
  }
  // Adds a b + addend.
  template <int Parity>
  CIPHERLANE_DEVICE void add(const Word* a, std::uint32_t b, std::uint32_t addend, const Modulus<Lanes, W>& m) {
    multiply_add_with<Lanes, W>(limbs_[Parity], limbs_[1 - Parity], top_, a, b, Word(addend) & m.first);
  }
  // Adds q n so that the lowest limb of all becomes 0; returns q.
  template <int Parity>
  CIPHERLANE_DEVICE std::uint32_t reduce(const Modulus<Lanes, W>& m) {
    const std::uint32_t q = Lanes::broadcast(limbs_[Parity][0], 0) * m.negated_inverse;
    multiply_add<Lanes, W>(limbs_[Parity], limbs_[1 - Parity], top_, m.n, q);
    return q;
  }
  // As reduce, with q n + addend.
  template <int Parity>
  CIPHERLANE_DEVICE void reduce_with(std::uint32_t addend, const Modulus<Lanes, W>& m) {
    const std::uint32_t q = (Lanes::broadcast(limbs_[Parity][0], 0) + addend) * m.negated_inverse;
    multiply_add_with<Lanes, W>(limbs_[Parity], limbs_[1 - Parity], top_, m.n, q, Word(addend) & m.first);
  }
  // Takes the lowest limb of all away, as reduce does: from_next gives it to the last thread.
  template <int Parity>
  CIPHERLANE_DEVICE std::uint32_t take_lowest() {
    const std::uint32_t lowest = Lanes::broadcast(limbs_[Parity][0], 0);
    limbs_[Parity][0] = Lanes::replace(limbs_[Parity][0], 0, 0);
    return lowest;
  }
  // r + B result <- the sum, moved down, plus `first`. Parity is that of a step that would follow.
  template <int Parity>
  CIPHERLANE_DEVICE std::uint32_t finish(Word* r, std::uint32_t first) const {
    const Word incoming = Lanes::from_next(limbs_[1 - Parity][0]);
    return settle<Lanes, W>(r, shift_out<Lanes, W>(r, limbs_[Parity], limbs_[1 - Parity], top_, incoming), first);
  }

 private:
  Word limbs_[2][W];
  Word top_;
};

// The ends of z0 and z1, see the bounds above.
template <class Lanes, int W>
CIPHERLANE_DEVICE void finish_pair(Pair<Lanes, W>& r, const Accumulator<Lanes, W>& low,
                                   const Accumulator<Lanes, W>& cross, const Modulus<Lanes, W>& m) {
  const std::uint32_t over = low.template finish<1>(r.x0, 0);
  subtract_if_over(r.x0, over, m);
  subtract_if_over(r.x1, cross.template finish<1>(r.x1, planted(Mutant::kQuotientOfLow) ? 0 : over), m);
}

// The last step: all multipliers have a limb 0 there, so cross owes only the quotient digit.
template <class Lanes, int W>
CIPHERLANE_DEVICE void last_step(Accumulator<Lanes, W>& low, Accumulator<Lanes, W>& cross, const Modulus<Lanes, W>& m) {
  low.template step<0>(0);
  const std::uint32_t q = low.template reduce<0>(m);
  cross.template step<0>(planted(Mutant::kExtraStep) ? 0 : ~q);
  cross.template reduce<0>(m);
}

template <int Parity, class Lanes, int W>
CIPHERLANE_DEVICE void pair_step(Accumulator<Lanes, W>& low, Accumulator<Lanes, W>& cross, const Pair<Lanes, W>& x,
                                 std::uint32_t y0, std::uint32_t y1, const Modulus<Lanes, W>& m) {
  low.template step<Parity>(x.x0, y0);
  cross.template step<Parity>(x.x0, y1);
  const std::uint32_t q = low.template reduce<Parity>(m);
  cross.template add<Parity>(x.x1, y0, ~q, m);
  cross.template reduce<Parity>(m);
}

// r <- x y R^-1 mod n^2, Reduced. Requires x, y Lazy. r may be x or y. 5 L^2 products.
template <class Lanes, int W>
CIPHERLANE_DEVICE void multiply_pair(Pair<Lanes, W>& r, const Pair<Lanes, W>& x, const Pair<Lanes, W>& y,
                                     const Modulus<Lanes, W>& m) {
  Accumulator<Lanes, W> low, cross(m);
  CIPHERLANE_ROLLED
  for (int thread = 0; thread < Lanes::kThreads; ++thread) {
    CIPHERLANE_UNROLL
    for (int i = 0; i < W; i += 2) {
      pair_step<0>(low, cross, x, Lanes::broadcast(y.x0[i], thread), Lanes::broadcast(y.x1[i], thread), m);
      pair_step<1>(low, cross, x, Lanes::broadcast(y.x0[i + 1], thread), Lanes::broadcast(y.x1[i + 1], thread), m);
    }
  }
  last_step(low, cross, m);
  finish_pair(r, low, cross, m);
}

template <int Parity, class Lanes, int W>
CIPHERLANE_DEVICE void factored_step(Accumulator<Lanes, W>& low, Accumulator<Lanes, W>& cross,
                                     const typename Lanes::Word* a, std::uint32_t b, const typename Lanes::Word* c,
                                     std::uint32_t d, const Modulus<Lanes, W>& m) {
  low.template step<Parity>(a, b);
  cross.template step<Parity>(c, d);
  const std::uint32_t q = low.template reduce<Parity>(m);
  cross.template reduce_with<Parity>(~q, m);
}

// r <- x^2 R^-1 mod n^2, Reduced. Requires x Lazy. r may be x. x0 x0 and x0 (2 x1): 4 L^2 products. 2 x1 may have one
// bit in limb L, which is the multiplier of the last step; t < 2 C^2 + R + n as before.
template <class Lanes, int W>
CIPHERLANE_DEVICE void square_pair(Pair<Lanes, W>& r, const Pair<Lanes, W>& x, const Modulus<Lanes, W>& m) {
  using Word = typename Lanes::Word;
  Word doubled[W];
  const Word below = Lanes::from_previous(x.x1[W - 1], 0);
  doubled[0] = (x.x1[0] << 1) | (planted(Mutant::kDoubledCrossBit) ? Word(0) : below >> 31);
  CIPHERLANE_UNROLL
  for (int j = 1; j < W; ++j) doubled[j] = (x.x1[j] << 1) | (x.x1[j - 1] >> 31);
  const std::uint32_t top_bit = Lanes::broadcast(x.x1[W - 1], Lanes::kThreads - 1) >> 31;

  Accumulator<Lanes, W> low, cross(m);
  CIPHERLANE_ROLLED
  for (int thread = 0; thread < Lanes::kThreads; ++thread) {
    CIPHERLANE_UNROLL
    for (int i = 0; i < W; i += 2) {
      factored_step<0>(low, cross, x.x0, Lanes::broadcast(x.x0[i], thread), x.x0, Lanes::broadcast(doubled[i], thread),
                       m);
      factored_step<1>(low, cross, x.x0, Lanes::broadcast(x.x0[i + 1], thread), x.x0,
                       Lanes::broadcast(doubled[i + 1], thread), m);
    }
  }
  low.template step<0>(0);
  const std::uint32_t q = low.template reduce<0>(m);
  cross.template step<0>(x.x0, planted(Mutant::kDoubledTopBit) ? 0 : top_bit);
  cross.template reduce_with<0>(~q, m);
  finish_pair(r, low, cross, m);
}

// r <- x t R^-1 mod n^2, Reduced, for a plain number t. Requires x, t Lazy; or x Canonical and t below B. r may be x.
// 4 L^2 products.
// From x0 t + q n = z0 R follows (x0 + x1 n) t R^-1 = z0 + (x1 t - q) R^-1 n.
template <class Lanes, int W>
CIPHERLANE_DEVICE void multiply_number(Pair<Lanes, W>& r, const Pair<Lanes, W>& x, const typename Lanes::Word* t,
                                       const Modulus<Lanes, W>& m) {
  // Two threads' limbs a pass: measured 3 % faster, where twice as much code of the other products gained nothing.
  constexpr int kThreadsOfPass = Lanes::kThreads > 2 ? 2 : 1;
  Accumulator<Lanes, W> low, cross(m);
  CIPHERLANE_ROLLED
  for (int thread = 0; thread < Lanes::kThreads; thread += kThreadsOfPass) {
    CIPHERLANE_UNROLL
    for (int i = 0; i < kThreadsOfPass * W; i += 2) {
      const int from = thread + i / W, limb = i % W;
      const std::uint32_t first = Lanes::broadcast(t[limb], from), second = Lanes::broadcast(t[limb + 1], from);
      factored_step<0>(low, cross, x.x0, first, x.x1, first, m);
      factored_step<1>(low, cross, x.x0, second, x.x1, second, m);
    }
  }
  last_step(low, cross, m);
  finish_pair(r, low, cross, m);
}

// r <- a (b + B b_top) R^-1 mod n. With b_top = 0, and a, b Lazy or a Canonical: Reduced. With a Canonical, any b < B
// and any b_top < 2^32: t < n R, below 2n, less n where that is not below B. r may be a or b. 2 L^2 products.
template <class Lanes, int W>
CIPHERLANE_DEVICE void multiply_mod(typename Lanes::Word* r, const typename Lanes::Word* a,
                                    const typename Lanes::Word* b, std::uint32_t b_top, const Modulus<Lanes, W>& m) {
  Accumulator<Lanes, W> sum;
  CIPHERLANE_ROLLED
  for (int thread = 0; thread < Lanes::kThreads; ++thread) {
    CIPHERLANE_UNROLL
    for (int i = 0; i < W; i += 2) {
      sum.template step<0>(a, Lanes::broadcast(b[i], thread));
      sum.template reduce<0>(m);
      sum.template step<1>(a, Lanes::broadcast(b[i + 1], thread));
      sum.template reduce<1>(m);
    }
  }
  sum.template step<0>(a, b_top);
  sum.template reduce<0>(m);
  subtract_if_over(r, sum.template finish<1>(r, 0), m);
}

// x <- its Canonical digits. Requires x0 < 2n and x1 + 1 < 2n, which Reduced numbers are.
template <class Lanes, int W>
CIPHERLANE_DEVICE void canonical_pair(Pair<Lanes, W>& x, const Modulus<Lanes, W>& m) {
  const std::uint32_t carry = reduce_once(x.x0, m);
  typename Lanes::Word zero[W];
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) zero[j] = typename Lanes::Word(0);
  add_mod(x.x1, x.x1, zero, carry, m);
}

// r <- x + y mod n^2, Canonical. Requires x, y Canonical. A sum x0 + y0 >= n is one more n in x1.
template <class Lanes, int W>
CIPHERLANE_DEVICE void add_pair(Pair<Lanes, W>& r, const Pair<Lanes, W>& x, const Pair<Lanes, W>& y,
                                const Modulus<Lanes, W>& m) {
  const std::uint32_t carry = add_mod(r.x0, x.x0, y.x0, 0, m);
  add_mod(r.x1, x.x1, y.x1, carry, m);
}

// r <- x - y mod n^2, Canonical. Requires x, y Canonical.
template <class Lanes, int W>
CIPHERLANE_DEVICE void sub_pair(Pair<Lanes, W>& r, const Pair<Lanes, W>& x, const Pair<Lanes, W>& y,
                                const Modulus<Lanes, W>& m) {
  const std::uint32_t borrow = sub_mod(r.x0, x.x0, y.x0, 0, m);
  sub_mod(r.x1, x.x1, y.x1, borrow, m);
}

// r <- x R^-1 mod n^2, Canonical digits. Requires x Lazy. r may be x. 2 L^2 products.
// Here t < B for z0, so z0 < n + 1, and t < B + R + n for z1, so z1 < n + 2: both below 2n - 1.
template <class Lanes, int W>
CIPHERLANE_DEVICE void to_digits(Pair<Lanes, W>& r, const Pair<Lanes, W>& x, const Modulus<Lanes, W>& m) {
  using Word = typename Lanes::Word;
  Word start[W];
  Lanes::template load_constant<W>(start, m.offset());
  // x1 + offset leaves the group by at most one bit, which the last step's limb takes: at weight B.
  const std::uint32_t over = carry_across<Lanes, W>(start, add_limbs<Lanes, W>(start, start, x.x1));
  Accumulator<Lanes, W> low(x.x0), cross(start);
  CIPHERLANE_ROLLED
  for (int i = 0; i < Lanes::kThreads * W / 2; ++i) {
    low.template step<0>(0);
    const std::uint32_t even = low.template reduce<0>(m);
    cross.template step<0>(0);
    cross.template reduce_with<0>(~even, m);
    low.template step<1>(0);
    const std::uint32_t odd = low.template reduce<1>(m);
    cross.template step<1>(0);
    cross.template reduce_with<1>(~odd, m);
  }
  low.template step<0>(0);
  const std::uint32_t q = low.template reduce<0>(m);
  cross.template step<0>(over);
  cross.template reduce_with<0>(~q, m);
  finish_pair(r, low, cross, m);
  canonical_pair(r, m);
}

// low + B high <- x0 + x1 n, plain numbers. Requires x0, x1 Canonical: the result is below n^2. L^2 products.
template <class Lanes, int W>
CIPHERLANE_DEVICE void join_digits(typename Lanes::Word* low, typename Lanes::Word* high, const Pair<Lanes, W>& x,
                                   const Modulus<Lanes, W>& m) {
  Accumulator<Lanes, W> sum(x.x0);
  typename Lanes::Word result[W];
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) result[j] = typename Lanes::Word(0);
  CIPHERLANE_ROLLED
  for (int thread = 0; thread < Lanes::kThreads; ++thread) {
    CIPHERLANE_UNROLL
    for (int i = 0; i < W; i += 2) {
      sum.template step<0>(m.n, Lanes::broadcast(x.x1[i], thread));
      result[i] = Lanes::replace(result[i], sum.template take_lowest<0>(), thread);
      sum.template step<1>(m.n, Lanes::broadcast(x.x1[i + 1], thread));
      result[i + 1] = Lanes::replace(result[i + 1], sum.template take_lowest<1>(), thread);
    }
  }
  const std::uint32_t over = sum.template finish<0>(high, 0);
  CIPHERLANE_ASSERT(over == 0);
  (void)over;
  copy<Lanes, W>(low, result);
}

// r <- (1 + a n) x mod n^2 = x0 + (x1 + a x0) n, for x in Montgomery form and a plain a < B. Requires x Reduced.
// r.x1 Canonical, r.x0 unchanged. r may be x. 4 L^2 products.
template <class Lanes, int W>
CIPHERLANE_DEVICE void multiply_one_plus(Pair<Lanes, W>& r, const Pair<Lanes, W>& x, const typename Lanes::Word* a,
                                         const Modulus<Lanes, W>& m) {
  typename Lanes::Word product[W], carried[W];
  Lanes::template load_constant<W>(product, m.square());  // R^2 mod n
  multiply_mod(product, product, a, 0, m);
  multiply_mod(product, product, x.x0, 0, m);
  reduce_once(product, m);
  copy<Lanes, W>(carried, x.x1);
  reduce_once(carried, m);
  copy<Lanes, W>(r.x0, x.x0);
  add_mod(r.x1, carried, product, 0, m);
}

}  // namespace cipherlane::kernels
