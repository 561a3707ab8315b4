// A ring over an arithmetic that works on kLanes numbers in lockstep.
//
// The arithmetic knows how to multiply; this file knows batches: how numbers are laid out in lanes, tables of powers,
// windows of exponents, segments. A group is kLanes pairs of 2L digits, digit-major: digit i of lane l is word i kLanes
// + l.
//
// An Arithmetic offers, for groups r, x, y and half groups (L digits) a, b:
//   kLanes, kRadixBits, bits(), length(), most_parts(), one() (the group of R)
//   multiply_pair(r, x, y), square_pair(r, x)    r <- x y R^-1 mod m^2
//   multiply_mod(a, a, b)                        a <- a b R^-1 mod m
//   add_mod(a, a, b)                             a <- a + b mod m, Reduced
//   canonical_digits(d0, d1, x)                  x R^-1 = d0 + d1 m
//   join(value, d0, d1)                          value <- d0 + d1 m, a plain number of 2L digits
//   combine(r, numbers, constants, parts)        r <- sum_k numbers_k constants_k R^-1, plain half groups times groups
//   gather(r, table, indices, width)             lane l of r <- table row indices[l]
//   select(r, table, rows, indices, width)       the same, reading every row
//   select_group(r, groups, count, index, words) r <- groups[index], reading every group
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "cipherlane/parallel.hpp"
#include "cipherlane/ring.hpp"

namespace cipherlane {

// Cache lines begin where batches begin, so that a vector never straddles two.
template <class T>
struct AlignedWipingAllocator : WipingAllocator<T> {
  template <class U>
  struct rebind {
    using other = AlignedWipingAllocator<U>;
  };
  static constexpr std::align_val_t kAlignment{64};
  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kAlignment)); }
  void deallocate(T* memory, std::size_t count) noexcept {
    wipe(memory, count * sizeof(T));
    ::operator delete(memory, kAlignment);
  }
};
using Words = std::vector<Limb, AlignedWipingAllocator<Limb>>;

template <class Arithmetic>
class LaneRing final : public Ring {
 public:
  LaneRing(const Limb* modulus, std::size_t limbs)
      : arithmetic_(modulus, limbs), length_(arithmetic_.length()), width_(2 * length_), words_(width_ * kLanes) {
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
    auto result = std::make_shared<Batch>(count, words_);
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
          fill(digits.data() + k * length_ * kLanes, numbers[part.term], g, count, part.first, part.bits);
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
    const Batch& batch = own(x);
    for_groups(x.count(), kGrainProduct, [&](std::size_t begin, std::size_t end) {
      Words digits(words_), value(words_);
      for (std::size_t g = begin; g < end; ++g) {
        arithmetic_.canonical_digits(digits.data(), digits.data() + length_ * kLanes, batch.group(g));
        arithmetic_.join(value.data(), digits.data(), digits.data() + length_ * kLanes);
        spill(values, limbs(), value.data(), width_, g, x.count());
      }
    });
  }

  void download_digits(const Residues& x, Limb* d0, Limb* d1) const override {
    const Batch& batch = own(x);
    for_groups(x.count(), kGrainProduct, [&](std::size_t begin, std::size_t end) {
      Words low(length_ * kLanes), high(length_ * kLanes);
      for (std::size_t g = begin; g < end; ++g) {
        arithmetic_.canonical_digits(low.data(), high.data(), batch.group(g));
        if (d0 != nullptr) spill(d0, digit_limbs(), low.data(), length_, g, x.count());
        spill(d1, digit_limbs(), high.data(), length_, g, x.count());
      }
    });
  }

  ResiduesPtr multiply(const Residues& x, const Residues& y) const override {
    const std::size_t count = x.count() == 1 ? y.count() : x.count();
    const Operand a(*this, own(x), count);
    const Operand b(*this, own(y), count);
    auto result = std::make_shared<Batch>(count, words_);
    for_groups(count, kGrainProduct, [&](std::size_t begin, std::size_t end) {
      for (std::size_t g = begin; g < end; ++g) arithmetic_.multiply_pair(result->group(g), a[g], b[g]);
    });
    return result;
  }

