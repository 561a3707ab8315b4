// Powers of one base from a table, in factored form.
//
// A residue X, with X R = t + t1 m mod m^2, is t (1 + s/R m) for s = t1/t R mod m: factored form (t, s). In a product
// of such, the t multiply and the s add. A running product is held as (z, c, e) and stands for (z + c m)(1 + e/R m)
// R^-1: from z t + q m = z' R follows
//   (z + c m) t R^-1 = z' + c' m,  c' = (c t - q) R^-1,
// which are 2 L^2 products and 2 reductions, 4 L^2 in all where a product of pairs takes 5 L^2. At the end
//   (z + c m)(1 + e/R m) = z + (c + z e R^-1) m,
// and a factor 1 + a m costs no more than adding a R to e.
#pragma once

#include "lane_layout.hpp"

namespace cipherlane {

// T[j][d] = base^(d 2^(w j)) in factored form, by rows; or in the order that Arithmetic::select reads.
class FactoredTable final : public FixedBaseTable {
 public:
  FactoredTable(std::size_t exponent_bits, std::size_t window_bits, std::size_t row_width, Exponent kind)
      : windows_((exponent_bits + window_bits - 1) / window_bits),
        window_bits_(window_bits),
        row_width_(row_width),
        kind_(kind),
        buffer_((windows_ << window_bits) * row_width, Secrecy::kSecret) {}
  std::size_t window_bits() const override { return window_bits_; }
  std::size_t bytes() const override { return buffer_.words() * sizeof(Limb); }
  std::size_t windows() const { return windows_; }
  std::size_t entries() const { return std::size_t{1} << window_bits_; }
  Exponent kind() const { return kind_; }
  Limb* window(std::size_t j) { return buffer_.data() + (j << window_bits_) * row_width_; }
  const Limb* window(std::size_t j) const { return buffer_.data() + (j << window_bits_) * row_width_; }

 private:
  std::size_t windows_, window_bits_, row_width_;
  Exponent kind_;
  Buffer buffer_;
};

template <class Arithmetic>
class FixedBase {
 public:
  using Layout = LaneLayout<Arithmetic>;
  static constexpr std::size_t kLanes = Layout::kLanes;

  FixedBase(const Arithmetic& arithmetic, const Layout& layout) : arithmetic_(arithmetic), layout_(layout) {}

  // base, inverse: groups with the base and its inverse in lane 0.
  std::shared_ptr<FactoredTable> tabulate(const Limb* base, const Limb* inverse, std::size_t exponent_bits,
                                          std::size_t window_bits, Exponent kind) const {
    auto table = std::make_shared<FactoredTable>(exponent_bits, window_bits, layout_.row_width(), kind);
    // The bases of the windows, base^(2^(w j)), by squarings one after the other; then all windows fill in parallel,
    // one in each lane.
    const Ladder bases(*this, base, table->windows(), window_bits);
    const Ladder inverses(*this, inverse, table->windows(), window_bits);
    parallel_for(Layout::groups(table->windows()), 1, [&](std::size_t begin, std::size_t end) {
      Words power(layout_.words()), reciprocal(layout_.half_words()), entry(layout_.row_words());
      for (std::size_t g = begin; g < end; ++g) {
        std::copy_n(arithmetic_.one(), layout_.words(), power.data());
        std::copy_n(arithmetic_.one(), layout_.half_words(), reciprocal.data());
        for (std::size_t d = 0; d < table->entries(); ++d) {
          if (d > 0) {
            arithmetic_.multiply_pair(power.data(), power.data(), bases.group(g));
            arithmetic_.multiply_mod(reciprocal.data(), reciprocal.data(), inverses.group(g));
          }
          std::copy_n(power.data(), layout_.half_words(), entry.data());
          arithmetic_.multiply_mod(entry.data() + layout_.half_words(), power.data() + layout_.half_words(),
                                   reciprocal.data());
          store(*table, g, d, entry.data());
        }
      }
    });
    return table;
  }

