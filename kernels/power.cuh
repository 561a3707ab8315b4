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

// All ones where a = b, else 0; without a branch.
CIPHERLANE_DEVICE std::uint32_t mask_of_equal(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t difference = a ^ b;
  return ((difference | (0 - difference)) >> 31) - 1;
}

// r <- the pair of `rows` at `index`, all `count` read and masked: no address and no branch depends on index.
template <class Lanes, int W>
CIPHERLANE_DEVICE void load_masked(Pair<Lanes, W>& r, const std::uint32_t* rows, std::uint32_t count,
                                   std::uint32_t index) {
  using Word = typename Lanes::Word;
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) r.x0[j] = r.x1[j] = Word(0);
  CIPHERLANE_ROLLED
  for (std::uint32_t d = 0; d < count; ++d) {
    Pair<Lanes, W> entry;
    load_pair(entry, rows + d * kRow<Lanes, W>);
    const Word mask(planted(Mutant::kMaskedEntry) && d > 0 ? 0 : mask_of_equal(d, index));
    CIPHERLANE_UNROLL
    for (int j = 0; j < W; ++j) {
      r.x0[j] = r.x0[j] | (entry.x0[j] & mask);
      r.x1[j] = r.x1[j] | (entry.x1[j] & mask);
    }
  }
}

// As load_masked, of rows that are the same for all groups of the warp: each reads a share of them and hands it on, so
// that an entry costs a group 1/kGroups of the loads and masks. The index is where a shuffle takes from, which is no
// address of memory. Two entries at a time, so that one's loads do not wait for the other's. count is a power of two.
template <class Lanes, int W>
CIPHERLANE_DEVICE void load_shared(Pair<Lanes, W>& r, const std::uint32_t* rows, std::uint32_t count,
                                   std::uint32_t index) {
  using Word = typename Lanes::Word;
  constexpr std::uint32_t kGroups = Lanes::kGroups;
  const std::uint32_t source = index & (kGroups - 1);
  // Past the end it is an entry from before, which no mask lets through.
  const auto row = [&](std::uint32_t d) {
    return rows + ((d + Lanes::group_of_warp()) & (count - 1)) * kRow<Lanes, W>;
  };
  const auto take = [&](const Pair<Lanes, W>& entry, std::uint32_t d) {
    const Word mask(planted(Mutant::kMaskedEntry) && d > 0 ? 0 : mask_of_equal(d, index - source));
    CIPHERLANE_UNROLL
    for (int j = 0; j < W; ++j) {
      r.x0[j] = r.x0[j] | (Lanes::of_group(entry.x0[j], source) & mask);
      r.x1[j] = r.x1[j] | (Lanes::of_group(entry.x1[j], source) & mask);
    }
  };
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) r.x0[j] = r.x1[j] = Word(0);
  CIPHERLANE_ROLLED
  for (std::uint32_t d = 0; d < count; d += 2 * kGroups) {
    Pair<Lanes, W> first, second;
    load_constant_pair(first, row(d));
    load_constant_pair(second, row(d + kGroups));
    take(first, d);
    take(second, d + kGroups);
  }
}

// (z, c, e), e with a word a thread for what its limbs carry out.
template <class Lanes, int W>
struct FactoredState {
  Pair<Lanes, W> product;
  typename Lanes::Word sum[W];
  typename Lanes::Word overhang;
};

// (z, c, e) <- (t, 0, s), for an entry (t, s), Canonical.
template <class Lanes, int W>
CIPHERLANE_DEVICE void start_factored(FactoredState<Lanes, W>& state, const Pair<Lanes, W>& entry) {
  copy<Lanes, W>(state.product.x0, entry.x0);
  copy<Lanes, W>(state.sum, entry.x1);
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) state.product.x1[j] = typename Lanes::Word(0);
  state.overhang = typename Lanes::Word(0);
}

// e <- e + s, a plain sum. Requires s Canonical and fewer than 2^32 steps: e stays below 2^32 n.
template <class Lanes, int W>
CIPHERLANE_DEVICE void add_factored(FactoredState<Lanes, W>& state, const typename Lanes::Word* s) {
  const typename Lanes::Word carry = add_limbs<Lanes, W>(state.sum, state.sum, s);
  if (!planted(Mutant::kSumCarry)) state.overhang = state.overhang + carry;
}

// (z, c, e) <- (z, c, e) (t, s): z, c Reduced. Requires z, c Lazy and t Canonical.
template <class Lanes, int W>
CIPHERLANE_DEVICE void multiply_factored(FactoredState<Lanes, W>& state, const Pair<Lanes, W>& entry,
                                         const Modulus<Lanes, W>& m) {
  add_factored(state, entry.x1);
  multiply_number(state.product, state.product, entry.x0, m);
}

