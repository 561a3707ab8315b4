// The messages that NVIDIA FLARE's XGBoost plugins exchange ("direct accessible marshalling", version 1, local):
//
//   "NVDADAML"   i64 bytes in all   i64 kind of message   entries
// An entry is an i64 type, an i64 size and its data, padded to 8 bytes; integers are little-endian. An all-gather
// concatenates the messages of all parties.
//   buffer       type 4, size in bytes, data
//   buffers      type 259, their number, the i64 size of each, their data one after the other
#pragma once

#include <vector>

#include "cipherlane/numbers.hpp"

namespace cipherlane::xgboost::dam {

enum class Kind : std::int64_t { kPairs = 1, kAggregation = 4 };

Bytes message(Kind kind, const Bytes& buffer);
Bytes message(Kind kind, const std::vector<Bytes>& buffers);

// One message within what came. Its data must outlive it.
struct View {
  const std::uint8_t* data;
  std::size_t bytes;  // of this message
};

// Splits what an all-gather returned. Throws std::invalid_argument when it is not made of such messages.
std::vector<View> split(const std::uint8_t* data, std::size_t bytes);
// The content; each checks kind, type and sizes.
Bytes buffer(const View& view, Kind kind);
bool is_empty_buffer(const View& view, Kind kind);
std::vector<Bytes> buffers(const View& view, Kind kind);

}  // namespace cipherlane::xgboost::dam
