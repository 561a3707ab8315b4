// A ring over an arithmetic that works on kLanes numbers in lockstep.
//
// The arithmetic knows how to multiply; this file knows batches of numbers in lanes and windows of exponents.
//
// An Arithmetic offers, for groups r, x, y and half groups (L digits) a, b, as lane_layout.hpp defines them:
//   kLanes, kRadixBits, bits(), length(), most_parts(), one() (the group of R)
//   multiply_pair(r, x, y), square_pair(r, x)      r <- x y R^-1 mod m^2
//   multiply_mod(a, a, b)                          a <- a b R^-1 mod m
//   add_mod(a, a, b)                               a <- a + b mod m, Reduced
//   canonical_digits(d0, d1, x)                    x R^-1 = d0 + d1 m
//   join(value, d0, d1)                            value <- d0 + d1 m, a plain number of 2L digits
//   combine(r, numbers, constants, parts)          r <- sum_k numbers_k constants_k R^-1, plain half groups times
//   groups multiply_factored(state, entry), carry(a)      see lane_powers.hpp; kCarriesAtOnce: carry has nothing to do
//   gather(r, rows, indices, width)                lane l of r <- row indices[l]
//   scatter(to, x, width)                          row to[l] <- lane l of x, unless null
//   select(r, table, window, indices, width)       like gather, reading all of a table; its word i of entry d is at
//                                                  select_position(d, i, window, width)
//   select_group(r, groups, count, index, words)   r <- groups[index], reading every group
//   kMostSharedBits                                the widest window for which select_group pays
//   window_costs(kind)
#pragma once

#include <string>

#include "lane_layout.hpp"
#include "lane_powers.hpp"
#include "lane_products.hpp"

namespace cipherlane {

template <class Arithmetic>
class LaneRing final : public Ring {
 public:
  LaneRing(const Limb* modulus, std::size_t limbs)
      : arithmetic_(modulus, limbs),
        layout_(arithmetic_.length()),
        fixed_base_(arithmetic_, layout_),
        products_(arithmetic_, layout_),
        length_(layout_.length()),
        words_(layout_.words()) {
    one_.assign(arithmetic_.one(), arithmetic_.one() + words_);
    square_of_radix_ = radix_times_power_of_two(kRadixBits * length_);
    SecretLimbs one(this->limbs(), 0);
    one[0] = 1;
    add_term(plain_, one, 2 * modulus_bits());
  }

  std::size_t modulus_bits() const override { return arithmetic_.bits(); }

  std::shared_ptr<const LinearForm> linear_form(const std::vector<Term>& terms) const override {
    auto form = std::make_shared<Form>();
    for (const Term& term : terms) {
      if (term.coefficient.size() != limbs())
        throw std::invalid_argument("linear_form: coefficient of the wrong width");
      add_term(*form, term.coefficient, term.bits);
    }
    if (form->parts.size() > arithmetic_.most_parts())
      throw std::invalid_argument("linear_form: too many terms for one sum of columns");
    return form;
  }

  ResiduesPtr evaluate(const LinearForm& form, const std::vector<Numbers>& numbers, std::size_t count) const override {
    const auto& exact = static_cast<const Form&>(form);
    if (numbers.size() != exact.terms) throw std::invalid_argument("evaluate: one set of numbers for each term");
    auto result = layout_.make_batch(count, Secrecy::kSecret);
    for_groups(count, kGrainProduct, [&](std::size_t begin, std::size_t end) {
      const std::size_t parts = exact.parts.size();
      Words digits(parts * length_ * kLanes);
      std::vector<const Limb*> operands(parts), constants(parts);
      for (std::size_t k = 0; k < parts; ++k) {
        operands[k] = digits.data() + k * length_ * kLanes;
        constants[k] = exact.parts[k].constant.data();
      }
      for (std::size_t g = begin; g < end; ++g) {
        for (std::size_t k = 0; k < parts; ++k) {
          const auto& part = exact.parts[k];
          layout_.fill(digits.data() + k * length_ * kLanes, numbers[part.term], g, count, part.first, part.bits);
        }
        arithmetic_.combine(result->group(g), operands.data(), constants.data(), parts);
      }
    });
    return result;
  }

