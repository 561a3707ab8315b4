#include "device_products.hpp"

#include <algorithm>
#include <limits>

#include "cipherlane/parallel.hpp"
#include "segment_plan.hpp"

namespace cipherlane {
namespace {

// Rows of one piece, at most: few enough that many are dealt out, enough that the second pass costs little.
constexpr std::size_t kFewestRows = 8, kMostRows = 64;
static_assert(kMostRows * kMostElements < std::numeric_limits<std::uint32_t>::max(), "starts of a chunk are 32 bits");
constexpr std::size_t kGrain = 4096;

// Whether the indices rise one by one.
bool is_run(const std::int64_t* indices, std::size_t count) {
  for (std::size_t i = 1; i < count; ++i)
    if (indices[i] != indices[0] + static_cast<std::int64_t>(i)) return false;
  return true;
}

}  // namespace

void DeviceProducts::segments(kernels::WordPointer r, kernels::ConstWordPointer x, const std::int64_t* indices,
                              const std::int64_t* offsets, std::size_t segments) const {
  if (segments == 0) return;
  const auto total = static_cast<std::size_t>(offsets[segments] - offsets[0]);
  // Long enough that all groups have a piece.
  const std::size_t longest =
      std::clamp(total / modulus_.device().groups_at_once(modulus_.shape()) + 1, kFewestRows, kMostRows);
  const double rows = static_cast<double>(total) / static_cast<double>(segments);
  const std::size_t pieces = total / segments / longest + 1;
  const std::size_t bytes = pieces * modulus_.row_bytes() + (total / segments + pieces + 1) * sizeof(std::uint32_t);
  const std::size_t host_bytes = pieces * 4 * sizeof(std::int64_t);
  modulus_.in_chunks(segments, {rows, bytes, host_bytes}, [&](std::size_t first, std::size_t count) {
    slab(r + first * modulus_.row_words(), x, indices, offsets + first, count, longest);
  });
}

void DeviceProducts::slab(kernels::WordPointer r, kernels::ConstWordPointer x, const std::int64_t* indices,
                          const std::int64_t* offsets, std::size_t segments, std::size_t longest) const {
  const SegmentPlan plan(offsets, segments, longest);
  DeviceBuffer<std::uint32_t> partial;
  if (!plan.is_in_order()) partial = modulus_.rows(plan.pieces(), false);
  const kernels::WordPointer products = plan.is_in_order() ? r : partial.get();
  const double rows = static_cast<double>(longest);
  const std::size_t id_bytes = longest * sizeof(std::uint32_t);
  modulus_.in_chunks(plan.pieces(), {rows, id_bytes, id_bytes}, [&](std::size_t first, std::size_t count) {
    std::vector<std::uint32_t> starts(count + 1, 0);
    for (std::size_t i = 0; i < count; ++i)
      starts[i + 1] = starts[i] + static_cast<std::uint32_t>(plan.length(first + i));
    std::vector<std::uint32_t> ids(starts[count]);
    parallel_for(count, kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i)
        std::copy_n(indices + plan.begin(first + i), plan.length(first + i), ids.data() + starts[i]);
    });
    DeviceBuffer<std::uint32_t> starts_there(modulus_.device(), starts.size(), false);
    starts_there.upload(starts.data());
    DeviceBuffer<std::uint32_t> ids_there(modulus_.device(), ids.size(), false);
    ids_there.upload(ids.data());
    kernels::SegmentProducts kernel{};
    kernel.r = products + first * modulus_.row_words();
    kernel.x = x;
    kernel.rows = ids_there.get();
    kernel.starts = starts_there.get();
    kernel.count = count;
    kernel.constants = modulus_.constants();
    modulus_.launch(kernel);
  });
  if (plan.is_in_order()) return;
  if (plan.is_whole())
    gather(r, partial.get(), plan.places().data(), segments);
  else
    this->segments(r, partial.get(), plan.places().data(), plan.first_piece().data(), segments);
}

void DeviceProducts::gather(kernels::WordPointer r, kernels::ConstWordPointer x, const std::int64_t* indices,
                            std::size_t count) const {
  if (count == 0) return;
  if (is_run(indices, count)) {
    modulus_.copy_rows(r, x + static_cast<std::size_t>(indices[0]) * modulus_.row_words(), count);
    return;
  }
  modulus_.in_chunks(count, {0.1, sizeof(std::uint32_t)}, [&](std::size_t first, std::size_t rows) {
    std::vector<std::uint32_t> ids(rows);
    std::copy_n(indices + first, rows, ids.data());
    DeviceBuffer<std::uint32_t> ids_there(modulus_.device(), rows, false);
    ids_there.upload(ids.data());
    kernels::Gather kernel{};
    kernel.r = r + first * modulus_.row_words();
    kernel.x = x;
    kernel.rows = ids_there.get();
    kernel.count = rows;
    modulus_.launch(kernel);
  });
}

}  // namespace cipherlane