  // r_i <- (1 + a_i m) base^(e_i) for the groups [begin, end); a may be none.
  void power(LaneBatch& result, const FactoredTable& table, Numbers exponents, Numbers a, const Limb* square_of_radix,
             std::size_t begin, std::size_t end) const {
    const std::size_t count = result.count();
    const std::size_t state_words = 3 * layout_.half_words();
    const std::size_t window = table.window_bits();
    Words states((end - begin) * state_words), entry(layout_.row_words());
    typename Layout::Lanes now{}, next{};
    const auto digits = [&](std::size_t g, std::size_t j) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const std::size_t i = g * kLanes + lane;
        next[lane] =
            i < count ? bits_at(exponents.values + i * exponents.limbs, exponents.limbs, j * window, window) : 0;
      }
      if (table.kind() == Exponent::kPublic)
        for (const Limb digit : next) prefetch_row(table.window(j) + digit * layout_.row_width(), layout_.row_width());
    };
    // Window by window over all groups, so that what is read of the table stays in cache.
    digits(begin, 0);
    std::size_t terms = 0;
    for (std::size_t j = 0; j < table.windows(); ++j) {
      const bool settles = ++terms == most_terms();
      for (std::size_t g = begin; g < end; ++g) {
        now = next;
        if (g + 1 < end)
          digits(g + 1, j);
        else if (j + 1 < table.windows())
          digits(begin, j + 1);
        if (table.kind() == Exponent::kSecret)
          arithmetic_.select(entry.data(), table.window(j), window, now.data(), layout_.width());
        else
          arithmetic_.gather(entry.data(), table.window(j), now.data(), layout_.row_width());
        Limb* state = states.data() + (g - begin) * state_words;
        if (j == 0)
          start(state, entry.data());
        else
          arithmetic_.multiply_factored(state, entry.data());
        if (settles) settle(state);
      }
      if (settles) terms = 1;
    }
    wipe(now.data(), sizeof now);
    wipe(next.data(), sizeof next);
    for (std::size_t g = begin; g < end; ++g)
      finish(result.group(g), states.data() + (g - begin) * state_words, a, square_of_radix, g, count);
  }

 private:
  // x^(2^(w j)) for all windows j, in the lanes of groups.
  class Ladder {
   public:
    Ladder(const FixedBase& outer, const Limb* x, std::size_t windows, std::size_t window_bits)
        : group_words_(outer.layout_.words()), words_(Layout::groups(windows) * group_words_) {
      Words current(x, x + group_words_);
      for (std::size_t j = 0; j < windows; ++j) {
        outer.layout_.copy_lane(words_.data() + j / kLanes * group_words_, j % kLanes, current.data(), 0);
        if (j + 1 == windows) break;
        for (std::size_t bit = 0; bit < window_bits; ++bit)
          outer.arithmetic_.square_pair(current.data(), current.data());
      }
    }
    const Limb* group(std::size_t g) const { return words_.data() + g * group_words_; }

   private:
    std::size_t group_words_;
    Words words_;
  };

  void store(FactoredTable& table, std::size_t g, std::size_t d, const Limb* entry) const {
    Limb* to[kLanes];
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const std::size_t j = g * kLanes + lane;
      to[lane] = j < table.windows() ? table.window(j) : nullptr;
      if (to[lane] == nullptr) continue;
      if (table.kind() == Exponent::kPublic)
        to[lane] += d * layout_.row_width();
      else
        for (std::size_t i = 0; i < layout_.width(); ++i)
          to[lane][Arithmetic::select_position(d, i, table.window_bits(), layout_.width())] = entry[i * kLanes + lane];
    }
    if (table.kind() == Exponent::kPublic) arithmetic_.scatter(to, entry, layout_.row_width());
  }

  void start(Limb* state, const Limb* entry) const {
    const std::size_t half = layout_.half_words();
    std::copy_n(entry, half, state);
    std::fill_n(state + half, half, Limb{0});
    std::copy_n(entry + half, half, state + 2 * half);
  }

  // e is a sum of terms below 2m that must stay below R >= 2m 2^(slack - 1); and its digits, where they are not carried
  // at once, are sums of as many digits and must stay below 2^64.
  std::size_t most_terms() const {
    const std::size_t slack = Layout::kRadixBits * layout_.length() - arithmetic_.bits();
    constexpr std::size_t kMostBits = Arithmetic::kCarriesAtOnce ? 32 : kLimbBits - Layout::kRadixBits - 1;
    return std::size_t{1} << std::min(slack - 1, kMostBits);
  }

  // e <- e mod m, below 2m: with e < R, e (R mod m) R^-1 < 2m.
  void settle(Limb* state) const {
    Limb* sum = state + 2 * layout_.half_words();
    arithmetic_.carry(sum);
    arithmetic_.multiply_mod(sum, sum, arithmetic_.one());
  }

  void finish(Limb* r, Limb* state, Numbers a, const Limb* square_of_radix, std::size_t g, std::size_t count) const {
    const std::size_t half = layout_.half_words();
    Limb* const sum = state + 2 * half;
    settle(state);
    if (a.values != nullptr) {
      Words lifted(half);
      const std::size_t bits = arithmetic_.bits();
      layout_.fill(lifted.data(), a, g, count, 0, bits);
      arithmetic_.multiply_mod(lifted.data(), lifted.data(), square_of_radix);  // a R
      arithmetic_.add_mod(sum, sum, lifted.data());
    }
    arithmetic_.multiply_mod(sum, sum, state);
    std::copy_n(state, half, r);
    arithmetic_.add_mod(r + half, state + half, sum);
  }

  const Arithmetic& arithmetic_;
  const Layout& layout_;
};

}  // namespace cipherlane