  ResiduesPtr upload(const Limb* values, std::size_t count) const override {
    return evaluate(plain_, {{values, limbs()}}, count);
  }

  void download(const Residues& x, Limb* values) const override {
    const LaneBatch& batch = own(x);
    for_groups(x.count(), kGrainProduct, [&](std::size_t begin, std::size_t end) {
      Words digits(words_), value(words_);
      for (std::size_t g = begin; g < end; ++g) {
        arithmetic_.canonical_digits(digits.data(), digits.data() + length_ * kLanes, batch.group(g));
        arithmetic_.join(value.data(), digits.data(), digits.data() + length_ * kLanes);
        layout_.spill(values, limbs(), value.data(), layout_.width(), g, x.count());
      }
    });
  }

  void download_digits(const Residues& x, Limb* d0, Limb* d1) const override {
    const LaneBatch& batch = own(x);
    for_groups(x.count(), kGrainProduct, [&](std::size_t begin, std::size_t end) {
      Words low(length_ * kLanes), high(length_ * kLanes);
      for (std::size_t g = begin; g < end; ++g) {
        arithmetic_.canonical_digits(low.data(), high.data(), batch.group(g));
        if (d0 != nullptr) layout_.spill(d0, digit_limbs(), low.data(), length_, g, x.count());
        layout_.spill(d1, digit_limbs(), high.data(), length_, g, x.count());
      }
    });
  }

  ResiduesPtr multiply(const Residues& x, const Residues& y) const override {
    const std::size_t count = x.count() == 1 ? y.count() : x.count();
    const Operand a(*this, own(x), count);
    const Operand b(*this, own(y), count);
    auto result = layout_.make_batch(count, Secrecy::kPublic);
    for_groups(count, kGrainProduct, [&](std::size_t begin, std::size_t end) {
      for (std::size_t g = begin; g < end; ++g) arithmetic_.multiply_pair(result->group(g), a[g], b[g]);
    });
    return result;
  }

  ResiduesPtr multiply_one_plus(const Residues& x, Numbers a, std::size_t count) const override {
    const Operand base(*this, own(x), count);
    auto result = layout_.make_batch(count, Secrecy::kPublic);
    for_groups(count, kGrainProduct, [&](std::size_t begin, std::size_t end) {
      Words digits(length_ * kLanes);
      for (std::size_t g = begin; g < end; ++g) {
        const Limb* from = base[g];
        Limb* to = result->group(g);
        layout_.fill(digits.data(), a, g, count, 0, modulus_bits());
        // (1 + a m)(x0 + x1 m) = x0 + (x1 + a x0) m. The low digit of R^2, which is R^2 mod m, lifts a to a R.
        arithmetic_.multiply_mod(digits.data(), digits.data(), square_of_radix_.data());
        arithmetic_.multiply_mod(digits.data(), digits.data(), from);
        std::copy_n(from, length_ * kLanes, to);
        arithmetic_.add_mod(to + length_ * kLanes, from + length_ * kLanes, digits.data());
      }
    });
    return result;
  }

  ResiduesPtr segment_product(const Residues& x, const std::int64_t* indices, const std::int64_t* offsets,
                              std::size_t segments) const override {
    return products_.segments(own(x), indices, offsets, segments);
  }

  ResiduesPtr power_shared(const Residues& x, const Limb* exponent, std::size_t exponent_bits,
                           Exponent kind) const override {
    const LaneBatch& batch = own(x);
    auto result = layout_.make_batch(x.count(), Secrecy::kSecret);
    const std::size_t exponent_limbs = limbs_for_bits(exponent_bits);
    const std::size_t window = kind == Exponent::kSecret
                                   ? std::min(Arithmetic::kMostSharedBits, window_for(exponent_bits))
                                   : window_for(exponent_bits);
    const std::size_t entries = std::size_t{1} << window;
    const std::size_t windows = (exponent_bits + window - 1) / window;
    for_groups(x.count(), kGrainPower, [&](std::size_t begin, std::size_t end) {
      Words powers(entries * words_), chosen(words_);
      for (std::size_t g = begin; g < end; ++g) {
        Limb* r = result->group(g);
        tabulate(powers.data(), batch.group(g), entries);
        std::copy(one_.begin(), one_.end(), r);
        for (std::size_t j = windows; j-- > 0;) {
          if (j + 1 < windows) square_times(r, window);
          const Limb digit = bits_at(exponent, exponent_limbs, j * window, window);
          if (kind == Exponent::kSecret) {
            arithmetic_.select_group(chosen.data(), powers.data(), entries, digit, words_);
            arithmetic_.multiply_pair(r, r, chosen.data());
          } else if (digit != 0) {
            arithmetic_.multiply_pair(r, r, powers.data() + digit * words_);
          }
        }
      }
    });
    return result;
  }

