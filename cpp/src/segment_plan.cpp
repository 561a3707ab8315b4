#include "segment_plan.hpp"

#include <algorithm>

namespace cipherlane {

SegmentPlan::SegmentPlan(const std::int64_t* offsets, std::size_t segments, std::size_t longest) {
  std::vector<Piece> cut;
  cut.reserve(segments);
  first_piece_.reserve(segments + 1);
  first_piece_.push_back(0);
  std::vector<std::size_t> next(longest + 1, 0);  // of each length: how many, then where the next goes
  for (std::size_t s = 0; s < segments; ++s) {
    std::int64_t begin = offsets[s];
    do {
      const auto length = std::min<std::size_t>(static_cast<std::size_t>(offsets[s + 1] - begin), longest);
      cut.push_back({begin, length});
      ++next[length];
      begin += static_cast<std::int64_t>(length);
    } while (begin < offsets[s + 1]);
    first_piece_.push_back(static_cast<std::int64_t>(cut.size()));
  }
  std::size_t place = 0;
  for (std::size_t length = longest + 1; length-- > 0;) {
    const std::size_t count = next[length];
    next[length] = place;
    place += count;
  }
  pieces_.resize(cut.size());
  places_.reserve(cut.size());
  in_order_ = cut.size() == segments;
  for (std::size_t i = 0; i < cut.size(); ++i) {
    const std::size_t to = next[cut[i].length]++;
    pieces_[to] = cut[i];
    places_.push_back(static_cast<std::int64_t>(to));
    in_order_ = in_order_ && to == i;
  }
}

}  // namespace cipherlane
