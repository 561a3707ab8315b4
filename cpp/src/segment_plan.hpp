// How a product by segments is dealt out: pieces of like length side by side, for a warp goes on until its longest
// ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cipherlane {

class SegmentPlan {
 public:
  // Cuts the segments [offsets[s], offsets[s + 1]) into pieces of at most `longest`; an empty one is one empty piece.
  SegmentPlan(const std::int64_t* offsets, std::size_t segments, std::size_t longest);

  std::size_t pieces() const { return pieces_.size(); }
  // The pieces by length, longest first.
  std::int64_t begin(std::size_t place) const { return pieces_[place].begin; }
  std::size_t length(std::size_t place) const { return pieces_[place].length; }
  // The places of the pieces, one segment after the other; those of segment s are [first_piece[s], first_piece[s + 1]).
  const std::vector<std::int64_t>& places() const { return places_; }
  const std::vector<std::int64_t>& first_piece() const { return first_piece_; }
  // Whether the piece at place s is all of segment s, for all s.
  bool is_in_order() const { return in_order_; }
  // Whether each segment is one piece.
  bool is_whole() const { return places_.size() + 1 == first_piece_.size(); }

 private:
  struct Piece {
    std::int64_t begin;
    std::size_t length;
  };
  std::vector<Piece> pieces_;
  std::vector<std::int64_t> places_, first_piece_;
  bool in_order_ = true;
};

}  // namespace cipherlane
