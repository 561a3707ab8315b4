#include "device_multi_power.hpp"

#include <algorithm>
#include <numeric>

#include "cipherlane/parallel.hpp"

namespace cipherlane {
namespace {

// Row ids that are planned at a time, on the host; few in the tests' build, so that they see what comes in parts.
#ifdef CIPHERLANE_EMULATED_DEVICE
constexpr std::size_t kMostIds = std::size_t{1} << 12;
#else
constexpr std::size_t kMostIds = std::size_t{1} << 24;
#endif
constexpr std::size_t kMostWindow = 10;

// The window for which the three phases take the fewest products one after the other, with so many groups at once:
// terms into buckets, buckets into sums, windows joined.
std::size_t best_window(std::size_t bits, std::size_t outputs, std::size_t terms, std::size_t together) {
  std::size_t best = 1;
  double best_cost = -1;
  const auto groups = static_cast<double>(together);
  for (std::size_t w = 1; w <= kMostWindow; ++w) {
    const auto tasks = static_cast<double>(outputs * ((bits + w - 1) / w));
    const double cost = tasks * static_cast<double>(terms) / groups +
                        static_cast<double>(std::size_t{2} << w) * std::max(1.0, tasks / groups) +
                        static_cast<double>(bits) * std::max(1.0, static_cast<double>(outputs) / groups);
    if (best_cost < 0 || cost < best_cost) best = w, best_cost = cost;
  }
  return best;
}

// A task is a window of an output, and collects the terms by the digits of their weights in that window.
class Buckets {
 public:
  Buckets(const DeviceModulus& modulus, const MultiPower& problem, std::size_t bits)
      : modulus_(modulus),
        problem_(problem),
        window_(best_window(bits, problem.rows * problem.columns, problem.inner,
                            modulus.device().groups_at_once(modulus.shape()))),
        windows_((bits + window_ - 1) / window_),
        buckets_((std::size_t{1} << window_) - 1),
        terms_(std::clamp<std::size_t>(kMostIds / windows_, 1, problem.inner)) {}

  // All terms, for as many outputs at a time as there is room.
  void run(DeviceBatch& r) const {
    const double products = static_cast<double>(windows_ * (problem_.inner + 2 * buckets_));
    const std::size_t rows = windows_ * (2 * buckets_ + 1) + 1;
    const std::size_t host_bytes = windows_ * (buckets_ + terms_) * sizeof(std::int64_t);
    modulus_.in_chunks(r.count(), {products, rows * modulus_.row_bytes(), host_bytes},
                       [&](std::size_t first, std::size_t outputs) {
                         for (std::size_t term = 0; term < problem_.inner; term += terms_) {
                           const Range range{first, outputs, term, std::min(terms_, problem_.inner - term)};
                           if (term == 0) {
                             products_of(r.row(first), range);
                             continue;
                           }
                           auto more = modulus_.rows(outputs, false);
                           products_of(more.get(), range);
                           multiply(r.row(first), more.get(), outputs);
                         }
                       });
  }

 private:
  struct Range {
    std::size_t first_output, outputs, first_term, terms;
  };

  // r_i <- the product of a range's terms for output i
  void products_of(kernels::WordPointer r, const Range& range) const {
    const std::size_t tasks = range.outputs * windows_;
    auto buckets = modulus_.rows(tasks * buckets_, false);
    collect(buckets.get(), range, false);
    if (problem_.inverse != nullptr) {
      auto negative = modulus_.rows(tasks * buckets_, false);
      collect(negative.get(), range, true);
      multiply(buckets.get(), negative.get(), tasks * buckets_);
    }
    auto sums = modulus_.rows(tasks, false);
    modulus_.in_chunks(tasks, {static_cast<double>(2 * buckets_)}, [&](std::size_t first, std::size_t count) {
      kernels::BucketSums kernel{};
      kernel.r = sums.get() + first * modulus_.row_words();
      kernel.bucket_rows = buckets.get() + first * buckets_ * modulus_.row_words();
      kernel.buckets = static_cast<std::uint32_t>(buckets_);
      kernel.count = count;
      kernel.constants = modulus_.constants();
      modulus_.launch(kernel);
    });
    const auto squarings = static_cast<double>(windows_ * window_);
    modulus_.in_chunks(range.outputs, {squarings}, [&](std::size_t first, std::size_t count) {
      kernels::JoinWindows kernel{};
      kernel.r = r + first * modulus_.row_words();
      kernel.x = sums.get() + first * windows_ * modulus_.row_words();
      kernel.windows = static_cast<std::uint32_t>(windows_);
      kernel.window_bits = static_cast<std::uint32_t>(window_);
      kernel.count = count;
      kernel.constants = modulus_.constants();
      modulus_.launch(kernel);
    });
  }