// r <- the residue in Montgomery form, times 1 + a n if with_a (a number of at most L limbs): r.x0 Reduced, r.x1
// Canonical. with_a is the same in a launch.
template <class Lanes, int W>
CIPHERLANE_DEVICE void finish_factored(Pair<Lanes, W>& r, FactoredState<Lanes, W>& state, bool with_a,
                                       const std::uint32_t* a, std::uint32_t a_words, const Modulus<Lanes, W>& m) {
  typename Lanes::Word part[W];
  // e mod n: (R mod n) e R^-1, for an e below 2^32 B.
  const std::uint32_t top = settle<Lanes, W>(state.sum, state.overhang, 0);
  Lanes::template load_constant<W>(part, m.one());
  multiply_mod(state.sum, part, state.sum, top, m);
  reduce_once(state.sum, m);
  if (with_a) {
    typename Lanes::Word lifted[W];
    Lanes::template load_constant<W>(part, m.square());
    load_words<Lanes, W>(lifted, a, a_words);
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
  template <class Lanes, int W>
  CIPHERLANE_DEVICE const std::uint32_t* entry(std::uint32_t window, std::uint32_t digit) const {
    return entries + ((std::size_t{window} << window_bits) + digit) * kRow<Lanes, W>;
  }

  const std::uint32_t* entries;
  std::uint32_t window_bits, windows;
};

// An exponent in memory.
struct Exponent {
  CIPHERLANE_DEVICE std::uint32_t digit(std::uint32_t window, std::uint32_t window_bits) const {
    return bits_at(words, count, window * window_bits, window_bits);
  }

  const std::uint32_t* words;
  std::uint32_t count;
};

// state <- base^exponent. The exponent has at most windows * window_bits bits. The addresses read depend on it. The
// next entry is on its way to the cache while this one is multiplied.
template <class Lanes, int W>
CIPHERLANE_DEVICE void fixed_base_power_vartime(FactoredState<Lanes, W>& state, const FactoredTable& table,
                                                const Exponent& exponent, const Modulus<Lanes, W>& m) {
  const auto address = [&](std::uint32_t window) {
    if (planted(Mutant::kTableWindow) && window > 0) --window;
    return table.entry<Lanes, W>(window, exponent.digit(window, table.window_bits));
  };
  Pair<Lanes, W> entry;
  load_constant_pair(entry, address(0));
  start_factored(state, entry);
  CIPHERLANE_ROLLED
  for (std::uint32_t j = 1; j < table.windows; ++j) {
    load_constant_pair(entry, address(j));
    if (j + 1 < table.windows) prefetch_row<Lanes, W>(address(j + 1));
    multiply_factored(state, entry, m);
  }
}

// As fixed_base_power_vartime, but no address and no branch depends on the exponent: all entries are read.
template <class Lanes, int W>
CIPHERLANE_DEVICE void fixed_base_power_masked(FactoredState<Lanes, W>& state, const FactoredTable& table,
                                               const Exponent& exponent, const Modulus<Lanes, W>& m) {
  const std::uint32_t count = 1u << table.window_bits;
  Pair<Lanes, W> entry;
  load_shared(entry, table.entry<Lanes, W>(0, 0), count, exponent.digit(0, table.window_bits));
  start_factored(state, entry);
  CIPHERLANE_ROLLED
  for (std::uint32_t j = 1; j < table.windows; ++j) {
    const std::uint32_t window = planted(Mutant::kMaskedWindow) ? j - 1 : j;
    load_shared(entry, table.entry<Lanes, W>(window, 0), count, exponent.digit(j, table.window_bits));
    multiply_factored(state, entry, m);
  }
}

// How the power of a window is read: all masked, or the one by its address, which then depends on the exponent.
enum class Selection { kMasked, kVartime };

// r <- base^exponent mod n^2 in Montgomery form; base Lazy. scratch: 2^Window pairs of this group's own. The groups of
// a warp take the same steps, by exponent_bits alone, which is public: every window costs Window squarings and one
// product. Masked, neither branch nor address depends on the exponent.
template <int Window, Selection How, class Lanes, int W>
CIPHERLANE_DEVICE void window_power(Pair<Lanes, W>& r, const Pair<Lanes, W>& base, const Exponent& exponent,
                                    std::uint32_t exponent_bits, std::uint32_t* scratch, const Modulus<Lanes, W>& m) {
  const std::uint32_t entries = 1u << (exponent_bits < Window ? exponent_bits : Window);
  const auto choose = [&](Pair<Lanes, W>& chosen, std::uint32_t window) {
    const std::uint32_t digit = exponent.digit(window, Window);
    if constexpr (How == Selection::kMasked)
      load_masked(chosen, scratch, entries, digit);
    else
      load_pair(chosen, scratch + digit * kRow<Lanes, W>);
  };
  // Each thread reads of the table what it wrote itself.
  load_constant_pair(r, m.one());
  store_pair(scratch, r);
  r = base;
  CIPHERLANE_ROLLED
  for (std::uint32_t d = 1; d < entries; ++d) {
    if (d > 1) multiply_pair(r, r, base, m);
    store_pair(scratch + d * kRow<Lanes, W>, r);
  }
  std::uint32_t window = exponent_bits == 0 ? 0 : (exponent_bits - 1) / Window;
  choose(r, window);
  CIPHERLANE_ROLLED
  while (window-- > 0) {
    CIPHERLANE_ROLLED
    for (int bit = planted(Mutant::kWindowShift) ? 1 : 0; bit < Window; ++bit) square_pair(r, r, m);
    Pair<Lanes, W> chosen;
    choose(chosen, window);
    multiply_pair(r, r, chosen, m);
  }
}

// r <- the product of the residues of rows[0 .. count) in Montgomery form; one for an empty segment. The rows of one
// segment may be dealt out to several groups and their results multiplied again.
// All groups of a warp take the steps of the longest segment: past their own they multiply by one.
template <class Lanes, int W>
CIPHERLANE_DEVICE void product_of_rows(Pair<Lanes, W>& r, const std::uint32_t* residues, const std::uint32_t* rows,
                                       std::uint32_t count, const Modulus<Lanes, W>& m) {
  load_pair(r, count == 0 ? m.one() : residues + rows[0] * kRow<Lanes, W>);
  CIPHERLANE_ROLLED
  for (std::uint32_t k = 1; Lanes::any_in_warp(k < count); ++k) {
    Pair<Lanes, W> next;
    load_pair(next, k < count ? residues + rows[k] * kRow<Lanes, W> : m.one());
    multiply_pair(r, r, next, m);
  }
}

}  // namespace cipherlane::kernels
