#include "portable_ring.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "cipherlane/parallel.hpp"
#include "portable_arithmetic.hpp"

namespace cipherlane::portable {
namespace {

// Pieces of a batch: small enough to share out, large enough that sharing costs nothing.
constexpr std::size_t kGrainProduct = 64;
constexpr std::size_t kGrainPower = 2;
constexpr std::size_t kMostParts = 16;

using Words = std::vector<Limb, WipingAllocator<Limb>>;

// count pairs of 2L digits, one after the other.
class Batch final : public Residues {
 public:
  Batch(std::size_t count, std::size_t width) : Residues(count), width_(width), words_(count * width) {}
  Limb* operator[](std::size_t i) { return words_.data() + i * width_; }
  const Limb* operator[](std::size_t i) const { return words_.data() + i * width_; }
  std::size_t width() const { return width_; }

 private:
  std::size_t width_;
  Words words_;
};

class Table final : public FixedBaseTable {
 public:
  Table(std::size_t exponent_bits, std::size_t window_bits, std::size_t width, Exponent kind)
      : exponent_bits_(exponent_bits),
        window_bits_(window_bits),
        width_(width),
        kind_(kind),
        words_((windows() << window_bits) * width) {}
  std::size_t window_bits() const override { return window_bits_; }
  std::size_t bytes() const override { return words_.size() * sizeof(Limb); }
  std::size_t windows() const { return (exponent_bits_ + window_bits_ - 1) / window_bits_; }
  Exponent kind() const { return kind_; }
  Limb* row(std::size_t window) { return words_.data() + (window << window_bits_) * width_; }
  const Limb* row(std::size_t window) const { return words_.data() + (window << window_bits_) * width_; }

 private:
  std::size_t exponent_bits_, window_bits_, width_;
  Exponent kind_;
  Words words_;
};

// A term's number is cut into parts below 4m; each part has its own constant, c 2^(first) R^2 as a pair.
class Form final : public LinearForm {
 public:
  struct Part {
    std::size_t term, first, bits;
    Words constant;
  };
  std::vector<Part> parts;
  std::size_t terms = 0;
};

// r <- table[index], reading every entry.
void select(Limb* r, const Limb* table, std::size_t entries, std::size_t width, Limb index) {
  std::fill(r, r + width, Limb{0});
  for (std::size_t entry = 0; entry < entries; ++entry) {
    const Limb difference = entry ^ index;
    const Limb mask = ((difference | (0 - difference)) >> 63) - 1;
    const Limb* from = table + entry * width;
    for (std::size_t i = 0; i < width; ++i) r[i] |= from[i] & mask;
  }
}

void prefetch(const Limb* memory, std::size_t words) {
#if defined(__GNUC__)
  for (std::size_t i = 0; i < words; i += 8) __builtin_prefetch(memory + i);
#else
  (void)memory, (void)words;
#endif
}

// The window that needs the fewest products for one power of `bits` bits: 2^w for the table, bits/w to use it.
std::size_t window_for(std::size_t bits) {
  return bits <= 8 ? 1 : bits <= 24 ? 2 : bits <= 80 ? 3 : bits <= 240 ? 4 : bits <= 768 ? 5 : 6;
}

class PortableRing final : public Ring {
 public:
  PortableRing(const Limb* modulus, std::size_t limbs)
      : modulus_(modulus, limbs), length_(modulus_.length), width_(2 * length_) {
    one_.assign(modulus_.one[0].begin(), modulus_.one[0].begin() + static_cast<std::ptrdiff_t>(length_));
    one_.insert(one_.end(), modulus_.one[1].begin(), modulus_.one[1].begin() + static_cast<std::ptrdiff_t>(length_));
    // R^2 from R: doubling a pair 60 L times costs nothing beside a key's other set-up, but squaring needs R^2 itself,
    // so R^2 = R 2^(60 L) is reached by Montgomery squarings of 2^k R: (2^k R)(2^k R)/R = 2^(2k) R.
    square_of_radix_ = radix_times_power_of_two(kRadixBits * length_);
    plain_ = std::make_shared<Form>();
    add_term(*plain_, 0, one_residue_canonical(), 2 * modulus_.bits);
    plain_->terms = 1;
  }

  std::size_t modulus_bits() const override { return modulus_.bits; }