  ResiduesPtr power_each_vartime(const Residues& x, Numbers exponents, std::size_t count) const override {
    const Operand base(*this, own(x), count);
    auto result = layout_.make_batch(count, Secrecy::kPublic);
    for_groups(count, kGrainPower, [&](std::size_t begin, std::size_t end) {
      Words powers, chosen(words_);
      for (std::size_t g = begin; g < end; ++g) {
        std::size_t bits = 0;
        for (std::size_t i = g * kLanes; i < std::min(count, (g + 1) * kLanes); ++i)
          bits = std::max(bits, bit_length(exponents.values + i * exponents.limbs, exponents.limbs));
        const std::size_t window = window_for(bits);
        const std::size_t entries = std::size_t{1} << window;
        powers.resize(std::max(powers.size(), entries * words_));
        Limb* r = result->group(g);
        tabulate(powers.data(), base[g], entries);
        std::copy(one_.begin(), one_.end(), r);
        for (std::size_t j = (bits + window - 1) / window; j-- > 0;) {
          square_times(r, window);
          Limb any = 0;
          for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const std::size_t i = g * kLanes + lane;
            const Limb digit =
                i < count ? bits_at(exponents.values + i * exponents.limbs, exponents.limbs, j * window, window) : 0;
            any |= digit;
            layout_.copy_lane(chosen.data(), lane, powers.data() + digit * words_, lane);
          }
          if (any != 0) arithmetic_.multiply_pair(r, r, chosen.data());
        }
      }
    });
    return result;
  }

  std::shared_ptr<const FixedBaseTable> fixed_base_table(const Limb* base, const Limb* inverse,
                                                         std::size_t exponent_bits, std::size_t window_bits,
                                                         Exponent kind) const override {
    const WindowCosts costs = window_costs(kind);
    if (window_bits < costs.fewest_bits || window_bits > costs.most_bits)
      throw std::invalid_argument("window_bits: expected " + std::to_string(costs.fewest_bits) + " to " +
                                  std::to_string(costs.most_bits) + ", got " + std::to_string(window_bits));
    const ResiduesPtr x = upload(base, 1);
    const ResiduesPtr y = upload(inverse, 1);
    return fixed_base_.tabulate(own(*x).group(0), own(*y).group(0), exponent_bits, window_bits, kind);
  }

  WindowCosts window_costs(Exponent kind) const override {
    WindowCosts costs = Arithmetic::window_costs(kind);
    costs.entry_bytes = layout_.row_width() * sizeof(Limb);
    // 96 MiB hold windows of 10 bits for a key of 2048 bits. Read window by window over many ciphertexts at once, a
    // table need not fit a cache: each further bit takes a tenth off the time of an encryption and doubles the memory
    // and the time to fill it.
    costs.most_bytes = std::size_t{96} << 20;
    return costs;
  }

  ResiduesPtr fixed_base_power(const FixedBaseTable& any_table, Numbers exponents, Numbers a,
                               std::size_t count) const override {
    const auto& table = dynamic_cast<const FactoredTable&>(any_table);
    // Without a, what comes out is an obfuscator.
    auto result = layout_.make_batch(count, a.values == nullptr ? Secrecy::kSecret : Secrecy::kPublic);
    const std::size_t threads = thread_count();
    const std::size_t together = std::clamp<std::size_t>((Layout::groups(count) + threads - 1) / threads, 1, kTogether);
    for_groups(count, together, [&](std::size_t begin, std::size_t end) {
      fixed_base_.power(*result, table, exponents, a, square_of_radix_.data(), begin, end);
    });
    return result;
  }

