// The bodies of batch_kernels.cuh.
#pragma once

#include "batch_kernels.cuh"

namespace cipherlane::kernels {

// The place of a group in the batch; those past the end repeat the last.
struct Place {
  bool stores;
  std::size_t index;
};
CIPHERLANE_DEVICE Place place_of(std::size_t group, std::size_t count) {
  const bool stores = group < count || planted(Mutant::kPastTheEnd);
  return {stores, stores ? group : count - 1};
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void store_result(WordPointer r, const Place& place, const Pair<Lanes, W>& x) {
  if (place.stores) store_pair(r.get() + place.index * kRow<Lanes, W>, x);
}

// A row of plain numbers.
CIPHERLANE_DEVICE const std::uint32_t* row_of(ConstWordPointer rows, std::uint32_t words, std::size_t index) {
  return rows.get() + index * words;
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void MultiplyPairs::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  Pair<Lanes, W> a, b;
  load_pair(a, x.get() + place.index * x_step * kRow<Lanes, W>);
  load_pair(b, y.get() + place.index * y_step * kRow<Lanes, W>);
  multiply_pair(a, a, b, m);
  store_result(r, place, a);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void MultiplyOnePlus::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  Pair<Lanes, W> residue;
  typename Lanes::Word plain[W];
  load_pair(residue, x.get() + place.index * x_step * kRow<Lanes, W>);
  load_words<Lanes, W>(plain, row_of(a, a_words, place.index), a_words);
  multiply_one_plus(residue, residue, plain, m);
  store_result(r, place, residue);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void FixedBasePowersVartime::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  const FactoredTable table{entries.get(), window_bits, windows};
  FactoredState<Lanes, W> state;
  fixed_base_power_vartime(state, table, Exponent{row_of(exponents, exponent_words, place.index), exponent_words}, m);
  Pair<Lanes, W> power;
  finish_factored(power, state, a.get() != nullptr, row_of(a, a_words, place.index), a_words, m);
  store_result(r, place, power);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void FixedBasePowersMasked::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  const FactoredTable table{entries.get(), window_bits, windows};
  FactoredState<Lanes, W> state;
  fixed_base_power_masked(state, table, Exponent{row_of(exponents, exponent_words, place.index), exponent_words}, m);
  Pair<Lanes, W> power;
  finish_factored(power, state, a.get() != nullptr, row_of(a, a_words, place.index), a_words, m);
  store_result(r, place, power);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void FixedWindowPowers::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  Pair<Lanes, W> base, power;
  load_pair(base, x.get() + place.index * kRow<Lanes, W>);
  window_power<kPowerWindow, Selection::kMasked>(power, base, Exponent{exponent.get(), (exponent_bits + 31) / 32},
                                                 exponent_bits,
                                                 scratch.get() + (place.index << kPowerWindow) * kRow<Lanes, W>, m);
  store_result(r, place, power);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void PowersEachVartime::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  Pair<Lanes, W> base, power;
  load_pair(base, x.get() + (planted(Mutant::kStepOfBase) ? 0 : place.index * x_step) * kRow<Lanes, W>);
  const std::size_t row = planted(Mutant::kDigitOfGroup) ? 0 : place.index;
  window_power<kPowerWindow, Selection::kVartime>(
      power, base, Exponent{row_of(exponents, exponent_words, row), exponent_words}, exponent_bits,
      scratch.get() + (place.index << kPowerWindow) * kRow<Lanes, W>, m);
  store_result(r, place, power);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void SegmentProducts::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  const std::uint32_t begin = starts.get()[place.index], length = starts.get()[place.index + 1] - begin;
  Pair<Lanes, W> product;
  product_of_rows(product, x.get(), rows.get() + begin, length, m);
  store_result(r, place, product);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void Evaluate::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  Pair<Lanes, W> sum, term;
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) sum.x0[j] = sum.x1[j] = typename Lanes::Word(0);
  CIPHERLANE_ROLLED
  for (std::uint32_t k = 0; k < part_count; ++k) {
    const LinearPart part = parts.get()[k];
    const bool first = part.number == 0 || planted(Mutant::kNumberOfPart);
    const std::uint32_t words = first ? number_words[0] : number_words[1];
    typename Lanes::Word bits[W];
    load_bits<Lanes, W>(bits, row_of(first ? numbers[0] : numbers[1], words, place.index), words, part.first,
                        part.bits);
    load_constant_pair(term, constants_of_parts.get() + k * kRow<Lanes, W>);
    multiply_number(term, term, bits, m);
    canonical_pair(term, m);
    if (planted(Mutant::kPartSum))
      sum = term;
    else
      add_pair(sum, sum, term, m);
  }
  store_result(r, place, sum);
}
static_assert(kMostNumbers == 2, "Evaluate chooses between two");

template <class Lanes, int W>
CIPHERLANE_DEVICE void Digits::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  Pair<Lanes, W> digits;
  load_pair(digits, x.get() + place.index * kRow<Lanes, W>);
  to_digits(digits, digits, m);
  if (!place.stores) return;
  constexpr std::uint32_t kLimbs = Lanes::kThreads * W;
  if (d0.get() != nullptr) {
    store_words<Lanes, W>(d0.get() + place.index * words, words, 0, digits.x0);
    clear_words<Lanes>(d0.get() + place.index * words, words, kLimbs);
  }
  if (d1.get() != nullptr) {
    store_words<Lanes, W>(d1.get() + place.index * words, words, 0, digits.x1);
    clear_words<Lanes>(d1.get() + place.index * words, words, kLimbs);
  }
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void Values::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  Pair<Lanes, W> digits, plain;
  load_pair(digits, x.get() + place.index * kRow<Lanes, W>);
  to_digits(digits, digits, m);
  join_digits(plain.x0, plain.x1, digits, m);
  if (!place.stores) return;
  constexpr std::uint32_t kLimbs = Lanes::kThreads * W;
  std::uint32_t* to = c.get() + place.index * words;
  store_words<Lanes, W>(to, words, 0, plain.x0);
  store_words<Lanes, W>(to, words, kLimbs, planted(Mutant::kSecondDigit) ? plain.x0 : plain.x1);
  clear_words<Lanes>(to, words, 2 * kLimbs);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void Gather::run(std::size_t group) const {
  const Place place = place_of(group, count);
  Pair<Lanes, W> row;
  load_pair(row, x.get() + rows.get()[place.index] * kRow<Lanes, W>);
  store_result(r, place, row);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void SquareChains::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  Pair<Lanes, W> power;
  load_pair(power, x.get() + place.index * kRow<Lanes, W>);
  CIPHERLANE_ROLLED
  for (std::uint32_t k = 0; k < steps; ++k) {
    if (k > 0) square_pair(power, power, m);
    store_result(r, {place.stores, place.index * steps + k}, power);
  }
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void TableLevel::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  const std::size_t window = place.index >> level, digit = place.index & ((std::size_t{1} << level) - 1);
  const std::size_t row = (window << window_bits) + digit;
  Pair<Lanes, W> power, step;
  load_pair(power, powers.get() + row * kRow<Lanes, W>);
  load_constant_pair(
      step, chain.get() + (window * window_bits + (planted(Mutant::kLevelOfTable) ? 0 : level)) * kRow<Lanes, W>);
  multiply_pair(power, power, step, m);
  store_result(powers, {place.stores, row + (std::size_t{1} << level)}, power);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void FactorEntries::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  Pair<Lanes, W> entry;
  typename Lanes::Word inverse[W];
  load_pair(entry, powers.get() + place.index * kRow<Lanes, W>);
  Lanes::template load_constant<W>(inverse, inverses.get() + place.index * kRow<Lanes, W>);
  canonical_pair(entry, m);
  multiply_mod(entry.x1, entry.x1, inverse, 0, m);
  reduce_once(entry.x1, m);
  store_result(entries, place, entry);
}

// One product for each step, alternately one more bucket into the product of those from d on, and that into the result.
template <class Lanes, int W>
CIPHERLANE_DEVICE void BucketSums::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  const std::uint32_t* first = bucket_rows.get() + place.index * buckets * kRow<Lanes, W>;
  Pair<Lanes, W> running, result, other;
  load_pair(running, first + (buckets - 1) * kRow<Lanes, W>);
  result = running;
  CIPHERLANE_ROLLED
  for (std::uint32_t step = 2 * (buckets - 1); step-- > 0;) {
    if (step % 2 == 1)
      load_pair(other, first + step / 2 * kRow<Lanes, W>);
    else
      other = result;
    multiply_pair(other, running, other, m);
    if (step % 2 == 0)
      result = other;
    else if (!planted(Mutant::kRunningBucket))
      running = other;
  }
  store_result(r, place, result);
}

