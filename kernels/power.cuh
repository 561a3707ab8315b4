// Powers and products mod n^2, one result a group of threads.
//
// Factored form, see cpp/src/lane_powers.hpp: a residue X with X R = t + t1 n mod n^2 is t (1 + s/R n) for
// s = t1/t R mod n. A running product (z, c, e) stands for (z + c n)(1 + e/R n) R^-1; times (t, s) it becomes
// ((z + c n) t R^-1, e + s): 4 L^2 products. At the end (z + c n)(1 + e/R n) = z + (c + z e R^-1) n, and a factor
// 1 + a n adds a R to e.
#pragma once

#include "nadic.cuh"

namespace cipherlane::kernels {

// The bits [start, start + width) of a number in memory; those past its end are 0. width <= 16.
CIPHERLANE_DEVICE std::uint32_t bits_at(const std::uint32_t* words, std::uint32_t count, std::uint32_t start,
                                        std::uint32_t width) {
  const std::uint32_t index = start / 32, shift = start % 32;
  std::uint64_t two = index < count ? words[index] : 0;
  if (index + 1 < count) two |= std::uint64_t{words[index + 1]} << 32;
  return static_cast<std::uint32_t>(two >> shift) & ((1u << width) - 1);
}

// (z, c, e), e with a word a thread for what its limbs carry out.
template <class Lanes, int W>
struct FactoredState {
  Pair<Lanes, W> product;
  typename Lanes::Word sum[W];
  typename Lanes::Word overhang;
};

// (z, c, e) <- (t, 0, s). Requires t, s Canonical.
template <class Lanes, int W>
CIPHERLANE_DEVICE void start_factored(FactoredState<Lanes, W>& state, const std::uint32_t* entry) {
  Lanes::template load<W>(state.product.x0, entry);
  Lanes::template load<W>(state.sum, entry + Lanes::kThreads * W);
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) state.product.x1[j] = typename Lanes::Word(0);
  state.overhang = typename Lanes::Word(0);
}

// (z, c, e) <- (z, c, e) (t, s): z, c Reduced, e a plain sum. Requires z, c, t Lazy, and fewer than 2^32 steps.
template <class Lanes, int W>
CIPHERLANE_DEVICE void multiply_factored(FactoredState<Lanes, W>& state, const std::uint32_t* entry,
                                         const Modulus<Lanes, W>& m) {
  typename Lanes::Word part[W];
  Lanes::template load<W>(part, entry + Lanes::kThreads * W);
  const typename Lanes::Word carry = add_limbs<Lanes, W>(state.sum, state.sum, part);
  if (!planted(Mutant::kSumCarry)) state.overhang = state.overhang + carry;
  Lanes::template load<W>(part, entry);
  multiply_number(state.product, state.product, part, m);
}

// r <- the residue in Montgomery form, times 1 + a n where a is not null (L limbs, Lazy): r.x0 Reduced, r.x1 Canonical.
template <class Lanes, int W>
CIPHERLANE_DEVICE void finish_factored(Pair<Lanes, W>& r, FactoredState<Lanes, W>& state, const std::uint32_t* a,
                                       const Modulus<Lanes, W>& m) {
  typename Lanes::Word part[W];
  // e mod n: (R mod n) e R^-1.
  const std::uint32_t top = settle<Lanes, W>(state.sum, state.overhang, 0);
  Lanes::template load<W>(part, m.one());
  multiply_mod(state.sum, part, state.sum, top, m);
  reduce_once(state.sum, m);
  if (a != nullptr) {
    typename Lanes::Word lifted[W];
    Lanes::template load<W>(part, m.square());
    Lanes::template load<W>(lifted, a);
    multiply_mod(lifted, part, lifted, 0, m);  // a R
    reduce_once(lifted, m);
    add_mod(state.sum, state.sum, lifted, 0, m);
  }
  multiply_mod(state.sum, state.sum, state.product.x0, 0, m);
  reduce_once(state.sum, m);
  reduce_once(state.product.x1, m);
  add_mod(r.x1, state.product.x1, state.sum, 0, m);
  copy<Lanes, W>(r.x0, state.product.x0);
}

// T[j][d] = base^(d 2^(w j)) in factored form, Canonical t then s, L limbs each, 16-byte aligned.
struct FactoredTable {
  const std::uint32_t* entries;
  std::uint32_t window_bits, windows;
};