  ResiduesPtr multi_power_vartime(const Residues& x, const Residues* inverse, std::size_t columns, Numbers weights,
                                  const bool* negative, std::size_t rows, std::size_t inner) const override {
    return products_.powers(own(x), inverse == nullptr ? nullptr : &own(*inverse), columns, weights, negative, rows,
                            inner);
  }

  ResiduesPtr take(const Residues& x, const std::int64_t* indices, std::size_t count) const override {
    const LaneBatch& batch = own(x);
    auto result = layout_.make_batch(count, Secrecy::kPublic);
    for_groups(count, kGrainCopy, [&](std::size_t begin, std::size_t end) {
      for (std::size_t g = begin; g < end; ++g) {
        const std::size_t lanes = std::min(kLanes, count - g * kLanes);
        const std::int64_t* from = indices + g * kLanes;
        if (is_group(from, lanes)) {
          std::copy_n(batch.group(static_cast<std::size_t>(from[0]) / kLanes), words_, result->group(g));
          continue;
        }
        for (std::size_t lane = 0; lane < lanes; ++lane) {
          const auto index = static_cast<std::size_t>(from[lane]);
          layout_.copy_lane(result->group(g), lane, batch.group(index / kLanes), index % kLanes);
        }
      }
    });
    return result;
  }

  ResiduesPtr concatenate(const std::vector<ResiduesPtr>& parts) const override {
    std::size_t count = 0;
    for (const auto& part : parts) count += part->count();
    auto result = layout_.make_batch(count, Secrecy::kPublic);
    std::size_t next = 0;
    for (const auto& part : parts) {
      const LaneBatch& batch = own(*part);
      const std::size_t start = next;
      next += part->count();
      if (start % kLanes == 0) {
        // Lanes past the end of this part are overwritten by the next.
        std::copy_n(batch.group(0), batch.groups() * words_, result->group(start / kLanes));
        continue;
      }
      for (std::size_t i = 0; i < part->count(); ++i)
        layout_.copy_lane(result->group((start + i) / kLanes), (start + i) % kLanes, batch.group(i / kLanes),
                          i % kLanes);
    }
    return result;
  }

 private:
  using Layout = LaneLayout<Arithmetic>;
  static constexpr std::size_t kLanes = Layout::kLanes;
  static constexpr std::size_t kRadixBits = Layout::kRadixBits;
  // Groups that a thread takes at a time: small enough to share out, large enough that sharing costs nothing.
  static constexpr std::size_t kGrainProduct = 64 / kLanes;
  static constexpr std::size_t kGrainPower = 1;
  static constexpr std::size_t kGrainCopy = 1024 / kLanes;
  // Groups that read a table together, window by window.
  static constexpr std::size_t kTogether = 16;

  using Lanes = typename Layout::Lanes;

  // The groups of a batch, or one residue repeated in all lanes of all groups.
  class Operand {
   public:
    Operand(const LaneRing& ring, const LaneBatch& batch, std::size_t count)
        : batch_(batch), step_(batch.count() == 1 ? 0 : 1) {
      if (batch.count() != count && batch.count() != 1)
        throw std::invalid_argument("expected batches of equal length, or one of length 1");
      if (step_ == 1) return;
      repeated_.resize(ring.words_);
      for (std::size_t lane = 0; lane < kLanes; ++lane)
        ring.layout_.copy_lane(repeated_.data(), lane, batch.group(0), 0);
    }
    const Limb* operator[](std::size_t g) const { return step_ == 1 ? batch_.group(g) : repeated_.data(); }

   private:
    const LaneBatch& batch_;
    std::size_t step_;
    Words repeated_;
  };

  // A term's number is cut into parts below 4m; each part has its own constant, c 2^first R^2 in every lane.
  class Form final : public LinearForm {
   public:
    struct Part {
      std::size_t term, first, bits;
      Words constant;
    };
    std::vector<Part> parts;
    std::size_t terms = 0;
  };

  const LaneBatch& own(const Residues& x) const {
    const auto* batch = dynamic_cast<const LaneBatch*>(&x);
    if (batch == nullptr || batch->group_words() != words_)
      throw std::invalid_argument("a batch of another backend or another modulus");
    return *batch;
  }

  template <class Body>
  static void for_groups(std::size_t count, std::size_t grain, Body&& body) {
    Layout::for_groups(count, grain, body);
  }

