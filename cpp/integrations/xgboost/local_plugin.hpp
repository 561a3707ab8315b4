// What a party of vertical federated XGBoost does around encryption, in the order in which XGBoost calls it. The active
// party, who has the labels, encrypts gradients and decrypts histograms; passive parties add ciphertexts.
//
//   each tree    active: encrypt_pairs;  all: sync_pairs, with what the active one made
//   each level   all: build_histograms, for the nodes of that level;  all: sync_histograms, with what all made
//
// The active party's own histograms stay at home, in the clear. Methods return references to what lives until the next
// call, as XGBoost expects. Names of the three methods of encryption are those of FLARE's LocalPlugin.
#pragma once

#include <vector>

#include "cipherlane/numbers.hpp"

namespace cipherlane::xgboost {

// Rows of one node of a tree.
struct Rows {
  const std::uint64_t* ids;
  std::size_t count;
};

class LocalPlugin {
 public:
  virtual ~LocalPlugin() = default;

  // gradient and hessian of each row, alternating: 2 rows floats.
  const Bytes& encrypt_pairs(const float* pairs, std::size_t count);
  void sync_pairs(const std::uint8_t* data, std::size_t bytes);

  // cuts: the first bin of each feature, and the number of all bins. bins: (rows, features), the bin of each value;
  // others, such as -1 for a missing value and for all values of another party's feature, are left out.
  void reset(const std::uint32_t* cuts, std::size_t cut_count, const std::int32_t* bins, std::size_t bin_count);

  const Bytes& build_histograms(const std::vector<Rows>& nodes);
  // (parties, nodes, bins, 2) sums, the active party's own first; nothing for a passive party.
  std::vector<double>& sync_histograms(const std::uint8_t* data, std::size_t bytes);

 protected:
  virtual Bytes EncryptVector(const std::vector<double>& cleartext) = 0;
  // Two sums for each buffer: of a ciphertext; of the last ciphertext before, for an empty one; zeros for kNoRows.
  virtual std::vector<double> DecryptVector(const std::vector<Bytes>& ciphertext) = 0;
  // One buffer for each bin.
  virtual std::vector<Bytes> AddGHPairs(const Rows& rows) = 0;
  // Takes what EncryptVector made elsewhere, and returns of how many rows it is.
  virtual std::size_t receive_pairs(const Bytes& ciphertext) = 0;

  // Of a bin that has no rows whatever the node, for the feature is another party's.
  static inline const Bytes kNoRows = {0};
  // Bins of this party's features, ascending.
  const std::vector<std::size_t>& own_bins() const { return own_bins_; }
  std::size_t bins() const { return cuts_.empty() ? 0 : cuts_.back(); }
  // Rows of each bin: those of bin b are indices[offsets[b]] to indices[offsets[b + 1]].
  void rows_by_bin(const Rows& rows, std::vector<std::int64_t>& indices, std::vector<std::int64_t>& offsets) const;

 private:
  bool is_bin(std::int32_t bin) const { return bin >= 0 && static_cast<std::size_t>(bin) < bins(); }
  bool is_active() const { return !pairs_.empty(); }
  void check_rows(const Rows& rows) const;
  void add_in_the_clear(const Rows& rows, double* histogram) const;

  std::vector<double> pairs_;  // of the active party
  std::size_t encrypted_rows_ = 0;
  std::vector<std::uint32_t> cuts_;
  std::vector<std::int32_t> bins_;
  std::vector<std::size_t> own_bins_;
  std::vector<double> histograms_;
  Bytes message_;
};

}  // namespace cipherlane::xgboost