  std::shared_ptr<const LinearForm> linear_form(const std::vector<Term>& terms) const override {
    auto form = std::make_shared<Form>();
    for (const Term& term : terms) {
      if (term.coefficient.size() != limbs())
        throw std::invalid_argument("linear_form: coefficient of the wrong width");
      add_term(*form, form->terms, term.coefficient, term.bits);
      ++form->terms;
    }
    if ((form->parts.size() + 1) * length_ > kMostProducts || form->parts.size() > kMostParts)
      throw std::invalid_argument("linear_form: too many terms for one sum of columns");
    return form;
  }

  ResiduesPtr evaluate(const LinearForm& form, const std::vector<Numbers>& numbers, std::size_t count) const override {
    const auto& exact = static_cast<const Form&>(form);
    if (numbers.size() != exact.terms) throw std::invalid_argument("evaluate: one set of numbers for each term");
    auto result = std::make_shared<Batch>(count, width_);
    parallel_for(count, kGrainProduct, [&](std::size_t begin, std::size_t end) {
      std::vector<Words> digits(exact.parts.size(), Words(length_));
      for (std::size_t i = begin; i < end; ++i) {
        for (std::size_t k = 0; k < exact.parts.size(); ++k) {
          const auto& part = exact.parts[k];
          const Numbers& x = numbers[part.term];
          digits_from_bits(digits[k].data(), length_, x.values + i * x.limbs, x.limbs, part.first, part.bits);
        }
        combine((*result)[i], exact, digits);
      }
    });
    return result;
  }

  ResiduesPtr upload(const Limb* values, std::size_t count) const override {
    return evaluate(*plain_, {{values, limbs()}}, count);
  }

  void download(const Residues& x, Limb* values) const override {
    const Batch& batch = own(x);
    const std::size_t out = limbs();
    parallel_for(x.count(), kGrainProduct, [&](std::size_t begin, std::size_t end) {
      Wiped<Digits> d0, d1;
      Columns columns;
      Wiped<std::array<Limb, 2 * kMostDigits>> value;
      for (std::size_t i = begin; i < end; ++i) {
        canonical_digits(d0.value.data(), d1.value.data(), batch[i], modulus_);
        clear(columns.data(), width_);
        multiply_columns(columns.data(), d1.value.data(), modulus_.m.data(), length_);
        for (std::size_t j = 0; j < length_; ++j) columns[j] = narrow(wide(columns[j]) + d0.value[j]);
        carry_columns(value.value.data(), columns.data(), width_);
        limbs_from_digits(values + i * out, out, value.value.data(), width_);
      }
      wipe(columns.data(), sizeof columns);
    });
  }

  void download_digits(const Residues& x, Limb* d0, Limb* d1) const override {
    const Batch& batch = own(x);
    const std::size_t out = digit_limbs();
    parallel_for(x.count(), kGrainProduct, [&](std::size_t begin, std::size_t end) {
      Wiped<Digits> low, high;
      for (std::size_t i = begin; i < end; ++i) {
        canonical_digits(low.value.data(), high.value.data(), batch[i], modulus_);
        if (d0 != nullptr) limbs_from_digits(d0 + i * out, out, low.value.data(), length_);
        limbs_from_digits(d1 + i * out, out, high.value.data(), length_);
      }
    });
  }

  ResiduesPtr multiply(const Residues& x, const Residues& y) const override {
    const Batch& a = own(x);
    const Batch& b = own(y);
    const std::size_t count = x.count() == 1 ? y.count() : x.count();
    if (y.count() != count && y.count() != 1) throw std::invalid_argument("multiply: batches of different lengths");
    const std::size_t a_step = x.count() == 1 ? 0 : 1;
    const std::size_t b_step = y.count() == 1 ? 0 : 1;
    auto result = std::make_shared<Batch>(count, width_);
    parallel_for(count, kGrainProduct, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) multiply_pair((*result)[i], a[i * a_step], b[i * b_step], modulus_);
    });
    return result;
  }

