// Products of many residues: by segments, and with an exponent each.
#pragma once

#include "lane_layout.hpp"

namespace cipherlane {

template <class Arithmetic>
class Products {
 public:
  using Layout = LaneLayout<Arithmetic>;
  using Lanes = typename Layout::Lanes;
  static constexpr std::size_t kLanes = Layout::kLanes;

  Products(const Arithmetic& arithmetic, const Layout& layout) : arithmetic_(arithmetic), layout_(layout) {}

  // r_s <- product of x[indices[i]], offsets[s] <= i < offsets[s+1]
  std::shared_ptr<LaneBatch> segments(const LaneBatch& x, const std::int64_t* indices, const std::int64_t* offsets,
                                      std::size_t segments) const {
    // Long segments are cut, so that one sum over everything still uses all threads and lanes; a second round joins the
    // parts.
    const auto total = static_cast<std::size_t>(segments == 0 ? 0 : offsets[segments] - offsets[0]);
    // No part is longer than what a thread may do between two looks at an interrupt.
    constexpr std::size_t kLongest = 4096;
    const auto longest =
        static_cast<std::int64_t>(std::clamp<std::size_t>(total / (8 * kLanes * thread_count()) + 1, 32, kLongest));
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
    const auto partial = products(x, pieces, indices);
    if (pieces.size() == segments) return partial;
    std::vector<std::int64_t> all(pieces.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
    return this->segments(*partial, all.data(), first_piece.data(), segments);
  }

  // r[i, c] <- prod_j x[j, c]^weights[i, j], with inverse[j, c] in place of x[j, c] where negative[i, j].
  std::shared_ptr<LaneBatch> powers(const LaneBatch& x, const LaneBatch* inverse, std::size_t columns, Numbers weights,
                                    const bool* negative, std::size_t rows, std::size_t inner) const {
    const Problem problem{columns, rows, inner, weights, negative, longest_weight(weights, rows * inner), x.count()};
    std::vector<const LaneBatch*> batches{&x};
    if (inverse != nullptr) batches.push_back(inverse);
    const Rows<Arithmetic> bases(arithmetic_, layout_, batches);
    const Plan shared = shared_plan(problem, inverse != nullptr), buckets = bucket_plan(problem);
    return shared.cost < buckets.cost ? with_shared_tables(problem, bases, inverse != nullptr, shared.window)
                                      : with_buckets(problem, bases, buckets);
  }

 private:
  struct Piece {
    std::int64_t begin, end;
  };

  struct Problem {
    std::size_t columns, rows, inner;
    Numbers weights;
    const bool* negative;
    std::size_t bits;     // of the longest weight
    std::size_t inverse;  // where the inverses begin among the bases

    std::size_t outputs() const { return rows * columns; }
    std::size_t weight_of(std::size_t output, std::size_t j) const { return output / columns * inner + j; }
    std::size_t base_of(std::size_t output, std::size_t j) const { return j * columns + output % columns; }
    Limb digit(std::size_t weight, std::size_t first, std::size_t window) const {
      return bits_at(weights.values + weight * weights.limbs, weights.limbs, first, window);
    }
  };

  struct Plan {
    std::size_t window;
    double cost;  // in products
    std::size_t parts = 1;
  };

  // A squaring, in products.
  static constexpr double kSquaring = 0.75;

  static std::size_t longest_weight(Numbers weights, std::size_t count) {
    std::size_t bits = 0;
    for (std::size_t i = 0; i < count; ++i)
      bits = std::max(bits, bit_length(weights.values + i * weights.limbs, weights.limbs));
    return bits;
  }

  // Straus: a table of powers of each base serves all rows; each output takes a product a term and window.
  static Plan shared_plan(const Problem& problem, bool signs) {
    Plan best{1, -1};
    for (std::size_t w = 1; w <= 10; ++w) {
      const double tables = static_cast<double>(((signs ? 2 : 1) * problem.inner * problem.columns) << w);
      const double output = static_cast<double>((problem.bits + w - 1) / w * problem.inner) +
                            kSquaring * static_cast<double>(problem.bits);
      const double cost = tables + static_cast<double>(problem.outputs()) * output;
      if (best.cost < 0 || cost < best.cost) best = {w, cost};
    }
    return best;
  }

  // Pippenger: each window costs a product a term and 2^(w+1) to combine the buckets. Few outputs are cut into parts,
  // each with its own buckets, so that they fill all lanes and threads; and no part is longer than what a thread may do
  // between two looks at an interrupt.
  static Plan bucket_plan(const Problem& problem) {
    constexpr std::size_t kLeastTerms = 64, kMostTerms = 4096;
    const std::size_t wanted = 2 * kLanes * thread_count() / std::max<std::size_t>(problem.outputs(), 1);
    const std::size_t parts =
        std::max(std::clamp<std::size_t>(wanted, 1, std::max<std::size_t>(1, problem.inner / kLeastTerms)),
                 (problem.inner + kMostTerms - 1) / kMostTerms);
    Plan best{1, -1, parts};
    for (std::size_t w = 1; w <= 12; ++w) {
      const std::size_t terms = (problem.inner + parts - 1) / parts;
      const double part = static_cast<double>((problem.bits + w - 1) / w * (terms + (std::size_t{2} << w))) +
                          kSquaring * static_cast<double>(problem.bits);
      const double cost = static_cast<double>(problem.outputs() * parts) * part;
      if (best.cost < 0 || cost < best.cost) best = {w, cost, parts};
    }
    return best;
  }

  std::shared_ptr<LaneBatch> with_shared_tables(const Problem& problem, const Rows<Arithmetic>& bases, bool signs,
                                                std::size_t window) const {
    // As many terms at a time as tables of this size allow.
    constexpr std::size_t kMostTableBytes = std::size_t{16} << 20;
    const std::size_t variants = signs ? 2 : 1;
    const std::size_t term_bytes = ((variants * problem.columns) << window) * layout_.row_width() * sizeof(Limb);
    const std::size_t together =
        std::min(problem.inner, std::max<std::size_t>(1, kMostTableBytes / std::max<std::size_t>(term_bytes, 1)));
    auto result = layout_.make_batch(problem.outputs(), Secrecy::kPublic);
    Layout::for_groups(problem.outputs(), 64, [&](std::size_t begin, std::size_t end) {
      for (std::size_t g = begin; g < end; ++g) std::copy_n(arithmetic_.one(), layout_.words(), result->group(g));
    });
    for (std::size_t first = 0; first < problem.inner; first += together) {
      const std::size_t terms = std::min(together, problem.inner - first);
      const auto table = powers_of_bases(problem, bases, variants, first, terms, window);
      Layout::for_groups(problem.outputs(), 1, [&](std::size_t begin, std::size_t end) {
        Words product(layout_.words()), factor(layout_.row_words());
        for (std::size_t g = begin; g < end; ++g) {
          std::copy_n(arithmetic_.one(), layout_.words(), product.data());
          for (std::size_t low = (problem.bits + window - 1) / window * window; low > 0;) {
            low -= window;
            square_times(product.data(), window);
            const auto entries_of = [&](std::size_t j) {
              Lanes entries{};
              for (std::size_t lane = 0; lane < kLanes; ++lane) {
                const std::size_t output = std::min(g * kLanes + lane, problem.outputs() - 1);
                const std::size_t weight = problem.weight_of(output, first + j);
                const std::size_t base = problem.base_of(output, j) * variants + (problem.negative[weight] ? 1 : 0);
                entries[lane] = (base << window) + problem.digit(weight, low, window);
                prefetch_row(table->data() + entries[lane] * layout_.row_width(), layout_.row_width());
              }
              return entries;
            };
            Lanes next = entries_of(0);
            for (std::size_t j = 0; j < terms; ++j) {
              const Lanes now = next;
              if (j + 1 < terms) next = entries_of(j + 1);
              arithmetic_.gather(factor.data(), table->data(), now.data(), layout_.row_width());
              arithmetic_.multiply_pair(product.data(), product.data(), factor.data());
            }
          }
          arithmetic_.multiply_pair(result->group(g), result->group(g), product.data());
        }
      });
    }
    return result;
  }

  // Rows of base^d, d < 2^window, for the bases of terms [first, first + terms), each followed by its inverse.
  std::unique_ptr<Buffer> powers_of_bases(const Problem& problem, const Rows<Arithmetic>& bases, std::size_t variants,
                                          std::size_t first, std::size_t terms, std::size_t window) const {
    const std::size_t count = terms * problem.columns * variants;
    const std::size_t width = layout_.row_width();
    auto table = std::make_unique<Buffer>((count << window) * width, Secrecy::kPublic);
    Layout::for_groups(count, 1, [&](std::size_t begin, std::size_t end) {
      Words base(layout_.row_words()), power(layout_.row_words());
      for (std::size_t g = begin; g < end; ++g) {
        Lanes sources{};
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
          const std::size_t index = std::min(g * kLanes + lane, count - 1);
          sources[lane] = first * problem.columns + index / variants + (index % variants != 0 ? problem.inverse : 0);
        }
        arithmetic_.gather(base.data(), bases.data(), sources.data(), width);
        std::copy_n(arithmetic_.one(), layout_.words(), power.data());
        for (std::size_t d = 0; d < std::size_t{1} << window; ++d) {
          if (d > 0) arithmetic_.multiply_pair(power.data(), power.data(), base.data());
          Limb* to[kLanes];
          for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const std::size_t index = g * kLanes + lane;
            to[lane] = index < count ? table->data() + ((index << window) + d) * width : nullptr;
          }
          arithmetic_.scatter(to, power.data(), width);
        }
      }
    });
    return table;
  }