  // x_i <- x_i y_i
  void multiply(kernels::WordPointer x, kernels::ConstWordPointer y, std::size_t rows) const {
    modulus_.in_chunks(rows, {1}, [&](std::size_t first, std::size_t count) {
      kernels::MultiplyPairs kernel{};
      kernel.r = x + first * modulus_.row_words();
      kernel.x = kernel.r;
      kernel.y = y + first * modulus_.row_words();
      kernel.x_step = kernel.y_step = 1;
      kernel.count = count;
      kernel.constants = modulus_.constants();
      modulus_.launch(kernel);
    });
  }

  // buckets[task][d - 1] <- the product of the bases, or of their inverses, with digit d and a weight of that sign.
  void collect(kernels::WordPointer buckets, const Range& range, bool negative) const {
    const std::size_t tasks = range.outputs * windows_;
    const std::size_t grain = 1 + 4096 / range.terms;
    std::vector<std::int64_t> offsets(tasks * buckets_ + 1, 0);
    const auto each_term = [&](std::size_t task, const auto& visit) {
      const std::size_t output = range.first_output + task / windows_;
      const std::size_t column = output % problem_.columns;
      for (std::size_t term = range.first_term; term < range.first_term + range.terms; ++term) {
        const std::size_t weight = output / problem_.columns * problem_.inner + term;
        if (problem_.inverse != nullptr && problem_.negative[weight] != negative) continue;
        const Limb digit = bits_at(problem_.weights.values + weight * problem_.weights.limbs, problem_.weights.limbs,
                                   task % windows_ * window_, window_);
        if (digit != 0) visit(digit - 1, term * problem_.columns + column);
      }
    };
    parallel_for(tasks, grain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t task = begin; task < end; ++task)
        each_term(task, [&](std::size_t bucket, std::size_t) { ++offsets[task * buckets_ + bucket + 1]; });
    });
    std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
    std::vector<std::int64_t> ids(static_cast<std::size_t>(offsets.back()));
    parallel_for(tasks, grain, [&](std::size_t begin, std::size_t end) {
      std::vector<std::int64_t> next(buckets_);
      for (std::size_t task = begin; task < end; ++task) {
        std::copy_n(offsets.data() + task * buckets_, buckets_, next.data());
        each_term(task, [&](std::size_t bucket, std::size_t row) {
          ids[static_cast<std::size_t>(next[bucket]++)] = static_cast<std::int64_t>(row);
        });
      }
    });
    DeviceProducts(modulus_).segments(buckets, (negative ? problem_.inverse : &problem_.x)->row(0), ids.data(),
                                      offsets.data(), tasks * buckets_);
  }

  const DeviceModulus& modulus_;
  const MultiPower& problem_;
  std::size_t window_, windows_, buckets_;
  std::size_t terms_;  // at a time
};

}  // namespace

void multi_power(DeviceBatch& r, const DeviceModulus& modulus, const MultiPower& problem) {
  std::size_t bits = 1;
  for (std::size_t i = 0; i < problem.rows * problem.inner; ++i)
    bits = std::max(bits, bit_length(problem.weights.values + i * problem.weights.limbs, problem.weights.limbs));
  if (problem.inner != 0) {
    Buckets(modulus, problem, bits).run(r);
    return;
  }
  const std::vector<std::int64_t> empty(r.count() + 1, 0);
  DeviceProducts(modulus).segments(r.row(0), problem.x.row(0), nullptr, empty.data(), r.count());
}

}  // namespace cipherlane