  ResiduesPtr multiply_one_plus(const Residues& x, const Limb* a, std::size_t count) const override {
    const Batch& batch = own(x);
    if (x.count() != count && x.count() != 1)
      throw std::invalid_argument("multiply_one_plus: batches of different lengths");
    const std::size_t step = x.count() == 1 ? 0 : 1;
    const std::size_t a_limbs = digit_limbs();
    auto result = std::make_shared<Batch>(count, width_);
    parallel_for(count, kGrainProduct, [&](std::size_t begin, std::size_t end) {
      Wiped<Digits> digits;
      for (std::size_t i = begin; i < end; ++i) {
        const Limb* from = batch[i * step];
        Limb* to = (*result)[i];
        digits_from_bits(digits.value.data(), length_, a + i * a_limbs, a_limbs, 0, modulus_.bits);
        // (1 + a m)(x0 + x1 m) = x0 + (x1 + a x0) m. The digit of R^2 mod m below m lifts a to a R.
        multiply_mod(digits.value.data(), digits.value.data(), square_of_radix_.data(), modulus_);
        multiply_mod(digits.value.data(), digits.value.data(), from, modulus_);
        std::copy_n(from, length_, to);
        Limb carry = 0;  // two Reduced numbers: the sum is Lazy
        for (std::size_t j = 0; j < length_; ++j) {
          const Limb digit = from[length_ + j] + digits.value[j] + carry;
          carry = digit >> kRadixBits;
          to[length_ + j] = digit & kDigitMask;
        }
        reduce_once_lazy(to + length_);
      }
    });
    return result;
  }

  ResiduesPtr segment_product(const Residues& x, const std::int64_t* indices, const std::int64_t* offsets,
                              std::size_t segments) const override {
    // Long segments are cut, so that one sum over everything still uses all threads; a second pass joins the parts.
    const auto total = static_cast<std::size_t>(segments == 0 ? 0 : offsets[segments] - offsets[0]);
    const std::size_t longest = std::max<std::size_t>(64, total / (8 * thread_count()) + 1);
    struct Piece {
      std::int64_t begin, end;
    };
    std::vector<Piece> pieces;
    std::vector<std::int64_t> piece_offsets{0};
    for (std::size_t s = 0; s < segments; ++s) {
      std::int64_t begin = offsets[s];
      do {
        const std::int64_t end = std::min<std::int64_t>(offsets[s + 1], begin + static_cast<std::int64_t>(longest));
        pieces.push_back({begin, end});
        begin = end;
      } while (begin < offsets[s + 1]);
      piece_offsets.push_back(static_cast<std::int64_t>(pieces.size()));
    }
    const Batch& batch = own(x);
    auto partial = std::make_shared<Batch>(pieces.size(), width_);
    parallel_for(pieces.size(), 1, [&](std::size_t first, std::size_t last) {
      for (std::size_t p = first; p < last; ++p)
        product((*partial)[p], pieces[p].begin, pieces[p].end,
                [&](std::int64_t i) { return batch[static_cast<std::size_t>(indices[i])]; });
    });
    if (pieces.size() == segments) return partial;
    auto result = std::make_shared<Batch>(segments, width_);
    parallel_for(segments, 1, [&](std::size_t first, std::size_t last) {
      for (std::size_t s = first; s < last; ++s)
        product((*result)[s], piece_offsets[s], piece_offsets[s + 1],
                [&](std::int64_t i) { return (*partial)[static_cast<std::size_t>(i)]; });
    });
    return result;
  }

  ResiduesPtr power_shared(const Residues& x, const Limb* exponent, std::size_t exponent_bits,
                           Exponent kind) const override {
    const Batch& batch = own(x);
    auto result = std::make_shared<Batch>(x.count(), width_);
    const std::size_t exponent_limbs = limbs_for_bits(exponent_bits);
    const std::size_t window =
        kind == Exponent::kSecret ? std::min<std::size_t>(5, window_for(exponent_bits)) : window_for(exponent_bits);
    parallel_for(x.count(), kGrainPower, [&](std::size_t begin, std::size_t end) {
      Words scratch((std::size_t{1} << window) * width_ + width_);
      for (std::size_t i = begin; i < end; ++i)
        power((*result)[i], batch[i], exponent, exponent_limbs, exponent_bits, window, kind, scratch);
    });
    return result;
  }