  std::shared_ptr<LaneBatch> with_buckets(const Problem& problem, const Rows<Arithmetic>& bases,
                                          const Plan& plan) const {
    const std::size_t window = plan.window;
    const std::size_t count = problem.outputs() * plan.parts;
    auto result = layout_.make_batch(count, Secrecy::kPublic);
    Layout::for_groups(count, 1, [&](std::size_t begin, std::size_t end) {
      Words buckets((std::size_t{1} << window) * layout_.words()), factor(layout_.row_words()), bucket(layout_.words()),
          running(layout_.words()), sum(layout_.words());
      const auto bucket_at = [&](std::size_t d) { return buckets.data() + d * layout_.words(); };
      const auto set_one = [&](Limb* to) { std::copy_n(arithmetic_.one(), layout_.words(), to); };
      const std::size_t terms = (problem.inner + plan.parts - 1) / plan.parts;
      for (std::size_t g = begin; g < end; ++g) {
        Limb* r = result->group(g);
        set_one(r);
        for (std::size_t low = (problem.bits + window - 1) / window * window; low > 0;) {
          low -= window;
          square_times(r, window);
          // Bucket d collects the terms whose digit is d, each lane its own; digit 0 collects what nobody reads.
          for (std::size_t d = 0; d < std::size_t{1} << window; ++d) set_one(bucket_at(d));
          for (std::size_t term = 0; term < terms; ++term) {
            Lanes digits{}, sources{};
            Limb any = 0;
            for (std::size_t lane = 0; lane < kLanes; ++lane) {
              const std::size_t index = std::min(g * kLanes + lane, count - 1);
              const std::size_t output = index / plan.parts;
              const std::size_t j = index % plan.parts * terms + term;
              sources[lane] = bases.one();
              if (j >= problem.inner) continue;
              const std::size_t weight = problem.weight_of(output, j);
              digits[lane] = problem.digit(weight, low, window);
              any |= digits[lane];
              sources[lane] = problem.base_of(output, j) + (problem.negative[weight] ? problem.inverse : 0);
            }
            if (any == 0) continue;
            for (std::size_t lane = 0; lane < kLanes; ++lane)
              layout_.copy_lane(bucket.data(), lane, bucket_at(digits[lane]), lane);
            arithmetic_.gather(factor.data(), bases.data(), sources.data(), layout_.row_width());
            arithmetic_.multiply_pair(bucket.data(), bucket.data(), factor.data());
            for (std::size_t lane = 0; lane < kLanes; ++lane)
              layout_.copy_lane(bucket_at(digits[lane]), lane, bucket.data(), lane);
          }
          // prod_d bucket_d^d as running products from the top
          set_one(running.data());
          set_one(sum.data());
          for (std::size_t d = std::size_t{1} << window; --d > 0;) {
            arithmetic_.multiply_pair(running.data(), running.data(), bucket_at(d));
            arithmetic_.multiply_pair(sum.data(), sum.data(), running.data());
          }
          arithmetic_.multiply_pair(r, r, sum.data());
        }
      }
    });
    if (plan.parts == 1) return result;
    std::vector<std::int64_t> all(count), offsets(problem.outputs() + 1);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
    for (std::size_t i = 0; i < offsets.size(); ++i) offsets[i] = static_cast<std::int64_t>(i * plan.parts);
    return segments(*result, all.data(), offsets.data(), problem.outputs());
  }