  // Whether the indices are those of a whole group in order.
  static bool is_group(const std::int64_t* indices, std::size_t lanes) {
    if (lanes != kLanes || indices[0] % static_cast<std::int64_t>(kLanes) != 0) return false;
    for (std::size_t lane = 1; lane < kLanes; ++lane)
      if (indices[lane] != indices[0] + static_cast<std::int64_t>(lane)) return false;
    return true;
  }

  // The window that needs the fewest products for one power of `bits` bits: 2^w for the table, bits/w to use it.
  static std::size_t window_for(std::size_t bits) {
    return bits <= 8 ? 1 : bits <= 24 ? 2 : bits <= 80 ? 3 : bits <= 240 ? 4 : bits <= 768 ? 5 : 6;
  }

  // powers[d] <- x^d for d < entries
  void tabulate(Limb* powers, const Limb* x, std::size_t entries) const {
    std::copy(one_.begin(), one_.end(), powers);
    std::copy_n(x, words_, powers + words_);
    for (std::size_t d = 2; d < entries; ++d) {
      if (d % 2 == 0)
        arithmetic_.square_pair(powers + d * words_, powers + d / 2 * words_);
      else
        arithmetic_.multiply_pair(powers + d * words_, powers + (d - 1) * words_, powers + words_);
    }
  }

  void square_times(Limb* x, std::size_t times) const {
    for (; times > 0; --times) arithmetic_.square_pair(x, x);
  }

  // 2^power R in every lane. x -> x x / R doubles the power; one_ holds power 0.
  Words radix_times_power_of_two(std::size_t power) const {
    Words two = one_;
    for (int half = 0; half < 2; ++half)
      arithmetic_.add_mod(two.data() + half * length_ * kLanes, one_.data() + half * length_ * kLanes,
                          one_.data() + half * length_ * kLanes);
    Words result = one_;
    for (std::size_t bit = 16; bit-- > 0;) {
      arithmetic_.square_pair(result.data(), result.data());
      if (power >> bit & 1) arithmetic_.multiply_pair(result.data(), result.data(), two.data());
    }
    return result;
  }

  // Appends the parts of a term: of one bit less than the modulus, so below m; the last up to two bits longer, below
  // 4m.
  void add_term(Form& form, const SecretLimbs& coefficient, std::size_t bits) const {
    const std::size_t step = modulus_bits() - 1;
    Words constant = lift(coefficient);
    for (std::size_t first = 0; first < bits;) {
      const std::size_t left = bits - first;
      const std::size_t part = left <= step + 2 ? left : step;
      form.parts.push_back({form.terms, first, part, constant});
      first += part;
      arithmetic_.multiply_pair(constant.data(), constant.data(), radix_times_power_of_two(step).data());
    }
    ++form.terms;
  }

  // value R^2 in every lane, from canonical limbs: value = v0 + v1 2^(bits-1), both below 4m.
  Words lift(const SecretLimbs& value) const {
    const std::size_t step = modulus_bits() - 1;
    Words shifted = radix_times_power_of_two(step);
    arithmetic_.multiply_pair(shifted.data(), shifted.data(), square_of_radix_.data());
    Words digits(words_), result(words_);
    Limb* const low = digits.data();
    Limb* const high = digits.data() + length_ * kLanes;
    layout_.fill(low, {value.data(), value.size()}, 0, 1, 0, step);
    layout_.fill(high, {value.data(), value.size()}, 0, 1, step, step + 2);
    const Limb* const operands[] = {low, high};
    const Limb* const constants[] = {square_of_radix_.data(), shifted.data()};
    arithmetic_.combine(result.data(), operands, constants, 2);                        // value R
    arithmetic_.multiply_pair(result.data(), result.data(), square_of_radix_.data());  // value R^2
    for (std::size_t lane = 1; lane < kLanes; ++lane) layout_.copy_lane(result.data(), lane, result.data(), 0);
    return result;
  }

  Arithmetic arithmetic_;
  Layout layout_;
  FixedBase<Arithmetic> fixed_base_;
  Products<Arithmetic> products_;
  std::size_t length_, words_;  // digits of half a residue, words of a group
  Words one_;                   // R
  Words square_of_radix_;       // R^2
  Form plain_;                  // upload
};

}  // namespace cipherlane