  ResiduesPtr power_each_vartime(const Residues& x, Numbers exponents, std::size_t count) const override {
    const Batch& batch = own(x);
    if (x.count() != count && x.count() != 1) throw std::invalid_argument("power: batches of different lengths");
    const std::size_t step = x.count() == 1 ? 0 : 1;
    auto result = std::make_shared<Batch>(count, width_);
    parallel_for(count, kGrainPower, [&](std::size_t begin, std::size_t end) {
      Words scratch((std::size_t{1} << window_for(exponents.limbs * kLimbBits)) * width_ + width_);
      for (std::size_t i = begin; i < end; ++i) {
        const Limb* exponent = exponents.values + i * exponents.limbs;
        const std::size_t bits = bit_length(exponent, exponents.limbs);
        power((*result)[i], batch[i * step], exponent, exponents.limbs, bits, window_for(bits), Exponent::kPublic,
              scratch);
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
    Words current(own(*start)[0], own(*start)[0] + width_);
    // Entry 1 of each row by squarings, one after the other; the rows then fill in parallel.
    for (std::size_t j = 0; j < table->windows(); ++j) {
      std::copy(current.begin(), current.end(), table->row(j) + width_);
      if (j + 1 == table->windows()) break;
      for (std::size_t bit = 0; bit < window_bits; ++bit) square_pair(current.data(), current.data(), modulus_);
    }
    parallel_for(table->windows(), 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t j = begin; j < end; ++j) {
        Limb* row = table->row(j);
        std::copy(one_.begin(), one_.end(), row);
        for (std::size_t d = 2; d < std::size_t{1} << window_bits; ++d)
          multiply_pair(row + d * width_, row + (d - 1) * width_, row + width_, modulus_);
      }
    });
    return table;
  }

  ResiduesPtr fixed_base_power(const FixedBaseTable& any_table, const Limb* exponents, std::size_t exponent_limbs,
                               std::size_t count) const override {
    const auto& table = static_cast<const Table&>(any_table);
    const std::size_t window = table.window_bits();
    const std::size_t entries = std::size_t{1} << window;
    auto result = std::make_shared<Batch>(count, width_);
    parallel_for(count, kGrainPower, [&](std::size_t begin, std::size_t end) {
      Words chosen(width_);
      for (std::size_t i = begin; i < end; ++i) {
        Limb* r = (*result)[i];
        const Limb* exponent = exponents + i * exponent_limbs;
        if (table.kind() == Exponent::kSecret) {
          select(r, table.row(0), entries, width_, bits_at(exponent, exponent_limbs, 0, window));
          for (std::size_t j = 1; j < table.windows(); ++j) {
            select(chosen.data(), table.row(j), entries, width_, bits_at(exponent, exponent_limbs, j * window, window));
            multiply_pair(r, r, chosen.data(), modulus_);
          }
          continue;
        }
        const auto entry = [&](std::size_t j) {
          return table.row(j) + bits_at(exponent, exponent_limbs, j * window, window) * width_;
        };
        const Limb* next = entry(0);
        std::copy_n(next, width_, r);
        if (table.windows() > 1) next = entry(1);
        for (std::size_t j = 1; j < table.windows(); ++j) {
          const Limb* now = next;
          if (j + 1 < table.windows()) prefetch(next = entry(j + 1), width_);
          multiply_pair(r, r, now, modulus_);
        }
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
    auto result = std::make_shared<Batch>(rows * columns, width_);
    parallel_for(rows * columns, 1, [&](std::size_t begin, std::size_t end) {
      Buckets buckets(std::size_t{1} << window, width_);
      for (std::size_t out = begin; out < end; ++out) {
        const std::size_t row = out / columns;
        const std::size_t column = out % columns;
        Limb* r = (*result)[out];
        std::copy(one_.begin(), one_.end(), r);
        for (std::size_t first = (bits + window - 1) / window * window; first > 0;) {
          first -= window;
          for (std::size_t bit = 0; bit < window; ++bit) square_pair(r, r, modulus_);
          buckets.clear();
          for (std::size_t j = 0; j < inner; ++j) {
            const std::size_t weight = row * inner + j;
            const Limb digit = bits_at(weights.values + weight * weights.limbs, weights.limbs, first, window);
            if (digit == 0) continue;
            const Batch& from = negative[weight] ? *reciprocal : base;
            buckets.add(digit, from[j * columns + column], modulus_);
          }
          buckets.multiply_into(r, modulus_);
        }
      }
    });
    return result;
  }

  ResiduesPtr take(const Residues& x, const std::int64_t* indices, std::size_t count) const override {
    const Batch& batch = own(x);
    auto result = std::make_shared<Batch>(count, width_);
    for (std::size_t i = 0; i < count; ++i)
      std::copy_n(batch[static_cast<std::size_t>(indices[i])], width_, (*result)[i]);
    return result;
  }

  ResiduesPtr concatenate(const std::vector<ResiduesPtr>& parts) const override {
    std::size_t count = 0;
    for (const auto& part : parts) count += part->count();
    auto result = std::make_shared<Batch>(count, width_);
    std::size_t next = 0;
    for (const auto& part : parts) {
      if (part->count() == 0) continue;
      std::copy_n(own(*part)[0], part->count() * width_, (*result)[next]);
      next += part->count();
    }
    return result;
  }

 private:
  // Buckets of Pippenger's method: bucket d collects the terms whose digit is d; the product of bucket_d^d is formed as
  // running products from the top.
  class Buckets {
   public:
    Buckets(std::size_t count, std::size_t width) : width_(width), used_(count), words_(count * width) {}
    void clear() { std::fill(used_.begin(), used_.end(), false); }
    void add(Limb digit, const Limb* x, const Modulus& modulus) {
      Limb* bucket = words_.data() + digit * width_;
      accumulate(bucket, used_[digit], x, modulus);
      used_[digit] = true;
    }
    void multiply_into(Limb* r, const Modulus& modulus) {
      Words running(width_), sum(width_);
      bool running_used = false, sum_used = false;
      for (std::size_t d = used_.size(); --d > 0;) {
        if (used_[d]) {
          accumulate(running.data(), running_used, words_.data() + d * width_, modulus);
          running_used = true;
        }
        if (running_used) {
          accumulate(sum.data(), sum_used, running.data(), modulus);
          sum_used = true;
        }
      }
      if (sum_used) multiply_pair(r, r, sum.data(), modulus);
    }

   private:
    void accumulate(Limb* to, bool used, const Limb* x, const Modulus& modulus) {
      if (used)
        multiply_pair(to, to, x, modulus);
      else
        std::copy_n(x, width_, to);
    }
    std::size_t width_;
    std::vector<bool> used_;
    Words words_;
  };

  const Batch& own(const Residues& x) const {
    const auto* batch = dynamic_cast<const Batch*>(&x);
    if (batch == nullptr || batch->width() != width_)
      throw std::invalid_argument("a batch of another backend or another modulus");
    return *batch;
  }

  // r < 4m -> r < 2m: subtracts 2m when that leaves no borrow.
  void reduce_once_lazy(Limb* r) const {
    Digits reduced;
    Limb borrow = 0, carry = 0;
    for (std::size_t i = 0; i < length_; ++i) {
      const Limb twice = modulus_.m[i] << 1 | carry;
      carry = twice >> kRadixBits;
      const Limb difference = r[i] - (twice & kDigitMask) - borrow;
      borrow = difference >> 63;
      reduced[i] = difference & kDigitMask;
    }
    const Limb keep = 0 - borrow;
    for (std::size_t i = 0; i < length_; ++i) r[i] = (r[i] & keep) | (reduced[i] & ~keep);
  }

  SecretLimbs one_residue_canonical() const {
    SecretLimbs one(limbs(), 0);
    one[0] = 1;
    return one;
  }

  // 2^power R mod m^2, by squaring and doubling: x -> x x / R doubles the power, one_ holds power 0.
  Words radix_times_power_of_two(std::size_t power) const {
    Words two(width_);  // 2 R: a lazy sum, brought back below 2m by one product with R
    std::copy(one_.begin(), one_.end(), two.begin());
    for (int half = 0; half < 2; ++half) {
      Limb carry = 0;
      for (std::size_t i = 0; i < length_; ++i) {
        Limb& digit = two[static_cast<std::size_t>(half) * length_ + i];
        digit = digit << 1 | carry;
        carry = digit >> kRadixBits;
        digit &= kDigitMask;
      }
    }
    const Words doubled = two;
    Words result(one_.begin(), one_.end());
    for (std::size_t bit = 64; bit-- > 0;) {
      square_pair(result.data(), result.data(), modulus_);
      if (power >> bit & 1) multiply_pair(result.data(), result.data(), doubled.data(), modulus_);
    }
    return result;
  }

  void add_term(Form& form, std::size_t term, const SecretLimbs& coefficient, std::size_t bits) const {
    // coefficient R^2 = (coefficient as two plain parts) evaluated, times R^2; parts of bits - 1 bits are below m, the
    // last may be up to 2 bits longer: below 4m.
    const std::size_t step = modulus_.bits - 1;
    Words constant = lift(coefficient);
    std::size_t first = 0;
    while (true) {
      const std::size_t left = bits - first;
      const std::size_t take = left <= step + 2 ? left : step;
      form.parts.push_back({term, first, take, constant});
      first += take;
      if (first == bits) break;
      const Words shift = radix_times_power_of_two(step);
      multiply_pair(constant.data(), constant.data(), shift.data(), modulus_);
    }
  }

  // value R^2 mod m^2 from canonical limbs: value = v0 + v1 2^(bits-1), both below 4m.
  Words lift(const SecretLimbs& value) const {
    Form form;
    form.parts.push_back({0, 0, modulus_.bits - 1, square_of_radix_});
    Words shifted = radix_times_power_of_two(modulus_.bits - 1);
    multiply_pair(shifted.data(), shifted.data(), square_of_radix_.data(), modulus_);
    form.parts.push_back({0, modulus_.bits - 1, modulus_.bits + 1, shifted});
    std::vector<Words> digits(2, Words(length_));
    for (std::size_t k = 0; k < 2; ++k)
      digits_from_bits(digits[k].data(), length_, value.data(), value.size(), form.parts[k].first, form.parts[k].bits);
    Words result(width_);
    combine(result.data(), form, digits);                                            // value R
    multiply_pair(result.data(), result.data(), square_of_radix_.data(), modulus_);  // value R^2
    return result;
  }

  // r <- sum_k digits_k constant_k R^-1: plain numbers times pairs, two reductions for all parts together. With P
  // parts, T <= P 8 m^2: (P + 1) L <= kMostProducts keeps the columns and P <= kMostParts the bounds of REDC: z0 < m (1
  // + 128/256), z1 < m (1 + 128/256) + 3.
  void combine(Limb* r, const Form& form, const std::vector<Words>& digits) const {
    Columns columns;
    Digits q;
    clear(columns.data(), width_);
    for (std::size_t k = 0; k < form.parts.size(); ++k)
      multiply_columns(columns.data(), digits[k].data(), form.parts[k].constant.data(), length_);
    reduce_columns(columns.data(), modulus_, q.data());
    carry_columns(r, columns.data() + length_, length_);
    start_with_offset(columns.data(), modulus_, q.data());
    for (std::size_t k = 0; k < form.parts.size(); ++k)
      multiply_columns(columns.data(), digits[k].data(), form.parts[k].constant.data() + length_, length_);
    reduce_columns(columns.data(), modulus_, q.data());
    carry_columns(r + length_, columns.data() + length_, length_);
    wipe(columns.data(), sizeof columns);
  }

  template <class At>
  void product(Limb* r, std::int64_t begin, std::int64_t end, At&& at) const {
    if (begin == end) {
      std::copy(one_.begin(), one_.end(), r);
      return;
    }
    std::copy_n(at(begin), width_, r);
    for (std::int64_t i = begin + 1; i < end; ++i) multiply_pair(r, r, at(i), modulus_);
  }

  // r <- x^exponent by fixed windows; scratch holds the 2^window powers of x and one more number.
  void power(Limb* r, const Limb* x, const Limb* exponent, std::size_t exponent_limbs, std::size_t exponent_bits,
             std::size_t window, Exponent kind, Words& scratch) const {
    const std::size_t entries = std::size_t{1} << window;
    Limb* table = scratch.data();
    Limb* chosen = table + entries * width_;
    std::copy(one_.begin(), one_.end(), table);
    std::copy_n(x, width_, table + width_);
    for (std::size_t d = 2; d < entries; ++d) {
      if (d % 2 == 0)
        square_pair(table + d * width_, table + d / 2 * width_, modulus_);
      else
        multiply_pair(table + d * width_, table + (d - 1) * width_, table + width_, modulus_);
    }
    std::copy(one_.begin(), one_.end(), r);
    const std::size_t windows = (exponent_bits + window - 1) / window;
    for (std::size_t j = windows; j-- > 0;) {
      if (j + 1 < windows)
        for (std::size_t bit = 0; bit < window; ++bit) square_pair(r, r, modulus_);
      const Limb digit = bits_at(exponent, exponent_limbs, j * window, window);
      if (kind == Exponent::kSecret) {
        select(chosen, table, entries, width_, digit);
        multiply_pair(r, r, chosen, modulus_);
      } else if (digit != 0) {
        multiply_pair(r, r, table + digit * width_, modulus_);
      }
    }
  }

  Modulus modulus_;
  std::size_t length_, width_;
  Words one_;              // R
  Words square_of_radix_;  // R^2
  std::shared_ptr<Form> plain_;
};

}  // namespace

std::unique_ptr<Ring> make_ring(const Limb* modulus, std::size_t limbs) {
  return std::make_unique<PortableRing>(modulus, limbs);
}

}  // namespace cipherlane::portable