  // One product for each piece; lanes whose piece has ended go on with factors of one.
  std::shared_ptr<LaneBatch> products(const LaneBatch& x, const std::vector<Piece>& pieces,
                                      const std::int64_t* indices) const {
    const Rows<Arithmetic> rows(arithmetic_, layout_, {&x});
    auto result = layout_.make_batch(pieces.size(), Secrecy::kPublic);
    Layout::for_groups(pieces.size(), 1, [&](std::size_t begin, std::size_t end) {
      Words factor(layout_.row_words());
      for (std::size_t g = begin; g < end; ++g) {
        const Piece* piece = pieces.data() + g * kLanes;
        const std::size_t lanes = std::min(kLanes, pieces.size() - g * kLanes);
        std::int64_t longest = 0;
        for (std::size_t lane = 0; lane < lanes; ++lane)
          longest = std::max(longest, piece[lane].end - piece[lane].begin);
        const auto sources = [&](std::int64_t step) {
          Lanes from;
          for (std::size_t lane = 0; lane < kLanes; ++lane)
            from[lane] = lane < lanes && piece[lane].begin + step < piece[lane].end
                             ? static_cast<std::size_t>(indices[piece[lane].begin + step])
                             : rows.one();
          return from;
        };
        Lanes now = sources(0);
        arithmetic_.gather(factor.data(), rows.data(), now.data(), layout_.row_width());
        Limb* r = result->group(g);
        std::copy_n(factor.data(), layout_.words(), r);
        if (longest > 1) now = sources(1);
        for (std::int64_t step = 1; step < longest; ++step) {
          arithmetic_.gather(factor.data(), rows.data(), now.data(), layout_.row_width());
          if (step + 1 < longest) {
            now = sources(step + 1);
            for (const Limb row : now) prefetch_row(rows.data() + row * layout_.row_width(), layout_.row_width());
          }
          arithmetic_.multiply_pair(r, r, factor.data());
        }
      }
    });
    return result;
  }

  void square_times(Limb* x, std::size_t times) const {
    for (; times > 0; --times) arithmetic_.square_pair(x, x);
  }

  const Arithmetic& arithmetic_;
  const Layout& layout_;
};

}  // namespace cipherlane
