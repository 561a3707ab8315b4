#include "message.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "encoding.hpp"
#include "sha256.hpp"

namespace cipherlane::message {
namespace {

constexpr std::size_t kFixedBytes = 50, kDigestBytes = 32, kMostCount = std::size_t{1} << 40;
constexpr std::uint8_t kMagic[] = {'C', 'L', 'C', 'A'};
constexpr std::uint8_t kVersion = 1, kFixedPointCodec = 0;

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("data: not a CipherArray as to_bytes writes it: " + what +
                              "; ask the sender for it again");
}

void put(Bytes& out, std::size_t value, std::size_t bytes) {
  for (std::size_t i = bytes; i-- > 0;) out.push_back(static_cast<std::uint8_t>(value >> 8 * i));
}

std::size_t get(const Bytes& data, std::size_t at, std::size_t bytes) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | data[at + i];
  return value;
}

std::size_t ciphertext_bytes(const PublicKey& key) { return (2 * key.bits() + 7) / 8; }

std::array<std::uint8_t, 32> digest_of(const Bytes& data, std::size_t bytes) {
  Sha256 hash;
  hash.update(data.data(), bytes);
  return hash.finish();
}

}  // namespace

Bytes pack(const PublicKey& key, const Header& header, const Limbs& ciphertexts) {
  const std::size_t limbs = key.context().ciphertext_limbs(), width = ciphertext_bytes(key);
  const std::size_t bound_bytes = header.bound_bits / 8 + 1;
  Bytes data(std::begin(kMagic), std::end(kMagic));
  data.insert(data.end(), {kVersion, kFixedPointCodec, 1, 0});
  data.insert(data.end(), key.modulus_digest().begin(), key.modulus_digest().end());
  for (const std::size_t field :
       {header.codec.integer_bits, header.codec.scale_bits, std::size_t{0}, header.scale_bits, bound_bytes})
    put(data, field, 2);
  put(data, ciphertexts.size() / limbs, 8);
  data.push_back(static_cast<std::uint8_t>(1 << header.bound_bits % 8));
  data.insert(data.end(), bound_bytes - 1, 0);
  const Bytes payload = rows_to_bytes(ciphertexts, limbs, width);
  data.insert(data.end(), payload.begin(), payload.end());
  const auto digest = digest_of(data, data.size());
  data.insert(data.end(), digest.begin(), digest.end());
  return data;
}

std::pair<Header, Limbs> unpack(const PublicKey& key, const Bytes& data) {
  if (data.size() < sizeof kMagic || !std::equal(std::begin(kMagic), std::end(kMagic), data.begin()))
    refuse("it does not start with CLCA");
  const std::string length = std::to_string(data.size()) + " bytes";
  if (data.size() < kFixedBytes + kDigestBytes) refuse("truncated, got " + length);
  if (data[4] != kVersion)
    throw std::invalid_argument("data: expected version 1 of a CipherArray, got " + std::to_string(data[4]) +
                                "; update to read it");
  if (!std::equal(key.modulus_digest().begin(), key.modulus_digest().end(), data.begin() + 8))
    throw std::invalid_argument(
        "data: encrypted for another key than the one given; use the key that it was made with");
  if (data[5] != kFixedPointCodec)
    throw std::invalid_argument(
        "data: expected an array of fixed point, got a packed one; encrypt with FixedPoint, or read it in Python");
  const std::size_t axes = data[6], bound_bytes = get(data, 48, 2);
  const std::size_t header_end = kFixedBytes + 8 * axes + bound_bytes;
  if (data.size() < header_end + kDigestBytes) refuse("truncated, got " + length);
  Header header{{get(data, 42, 2), get(data, 40, 2)}, get(data, 46, 2), 0};
  std::size_t count = 1;
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const std::size_t extent = get(data, kFixedBytes + 8 * axis, 8);
    if (extent > kMostCount || (extent != 0 && count > kMostCount / extent))
      refuse("its shape is larger than any memory");
    count *= extent;
  }
  const std::uint8_t* bound = data.data() + kFixedBytes + 8 * axes;
  if (data[7] != 0 || get(data, 44, 2) != 0 || header.scale_bits > key.bits() || (bound_bytes > 0 && bound[0] == 0))
    refuse("its header contradicts itself");
  // The bound, rounded up to a power of two: the bits of the bound less one.
  const Limbs limbs = limbs_from_bytes(bound, bound_bytes);
  Limbs less_one(limbs.size()), one(limbs.size(), 0);
  if (!one.empty()) one[0] = 1;
  if (subtract(less_one.data(), limbs.data(), one.data(), limbs.size()) == 0)
    header.bound_bits = bit_length(less_one.data(), less_one.size());
  encoding::check_room("data", key, std::max(header.bound_bits, header.codec.scale_bits + header.codec.integer_bits));
  const std::size_t width = ciphertext_bytes(key), expected = header_end + count * width + kDigestBytes;
  if (data.size() != expected)
    refuse((data.size() < expected ? "truncated" : "followed by other bytes") + std::string(", expected ") +
           std::to_string(expected) + " bytes and got " + std::to_string(data.size()));
  const auto digest = digest_of(data, data.size() - kDigestBytes);
  if (!std::equal(digest.begin(), digest.end(), data.end() - kDigestBytes)) refuse("its checksum does not match");
  return {header, rows_from_bytes(data.data() + header_end, count, width, key.context().ciphertext_limbs())};
}

}  // namespace cipherlane::message