// r <- (1 + a n) base^exponent mod n^2 in Montgomery form: r.x0 Reduced, r.x1 Canonical; a may be null. The exponent
// has at most windows * window_bits bits. The addresses read depend on it.
template <class Lanes, int W>
CIPHERLANE_DEVICE void fixed_base_power_vartime(Pair<Lanes, W>& r, const FactoredTable& table,
                                                const std::uint32_t* exponent, std::uint32_t exponent_words,
                                                const std::uint32_t* a, const Modulus<Lanes, W>& m) {
  constexpr std::size_t kRow = 2 * Lanes::kThreads * W;
  FactoredState<Lanes, W> state;
  start_factored(state, table.entries + bits_at(exponent, exponent_words, 0, table.window_bits) * kRow);
  CIPHERLANE_ROLLED
  for (std::uint32_t j = 1; j < table.windows; ++j) {
    const std::uint32_t digit = bits_at(exponent, exponent_words, j * table.window_bits, table.window_bits);
    multiply_factored(state, table.entries + ((std::size_t{j} << table.window_bits) + digit) * kRow, m);
  }
  finish_factored(r, state, a, m);
}

// r <- base^exponent mod n^2 in Montgomery form, Reduced; base Lazy. scratch: 2^Window pairs of this group's own.
// Uniform: every window costs Window squarings and one product; all entries are read and masked, so neither branch nor
// address depends on the exponent. exponent_bits is public.
template <int Window, class Lanes, int W>
CIPHERLANE_DEVICE void fixed_window_power(Pair<Lanes, W>& r, const Pair<Lanes, W>& base, const std::uint32_t* exponent,
                                          std::uint32_t exponent_bits, std::uint32_t* scratch,
                                          const Modulus<Lanes, W>& m) {
  using Word = typename Lanes::Word;
  constexpr std::uint32_t kEntries = 1u << Window;
  constexpr std::size_t kRow = 2 * Lanes::kThreads * W;
  // Each thread reads of the table what it wrote itself.
  load_pair(r, m.one());
  CIPHERLANE_ROLLED
  for (std::uint32_t d = 0; d < kEntries; ++d) {
    store_pair(scratch + d * kRow, r);
    multiply_pair(r, r, base, m);
  }
  load_pair(r, m.one());
  const std::uint32_t words = (exponent_bits + 31) / 32;
  CIPHERLANE_ROLLED
  for (std::uint32_t window = (exponent_bits + Window - 1) / Window; window-- > 0;) {
    CIPHERLANE_ROLLED
    for (int bit = 0; bit < Window; ++bit) square_pair(r, r, m);
    const std::uint32_t digit = bits_at(exponent, words, window * Window, Window);
    Pair<Lanes, W> chosen;
    CIPHERLANE_UNROLL
    for (int j = 0; j < W; ++j) chosen.x0[j] = chosen.x1[j] = Word(0);
    CIPHERLANE_ROLLED
    for (std::uint32_t d = 0; d < kEntries; ++d) {
      Pair<Lanes, W> entry;
      load_pair(entry, scratch + d * kRow);
      const std::uint32_t difference = d ^ digit;
      const Word mask(((difference | (0 - difference)) >> 31) - 1);
      CIPHERLANE_UNROLL
      for (int j = 0; j < W; ++j) {
        chosen.x0[j] = chosen.x0[j] | (entry.x0[j] & mask);
        chosen.x1[j] = chosen.x1[j] | (entry.x1[j] & mask);
      }
    }
    multiply_pair(r, r, chosen, m);
  }
}

// r <- the product of the residues of rows[0 .. count) in Montgomery form, Lazy; one for an empty segment. A row is
// 2 L limbs, Lazy. The rows of one segment may be dealt out to several groups and their results multiplied again.
// All groups of a warp take the same number of steps, at least count: those past it multiply by one.
template <class Lanes, int W>
CIPHERLANE_DEVICE void product_of_rows(Pair<Lanes, W>& r, const std::uint32_t* residues, const std::uint32_t* rows,
                                       std::uint32_t count, std::uint32_t steps, const Modulus<Lanes, W>& m) {
  constexpr std::size_t kRow = 2 * Lanes::kThreads * W;
  load_pair(r, count == 0 ? m.one() : residues + rows[0] * kRow);
  CIPHERLANE_ROLLED
  for (std::uint32_t k = 1; k < steps; ++k) {
    Pair<Lanes, W> next;
    load_pair(next, k < count ? residues + rows[k] * kRow : m.one());
    multiply_pair(r, r, next, m);
  }
}

}  // namespace cipherlane::kernels