// Squarings as products, so that there is one body for both: this kernel has few results, each a long chain.
template <class Lanes, int W>
CIPHERLANE_DEVICE void JoinWindows::run(std::size_t group) const {
  const Modulus<Lanes, W> m(constants.get());
  const Place place = place_of(group, count);
  const std::uint32_t* first = x.get() + place.index * windows * kRow<Lanes, W>;
  Pair<Lanes, W> result, other;
  load_pair(result, first + (windows - 1) * kRow<Lanes, W>);
  CIPHERLANE_ROLLED
  for (std::uint32_t window = windows - 1; window-- > 0;) {
    CIPHERLANE_ROLLED
    for (std::uint32_t step = 0; step <= window_bits; ++step) {
      if (step < window_bits)
        other = result;
      else
        load_pair(other, first + window * kRow<Lanes, W>);
      multiply_pair(result, result, other, m);
    }
  }
  store_result(r, place, result);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void RandomExponents::run(std::size_t group) const {
  if (group >= count) return;  // there is no shuffle
  std::uint32_t* to = exponents.get() + group * words;
  random_exponent<Lanes>(to, bits, key.get(), first + group, domain);
  if (!planted(Mutant::kClearedWords)) clear_words<Lanes>(to, words, (bits + 31) / 32);
}

template <class Lanes, int W>
CIPHERLANE_DEVICE void MultiplyPeak::run(std::size_t group) const {
  using Word = typename Lanes::Word;
  const Place place = place_of(group, count);
  const Word thread = Lanes::lanes() + Word(static_cast<std::uint32_t>(place.index) * Lanes::kThreads);
  // From a shuffle, as the multipliers of a product are.
  const std::uint32_t multiplier = Lanes::broadcast(Word(2 * steps + 1), 0);
  Word factor[8], low[8], high[8];
  CIPHERLANE_UNROLL
  for (int k = 0; k < 8; ++k) factor[k] = thread * Word(16) + Word(2 * k + 1), low[k] = high[k] = Word(0);
  CIPHERLANE_UNROLL_BY_32
  for (std::uint32_t step = 0; step < steps; ++step) {
    CIPHERLANE_UNROLL
    for (int k = 0; k < 8; ++k) {
      Chain<Lanes> chain;
      low[k] = chain.mad_lo_cc(factor[k], multiplier, low[k]);
      high[k] = chain.madc_hi_cc(factor[k], multiplier, high[k]);
    }
  }
  Word all(0);
  CIPHERLANE_UNROLL
  for (int k = 0; k < 8; ++k) all = all ^ low[k] ^ high[k];
  if (place.stores) Lanes::scatter(r.get() + place.index * Lanes::kThreads, Lanes::lanes(), Lanes::kThreads, all);
}

}  // namespace cipherlane::kernels
