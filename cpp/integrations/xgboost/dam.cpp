#include "dam.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace cipherlane::xgboost::dam {
namespace {

constexpr char kSignature[] = "NVDADAML";
constexpr std::size_t kWord = 8, kPrefix = 3 * kWord, kEntry = 2 * kWord;
constexpr std::uint64_t kBuffer = 4, kBuffers = 259;

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("message: expected one of this plugin, got " + what +
                              "; all parties have to load the same plugin");
}

void put(Bytes& out, std::uint64_t value) {
  for (std::size_t i = 0; i < kWord; ++i) out.push_back(static_cast<std::uint8_t>(value >> 8 * i));
}

std::uint64_t get(const std::uint8_t* in) {
  std::uint64_t value = 0;
  for (std::size_t i = kWord; i-- > 0;) value = value << 8 | in[i];
  return value;
}

std::size_t padded(std::size_t bytes) { return (bytes + kWord - 1) / kWord * kWord; }

Bytes head(Kind kind, std::size_t content, std::uint64_t type, std::uint64_t size) {
  Bytes out(kSignature, kSignature + kWord);
  const std::size_t all = kPrefix + kEntry + padded(content);
  out.reserve(all);
  put(out, all);
  put(out, static_cast<std::uint64_t>(kind));
  put(out, type);
  put(out, size);
  return out;
}

// The entry's size, after checks; `content` becomes what follows it.
std::uint64_t open(const View& view, Kind kind, std::uint64_t type, View& content) {
  if (view.bytes < kPrefix + kEntry || get(view.data + 2 * kWord) != static_cast<std::uint64_t>(kind) ||
      get(view.data + kPrefix) != type)
    refuse("one of another kind");
  content = {view.data + kPrefix + kEntry, view.bytes - kPrefix - kEntry};
  return get(view.data + kPrefix + kWord);
}

}  // namespace

Bytes message(Kind kind, const Bytes& buffer) {
  Bytes out = head(kind, buffer.size(), kBuffer, buffer.size());
  out.insert(out.end(), buffer.begin(), buffer.end());
  out.resize(padded(out.size()), 0);
  return out;
}

Bytes message(Kind kind, const std::vector<Bytes>& buffers) {
  std::size_t content = kWord * buffers.size();
  for (const Bytes& buffer : buffers) content += buffer.size();
  Bytes out = head(kind, content, kBuffers, buffers.size());
  for (const Bytes& buffer : buffers) put(out, buffer.size());
  for (const Bytes& buffer : buffers) out.insert(out.end(), buffer.begin(), buffer.end());
  out.resize(padded(out.size()), 0);
  return out;
}

std::vector<View> split(const std::uint8_t* data, std::size_t bytes) {
  std::vector<View> views;
  while (bytes > 0) {
    if (bytes < kPrefix || !std::equal(kSignature, kSignature + kWord, data)) refuse("other bytes");
    const std::uint64_t size = get(data + kWord);
    if (size < kPrefix || size > bytes) refuse("one that says it is " + std::to_string(size) + " bytes long");
    views.push_back({data, size});
    data += size;
    bytes -= size;
  }
  return views;
}

Bytes buffer(const View& view, Kind kind) {
  View content{};
  const std::uint64_t size = open(view, kind, kBuffer, content);
  if (size > content.bytes) refuse("a truncated one");
  return {content.data, content.data + size};
}

bool is_empty_buffer(const View& view, Kind kind) {
  const Bytes empty = message(kind, Bytes());
  return view.bytes == empty.size() && std::equal(empty.begin(), empty.end(), view.data);
}

std::vector<Bytes> buffers(const View& view, Kind kind) {
  View content{};
  const std::uint64_t count = open(view, kind, kBuffers, content);
  if (count > content.bytes / kWord) refuse("a truncated one");
  std::vector<Bytes> found;
  found.reserve(count);
  std::size_t at = kWord * count;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t size = get(content.data + kWord * i);
    if (size > content.bytes - at) refuse("a truncated one");
    found.emplace_back(content.data + at, content.data + at + size);
    at += size;
  }
  return found;
}

}  // namespace cipherlane::xgboost::dam