  ResiduesPtr multiply_one_plus(const Residues& x, const Limb* a, std::size_t count) const override {
    const Operand base(*this, own(x), count);
    auto result = std::make_shared<Batch>(count, words_);
    for_groups(count, kGrainProduct, [&](std::size_t begin, std::size_t end) {
      Words digits(length_ * kLanes);
      for (std::size_t g = begin; g < end; ++g) {
        const Limb* from = base[g];
        Limb* to = result->group(g);
        fill(digits.data(), {a, digit_limbs()}, g, count, 0, modulus_bits());
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
    // Long segments are cut, so that one sum over everything still uses all threads and lanes; a second round joins the
    // parts.
    const auto total = static_cast<std::size_t>(segments == 0 ? 0 : offsets[segments] - offsets[0]);
    const auto longest =
        static_cast<std::int64_t>(std::max<std::size_t>(32, total / (8 * kLanes * thread_count()) + 1));
    std::vector<Piece> pieces;
    std::vector<std::int64_t> first_piece{0};
    for (std::size_t s = 0; s < segments; ++s) {
      std::int64_t begin = offsets[s];
      do {
        const std::int64_t end = std::min(offsets[s + 1], begin + longest);
        pieces.push_back({begin, end});
        begin = end;
      } while (begin < offsets[s + 1]);
      first_piece.push_back(static_cast<std::int64_t>(pieces.size()));
    }
    const ResiduesPtr partial = products(own(x), pieces, indices);
    if (pieces.size() == segments) return partial;
    std::vector<std::int64_t> all(pieces.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
    return segment_product(*partial, all.data(), first_piece.data(), segments);
  }

  ResiduesPtr power_shared(const Residues& x, const Limb* exponent, std::size_t exponent_bits,
                           Exponent kind) const override {
    const Batch& batch = own(x);
    auto result = std::make_shared<Batch>(x.count(), words_);
    const std::size_t exponent_limbs = limbs_for_bits(exponent_bits);
    const std::size_t window =
        kind == Exponent::kSecret ? std::min<std::size_t>(5, window_for(exponent_bits)) : window_for(exponent_bits);
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
    auto result = std::make_shared<Batch>(count, words_);
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
            copy_lane(chosen.data(), lane, powers.data() + digit * words_, lane);
          }
          if (any != 0) arithmetic_.multiply_pair(r, r, chosen.data());
        }
      }
    });
    return result;
  }

  std::shared_ptr<const FixedBaseTable> fixed_base_table(const Limb* base, std::size_t exponent_bits,
                                                         std::size_t window_bits, Exponent kind) const override {
    if (window_bits < 1 || window_bits > 16)
      throw std::invalid_argument("window_bits: expected 1 to 16, got " + std::to_string(window_bits));
    auto table = std::make_shared<Table>(exponent_bits, window_bits, width_, kind);
    const ResiduesPtr start = upload(base, 1);
    const std::size_t windows = table->windows();
    // The bases of the rows, base^(2^(w j)), by squarings one after the other; then all rows fill in parallel, one in
    // each lane.
    Words current(own(*start).group(0), own(*start).group(0) + words_);
    Batch bases(windows, words_);
    for (std::size_t j = 0; j < windows; ++j) {
      copy_lane(bases.group(j / kLanes), j % kLanes, current.data(), 0);
      if (j + 1 < windows) square_times(current.data(), window_bits);
    }
    for_groups(windows, 1, [&](std::size_t begin, std::size_t end) {
      Words power(words_);
      for (std::size_t g = begin; g < end; ++g) {
        std::copy(one_.begin(), one_.end(), power.begin());
        for (std::size_t d = 0; d < std::size_t{1} << window_bits; ++d) {
          if (d > 0) arithmetic_.multiply_pair(power.data(), power.data(), bases.group(g));
          for (std::size_t lane = 0; lane < kLanes && g * kLanes + lane < windows; ++lane) {
            Limb* entry = table->row(g * kLanes + lane) + d * width_;
            for (std::size_t i = 0; i < width_; ++i) entry[i] = power[i * kLanes + lane];
          }
        }
      }
    });
    return table;
  }

  ResiduesPtr fixed_base_power(const FixedBaseTable& any_table, const Limb* exponents, std::size_t exponent_limbs,
                               std::size_t count) const override {
    const auto& table = static_cast<const Table&>(any_table);
    const std::size_t window = table.window_bits();
    auto result = std::make_shared<Batch>(count, words_);
    for_groups(count, kGrainPower, [&](std::size_t begin, std::size_t end) {
      Words chosen(words_);
      Lanes now, next;
      for (std::size_t g = begin; g < end; ++g) {
        const auto digits = [&](Lanes& to, std::size_t j) {
          for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const std::size_t i = std::min(g * kLanes + lane, count - 1);
            to[lane] = bits_at(exponents + i * exponent_limbs, exponent_limbs, j * window, window);
          }
        };
        const auto look_up = [&](Limb* to, std::size_t j) {
          if (table.kind() == Exponent::kSecret)
            arithmetic_.select(to, table.row(j), std::size_t{1} << window, now.data(), width_);
          else
            arithmetic_.gather(to, table.row(j), now.data(), width_);
        };
        Limb* r = result->group(g);
        digits(now, 0);
        look_up(r, 0);
        digits(now, 1);
        for (std::size_t j = 1; j < table.windows(); ++j) {
          look_up(chosen.data(), j);
          if (j + 1 < table.windows()) {
            digits(next, j + 1);
            if (table.kind() == Exponent::kPublic)
              for (const Limb digit : next) prefetch(table.row(j + 1) + digit * width_);
            now = next;
          }
          arithmetic_.multiply_pair(r, r, chosen.data());
        }
        wipe(now.data(), sizeof now);
        wipe(next.data(), sizeof next);
      }
    });
    return result;
  }

  ResiduesPtr multi_power_vartime(const Residues& x, const Residues* inverse, std::size_t columns, Numbers weights,
                                  const bool* negative, std::size_t rows, std::size_t inner) const override {
    const Batch& base = own(x);
    const Batch* reciprocal = inverse == nullptr ? nullptr : &own(*inverse);
    std::size_t bits = 0;
    for (std::size_t i = 0; i < rows * inner; ++i)
      bits = std::max(bits, bit_length(weights.values + i * weights.limbs, weights.limbs));
    // Pippenger: each window of c bits costs one product a term and 2^(c+1) to combine the buckets.
    std::size_t window = 1;
    const auto cost = [&](std::size_t c) { return (bits + c - 1) / c * (inner + (std::size_t{2} << c)); };
    while (window < 12 && cost(window + 1) < cost(window)) ++window;
    const std::size_t count = rows * columns;
    auto result = std::make_shared<Batch>(count, words_);
    for_groups(count, 1, [&](std::size_t begin, std::size_t end) {
      Words buckets((std::size_t{1} << window) * words_), factor(words_), bucket(words_), running(words_), sum(words_);
      for (std::size_t g = begin; g < end; ++g) {
        Limb* r = result->group(g);
        std::copy(one_.begin(), one_.end(), r);
        for (std::size_t first = (bits + window - 1) / window * window; first > 0;) {
          first -= window;
          square_times(r, window);
          // Bucket d collects the terms whose digit is d, each lane its own; digit 0 collects what nobody reads.
          for (std::size_t d = 1; d < std::size_t{1} << window; ++d)
            std::copy(one_.begin(), one_.end(), buckets.data() + d * words_);
          for (std::size_t j = 0; j < inner; ++j) {
            Lanes digits;
            Limb any = 0;
            for (std::size_t lane = 0; lane < kLanes; ++lane) {
              const std::size_t out = std::min(g * kLanes + lane, count - 1);
              const std::size_t weight = out / columns * inner + j;
              digits[lane] = bits_at(weights.values + weight * weights.limbs, weights.limbs, first, window);
              any |= digits[lane];
              const std::size_t term = j * columns + out % columns;
              const Batch& from = negative[weight] ? *reciprocal : base;
              copy_lane(factor.data(), lane, from.group(term / kLanes), term % kLanes);
              copy_lane(bucket.data(), lane, buckets.data() + digits[lane] * words_, lane);
            }
            if (any == 0) continue;
            arithmetic_.multiply_pair(bucket.data(), bucket.data(), factor.data());
            for (std::size_t lane = 0; lane < kLanes; ++lane)
              copy_lane(buckets.data() + digits[lane] * words_, lane, bucket.data(), lane);
          }
          // prod_d bucket_d^d as running products from the top
          std::copy(one_.begin(), one_.end(), running.begin());
          std::copy(one_.begin(), one_.end(), sum.begin());
          for (std::size_t d = std::size_t{1} << window; --d > 0;) {
            arithmetic_.multiply_pair(running.data(), running.data(), buckets.data() + d * words_);
            arithmetic_.multiply_pair(sum.data(), sum.data(), running.data());
          }
          arithmetic_.multiply_pair(r, r, sum.data());
        }
      }
    });
    return result;
  }

  ResiduesPtr take(const Residues& x, const std::int64_t* indices, std::size_t count) const override {
    const Batch& batch = own(x);
    auto result = std::make_shared<Batch>(count, words_);
    for_groups(count, kGrainCopy, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin * kLanes; i < std::min(count, end * kLanes); ++i) {
        const auto from = static_cast<std::size_t>(indices[i]);
        copy_lane(result->group(i / kLanes), i % kLanes, batch.group(from / kLanes), from % kLanes);
      }
    });
    return result;
  }

  ResiduesPtr concatenate(const std::vector<ResiduesPtr>& parts) const override {
    std::size_t count = 0;
    for (const auto& part : parts) count += part->count();
    auto result = std::make_shared<Batch>(count, words_);
    std::size_t next = 0;
    for (const auto& part : parts) {
      const Batch& batch = own(*part);
      for (std::size_t i = 0; i < part->count(); ++i, ++next)
        copy_lane(result->group(next / kLanes), next % kLanes, batch.group(i / kLanes), i % kLanes);
    }
    return result;
  }

 private:
  static constexpr std::size_t kLanes = Arithmetic::kLanes;
  static constexpr std::size_t kRadixBits = Arithmetic::kRadixBits;
  // Groups that a thread takes at a time: small enough to share out, large enough that sharing costs nothing.
  static constexpr std::size_t kGrainProduct = 64 / kLanes;
  static constexpr std::size_t kGrainPower = 1;
  static constexpr std::size_t kGrainCopy = 1024 / kLanes;

  using Lanes = std::array<Limb, kLanes>;

  class Batch final : public Residues {
   public:
    Batch(std::size_t count, std::size_t words)
        : Residues(count), group_words_(words), words_((count + kLanes - 1) / kLanes * words) {}
    Limb* group(std::size_t g) { return words_.data() + g * group_words_; }
    const Limb* group(std::size_t g) const { return words_.data() + g * group_words_; }
    std::size_t group_words() const { return group_words_; }

   private:
    std::size_t group_words_;
    Words words_;
  };

  // The groups of a batch, or one residue repeated in all lanes of all groups.
  class Operand {
   public:
    Operand(const LaneRing& ring, const Batch& batch, std::size_t count)
        : batch_(batch), step_(batch.count() == 1 ? 0 : 1) {
      if (batch.count() != count && batch.count() != 1)
        throw std::invalid_argument("expected batches of equal length, or one of length 1");
      if (step_ == 1) return;
      repeated_.resize(ring.words_);
      for (std::size_t lane = 0; lane < kLanes; ++lane) ring.copy_lane(repeated_.data(), lane, batch.group(0), 0);
    }
    const Limb* operator[](std::size_t g) const { return step_ == 1 ? batch_.group(g) : repeated_.data(); }

   private:
    const Batch& batch_;
    std::size_t step_;
    Words repeated_;
  };

  class Table final : public FixedBaseTable {
   public:
    Table(std::size_t exponent_bits, std::size_t window_bits, std::size_t width, Exponent kind)
        : windows_((exponent_bits + window_bits - 1) / window_bits),
          window_bits_(window_bits),
          width_(width),
          kind_(kind),
          words_((windows_ << window_bits) * width) {}
    std::size_t window_bits() const override { return window_bits_; }
    std::size_t bytes() const override { return words_.size() * sizeof(Limb); }
    std::size_t windows() const { return windows_; }
    Exponent kind() const { return kind_; }
    Limb* row(std::size_t window) { return words_.data() + (window << window_bits_) * width_; }
    const Limb* row(std::size_t window) const { return words_.data() + (window << window_bits_) * width_; }

   private:
    std::size_t windows_, window_bits_, width_;
    Exponent kind_;
    Words words_;
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

  struct Piece {
    std::int64_t begin, end;
  };

  const Batch& own(const Residues& x) const {
    const auto* batch = dynamic_cast<const Batch*>(&x);
    if (batch == nullptr || batch->group_words() != words_)
      throw std::invalid_argument("a batch of another backend or another modulus");
    return *batch;
  }

  template <class Body>
  void for_groups(std::size_t count, std::size_t grain, Body&& body) const {
    parallel_for((count + kLanes - 1) / kLanes, grain, body);
  }

  // The window that needs the fewest products for one power of `bits` bits: 2^w for the table, bits/w to use it.
  static std::size_t window_for(std::size_t bits) {
    return bits <= 8 ? 1 : bits <= 24 ? 2 : bits <= 80 ? 3 : bits <= 240 ? 4 : bits <= 768 ? 5 : 6;
  }

  void copy_lane(Limb* to, std::size_t to_lane, const Limb* from, std::size_t from_lane) const {
    for (std::size_t i = 0; i < width_; ++i) to[i * kLanes + to_lane] = from[i * kLanes + from_lane];
  }

  void prefetch(const Limb* entry) const {
#if defined(__GNUC__)
    for (std::size_t i = 0; i < width_; i += 8) __builtin_prefetch(entry + i);
#else
    (void)entry;
#endif
  }

  // to <- the bits [first, first + bits) of numbers g kLanes, ..., one in each lane; zero past the end of the batch.
  void fill(Limb* to, const Numbers& numbers, std::size_t g, std::size_t count, std::size_t first,
            std::size_t bits) const {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const std::size_t index = g * kLanes + lane;
      const Limb* value = numbers.values + index * numbers.limbs;
      for (std::size_t i = 0; i < length_; ++i) {
        const std::size_t low = i * kRadixBits;
        to[i * kLanes + lane] = index < count && low < bits
                                    ? bits_at(value, numbers.limbs, first + low, std::min(kRadixBits, bits - low))
                                    : 0;
      }
    }
  }

  // values[index] <- the digits of each lane, as 64-bit limbs
  void spill(Limb* values, std::size_t out, const Limb* digits, std::size_t length, std::size_t g,
             std::size_t count) const {
    for (std::size_t lane = 0; lane < kLanes && g * kLanes + lane < count; ++lane) {
      Limb* value = values + (g * kLanes + lane) * out;
      std::fill_n(value, out, Limb{0});
      for (std::size_t i = 0; i < length; ++i) {
        const Limb digit = digits[i * kLanes + lane];
        const std::size_t index = i * kRadixBits / kLimbBits;
        const std::size_t offset = i * kRadixBits % kLimbBits;
        if (index < out) value[index] |= digit << offset;
        if (offset + kRadixBits > kLimbBits && index + 1 < out) value[index + 1] |= digit >> (kLimbBits - offset);
      }
    }
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

  // One product for each piece; lanes whose piece has ended go on with factors of one.
  ResiduesPtr products(const Batch& x, const std::vector<Piece>& pieces, const std::int64_t* indices) const {
    auto result = std::make_shared<Batch>(pieces.size(), words_);
    for_groups(pieces.size(), 1, [&](std::size_t begin, std::size_t end) {
      Words factor(words_);
      for (std::size_t g = begin; g < end; ++g) {
        const Piece* piece = pieces.data() + g * kLanes;
        const std::size_t lanes = std::min(kLanes, pieces.size() - g * kLanes);
        std::int64_t longest = 0;
        for (std::size_t lane = 0; lane < lanes; ++lane)
          longest = std::max(longest, piece[lane].end - piece[lane].begin);
        const auto load = [&](Limb* to, std::int64_t step) {
          for (std::size_t lane = 0; lane < kLanes; ++lane) {
            if (lane < lanes && piece[lane].begin + step < piece[lane].end) {
              const auto i = static_cast<std::size_t>(indices[piece[lane].begin + step]);
              copy_lane(to, lane, x.group(i / kLanes), i % kLanes);
            } else {
              copy_lane(to, lane, one_.data(), lane);
            }
          }
        };
        Limb* r = result->group(g);
        load(r, 0);
        for (std::int64_t step = 1; step < longest; ++step) {
          load(factor.data(), step);
          arithmetic_.multiply_pair(r, r, factor.data());
        }
      }
    });
    return result;
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
    fill(low, {value.data(), value.size()}, 0, 1, 0, step);
    fill(high, {value.data(), value.size()}, 0, 1, step, step + 2);
    const Limb* const operands[] = {low, high};
    const Limb* const constants[] = {square_of_radix_.data(), shifted.data()};
    arithmetic_.combine(result.data(), operands, constants, 2);                        // value R
    arithmetic_.multiply_pair(result.data(), result.data(), square_of_radix_.data());  // value R^2
    for (std::size_t lane = 1; lane < kLanes; ++lane) copy_lane(result.data(), lane, result.data(), 0);
    return result;
  }

  Arithmetic arithmetic_;
  std::size_t length_, width_, words_;  // digits of half a residue, of a residue; words of a group
  Words one_;                           // R
  Words square_of_radix_;               // R^2
  Form plain_;                          // upload
};

}  // namespace cipherlane
