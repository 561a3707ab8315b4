#include "local_plugin.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "dam.hpp"

namespace cipherlane::xgboost {

const Bytes& LocalPlugin::encrypt_pairs(const float* pairs, std::size_t count) {
  if (count == 0 || count % 2 != 0)
    throw std::invalid_argument("gradient pairs: expected two numbers a row, got " + std::to_string(count) + " in all");
  std::vector<double> cleartext(pairs, pairs + count);
  message_ = dam::message(dam::Kind::kPairs, EncryptVector(cleartext));
  pairs_ = std::move(cleartext);
  return message_;
}

void LocalPlugin::sync_pairs(const std::uint8_t* data, std::size_t bytes) {
  const std::vector<dam::View> messages = dam::split(data, bytes);
  if (messages.size() != 1)
    throw std::invalid_argument("gradient pairs: expected those of one active party, got " +
                                std::to_string(messages.size()) + " messages");
  if (is_active()) return;  // its own
  encrypted_rows_ = receive_pairs(dam::buffer(messages.front(), dam::Kind::kPairs));
}

void LocalPlugin::reset(const std::uint32_t* cuts, std::size_t cut_count, const std::int32_t* bins,
                        std::size_t bin_count) {
  if (cut_count < 2 || bin_count % (cut_count - 1) != 0)
    throw std::invalid_argument("histogram context: expected one bin a row and feature, got " +
                                std::to_string(bin_count) + " for " + std::to_string(cut_count) + " cut pointers");
  if (!std::is_sorted(cuts, cuts + cut_count))
    throw std::invalid_argument("histogram context: expected ascending cut pointers, got others");
  cuts_.assign(cuts, cuts + cut_count);
  bins_.assign(bins, bins + bin_count);
  const std::size_t features = cut_count - 1;
  std::vector<bool> own(features, false);
  for (std::size_t i = 0; i < bin_count; ++i)
    if (is_bin(bins_[i])) own[i % features] = true;
  own_bins_.clear();
  for (std::size_t f = 0; f < features; ++f)
    for (std::size_t bin = cuts_[f]; own[f] && bin < cuts_[f + 1]; ++bin) own_bins_.push_back(bin);
}

void LocalPlugin::check_rows(const Rows& rows) const {
  const std::size_t known = bins_.size() / (cuts_.size() - 1);
  for (std::size_t i = 0; i < rows.count; ++i)
    if (rows.ids[i] >= known)
      throw std::invalid_argument("ridx[" + std::to_string(i) + "]: expected a row below " + std::to_string(known) +
                                  ", got " + std::to_string(rows.ids[i]));
  if (rows.count > known)
    throw std::invalid_argument("ridx: expected each of " + std::to_string(known) + " rows once, got " +
                                std::to_string(rows.count));
}

void LocalPlugin::rows_by_bin(const Rows& rows, std::vector<std::int64_t>& indices,
                              std::vector<std::int64_t>& offsets) const {
  const std::size_t features = cuts_.size() - 1;
  const auto for_each = [&](auto&& use) {
    for (std::size_t i = 0; i < rows.count; ++i)
      for (std::size_t f = 0; f < features; ++f) {
        const std::int32_t bin = bins_[rows.ids[i] * features + f];
        if (is_bin(bin)) use(rows.ids[i], static_cast<std::size_t>(bin));
      }
  };
  offsets.assign(bins() + 1, 0);
  for_each([&](std::uint64_t, std::size_t bin) { ++offsets[bin + 1]; });
  for (std::size_t bin = 0; bin < bins(); ++bin) offsets[bin + 1] += offsets[bin];
  indices.resize(static_cast<std::size_t>(offsets.back()));
  std::vector<std::int64_t> next(offsets.begin(), offsets.end() - 1);
  for_each([&](std::uint64_t row, std::size_t bin) {
    indices[static_cast<std::size_t>(next[bin]++)] = static_cast<std::int64_t>(row);
  });
}

void LocalPlugin::add_in_the_clear(const Rows& rows, double* histogram) const {
  std::vector<std::int64_t> indices, offsets;
  rows_by_bin(rows, indices, offsets);
  for (std::size_t bin = 0; bin < bins(); ++bin)
    for (auto i = static_cast<std::size_t>(offsets[bin]); i < static_cast<std::size_t>(offsets[bin + 1]); ++i) {
      const auto row = static_cast<std::size_t>(indices[i]);
      histogram[2 * bin] += pairs_[2 * row];
      histogram[2 * bin + 1] += pairs_[2 * row + 1];
    }
}

const Bytes& LocalPlugin::build_histograms(const std::vector<Rows>& nodes) {
  if (cuts_.empty()) throw std::invalid_argument("histograms: expected a histogram context first, got none");
  if (!is_active() && encrypted_rows_ == 0)
    throw std::invalid_argument("histograms: expected encrypted gradients first, got none");
  // XGBoost hands out the pairs of all outputs at once, and asks for the trees of each without saying which it is.
  const std::size_t rows_known = bins_.size() / (cuts_.size() - 1);
  const std::size_t with_pairs = is_active() ? pairs_.size() / 2 : encrypted_rows_;
  if (with_pairs != rows_known)
    throw std::invalid_argument("gradient pairs: expected one for each of " + std::to_string(rows_known) +
                                " rows, got " + std::to_string(with_pairs) +
                                "; all parties need the same rows, and an objective has to have one output: train a "
                                "model for each class in place of multi:softprob");
  for (const Rows& rows : nodes) check_rows(rows);
  if (is_active()) {
    histograms_.assign(2 * bins() * nodes.size(), 0.0);
    for (std::size_t node = 0; node < nodes.size(); ++node)
      add_in_the_clear(nodes[node], histograms_.data() + 2 * bins() * node);
    message_ = dam::message(dam::Kind::kAggregation, Bytes());
    return message_;
  }
  std::vector<Bytes> sums;
  for (const Rows& rows : nodes)
    for (Bytes& sum : AddGHPairs(rows)) sums.push_back(std::move(sum));
  message_ = dam::message(dam::Kind::kAggregation, sums);
  return message_;
}

std::vector<double>& LocalPlugin::sync_histograms(const std::uint8_t* data, std::size_t bytes) {
  if (!is_active()) {
    histograms_.clear();
    return histograms_;
  }
  const std::vector<dam::View> messages = dam::split(data, bytes);
  if (messages.empty() || !dam::is_empty_buffer(messages.front(), dam::Kind::kAggregation))
    throw std::invalid_argument(
        "histograms: expected the active party's message first; the party with the labels has to have rank 0");
  for (std::size_t i = 1; i < messages.size(); ++i) {
    const std::vector<double> sums = DecryptVector(dam::buffers(messages[i], dam::Kind::kAggregation));
    histograms_.insert(histograms_.end(), sums.begin(), sums.end());
  }
  return histograms_;
}

}  // namespace cipherlane::xgboost
