#include "paillier_plugin.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace cipherlane::xgboost {
namespace {

constexpr char kMagic[] = "CLXG";
constexpr std::size_t kMagicBytes = 4, kHeadBytes = kMagicBytes + 1 + 2 + 2 + 8 + 4;
constexpr std::uint8_t kVersion = 1;

std::size_t ciphertext_bytes(const PublicKey& key) { return (2 * key.bits() + 7) / 8; }

void put(Bytes& out, std::size_t value, std::size_t bytes) {
  for (std::size_t i = bytes; i-- > 0;) out.push_back(static_cast<std::uint8_t>(value >> 8 * i));
}

std::size_t take(const std::uint8_t*& in, std::size_t bytes) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | *in++;
  return value;
}

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("encrypted gradients: " + what +
                              "; all parties have to load the same version of this plugin");
}

void check_pairs(const std::vector<double>& pairs, std::size_t integer_bits) {
  const double limit = std::ldexp(1.0, static_cast<int>(integer_bits));
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const std::string place = std::string(i % 2 == 0 ? "gradient" : "hessian") + " of row " + std::to_string(i / 2);
    if (!std::isfinite(pairs[i]))
      throw std::invalid_argument(place + ": expected a finite number, got NaN or an infinity; check the objective");
    if (std::fabs(pairs[i]) >= limit)
      throw std::overflow_error(place + ": expected a magnitude below 2^" + std::to_string(integer_bits) +
                                ", got a larger one; raise the plugin's integer_bits, or scale the labels");
  }
}

// The least width in which the sum of all rows is a signed digit.
std::size_t slot_bits_for(const Settings& settings, std::size_t rows) {
  const Limb most = rows;
  return settings.scale_bits + settings.integer_bits + bit_length(&most, 1) + 2;
}

}  // namespace

std::size_t PaillierPlugin::pairs_in_sum() const { return (public_key_->bits() - 2) / (2 * slot_bits_); }

Bytes PaillierPlugin::EncryptVector(const std::vector<double>& cleartext) {
  check_pairs(cleartext, settings_.integer_bits);
  const std::size_t rows = cleartext.size() / 2;
  if (!private_key_) {
    private_key_.emplace(generate_keys(settings_.key_bits, settings_.backend).private_key);
    public_key_.emplace(private_key_->public_key());
  }
  const std::size_t slot_bits = slot_bits_for(settings_, rows);
  if (2 * slot_bits > public_key_->bits() - 2)
    throw std::overflow_error("gradient pairs: " + std::to_string(2 * slot_bits) + " bits do not fit a key of " +
                              std::to_string(public_key_->bits()) + "; lower scale_bits or integer_bits");
  scale_bits_ = settings_.scale_bits;
  slot_bits_ = slot_bits;
  PublicContext& context = public_key_->context();
  SecretLimbs plaintexts(rows * context.plaintext_limbs());
  encode(plaintexts.data(), cleartext.data(), cleartext.size(), packing(1), public_key_->n().data(),
         public_key_->n().size());
  const ResiduesPtr encrypted =
      private_key_->context().encrypt(context.plaintexts(plaintexts.data()), rows, Noise::kDjn);
  Limbs ciphertexts(rows * context.ciphertext_limbs());
  context.download(*encrypted, ciphertexts.data());

  const std::string key = public_key_->to_json();
  const Bytes payload = rows_to_bytes(ciphertexts, context.ciphertext_limbs(), ciphertext_bytes(*public_key_));
  Bytes out(kMagic, kMagic + kMagicBytes);
  out.reserve(kHeadBytes + key.size() + payload.size());
  out.push_back(kVersion);
  put(out, scale_bits_, 2);
  put(out, slot_bits_, 2);
  put(out, rows, 8);
  put(out, key.size(), 4);
  out.insert(out.end(), key.begin(), key.end());
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

std::size_t PaillierPlugin::receive_pairs(const Bytes& data) {
  if (data.size() < kHeadBytes || !std::equal(kMagic, kMagic + kMagicBytes, data.begin()) ||
      data[kMagicBytes] != kVersion)
    refuse("expected version 1 of this plugin's, got other bytes");
  const std::uint8_t* at = data.data() + kMagicBytes + 1;
  const std::size_t scale_bits = take(at, 2), slot_bits = take(at, 2), rows = take(at, 8), key_bytes = take(at, 4);
  if (key_bytes > data.size() - kHeadBytes) refuse("truncated");
  const std::string json(at, at + key_bytes);
  at += key_bytes;
  // The same key tree after tree: its tables are kept.
  if (!public_key_ || public_key_->to_json() != json)
    public_key_.emplace(PublicKey::from_json(json, settings_.backend));
  const std::size_t width = ciphertext_bytes(*public_key_), left = data.size() - kHeadBytes - key_bytes;
  if (rows == 0 || left % width != 0 || left / width != rows)
    refuse("expected " + std::to_string(rows) + " rows, got " + std::to_string(left) + " bytes");
  if (slot_bits < scale_bits + 2 || 2 * slot_bits > public_key_->bits() - 2) refuse("its slots contradict its key");
  const Limbs numbers = rows_from_bytes(at, rows, width, public_key_->context().ciphertext_limbs());
  pairs_ = public_key_->from_limbs(numbers, {scale_bits, 0}, kNoBound).residues();
  scale_bits_ = scale_bits;
  slot_bits_ = slot_bits;
  return rows;
}

std::vector<Bytes> PaillierPlugin::AddGHPairs(const Rows& rows) {
  PublicContext& context = public_key_->context();
  const Ring& ring = context.ring();
  const std::size_t each = pairs_in_sum(), groups = (own_bins().size() + each - 1) / each;
  std::vector<Bytes> result(bins(), kNoRows);
  if (groups == 0) return result;
  std::vector<std::int64_t> indices, all_offsets, offsets{0};
  rows_by_bin(rows, indices, all_offsets);
  for (const std::size_t bin : own_bins()) offsets.push_back(all_offsets[bin + 1]);  // others have no rows
  offsets.resize(groups * each + 1, offsets.back());  // nor have bins that only fill the last group
  const ResiduesPtr sums = context.segment_sum(*pairs_, indices.data(), offsets.data(), groups * each);

  // Horner's rule in the exponent: packed <- packed^(2^(2 slot_bits)) sum_k, from the last bin of each group down.
  const auto bin_of_each_group = [&](std::size_t k) {
    std::vector<std::int64_t> chosen(groups);
    for (std::size_t g = 0; g < groups; ++g) chosen[g] = static_cast<std::int64_t>(g * each + k);
    return ring.take(*sums, chosen.data(), groups);
  };
  Limbs shift(limbs_for_bits(2 * slot_bits_ + 1), 0);
  shift[2 * slot_bits_ / kLimbBits] = Limb{1} << 2 * slot_bits_ % kLimbBits;
  ResiduesPtr packed = bin_of_each_group(each - 1);
  for (std::size_t k = each - 1; k-- > 0;) {
    const ResiduesPtr shifted = ring.power_shared(*packed, shift.data(), 2 * slot_bits_ + 1, Exponent::kPublic);
    packed = ring.multiply(*shifted, *bin_of_each_group(k));
  }
  Limbs ciphertexts(groups * context.ciphertext_limbs());
  context.download(*context.rerandomise(*packed), ciphertexts.data());

  for (std::size_t k = 0; k < own_bins().size(); ++k)
    result[own_bins()[k]] = k % each != 0
                                ? Bytes()
                                : bytes_from_limbs(ciphertexts.data() + k / each * context.ciphertext_limbs(),
                                                   context.ciphertext_limbs(), ciphertext_bytes(*public_key_));
  return result;
}

std::vector<double> PaillierPlugin::DecryptVector(const std::vector<Bytes>& ciphertext) {
  if (!private_key_) throw std::invalid_argument("histograms: expected the active party, which has the private key");
  const std::size_t each = pairs_in_sum(), width = ciphertext_bytes(*public_key_);
  Bytes together;
  constexpr std::size_t kNowhere = ~std::size_t{0};
  std::vector<std::size_t> place;  // of each bin, in units of a pair
  std::size_t next = 0;
  for (const Bytes& buffer : ciphertext) {
    if (buffer == kNoRows) {
      place.push_back(kNowhere);
      continue;
    }
    if (!buffer.empty() && buffer.size() != width)
      throw std::invalid_argument("histograms: expected ciphertexts of " + std::to_string(width) + " bytes, got " +
                                  std::to_string(buffer.size()));
    if (buffer.empty() && next % each == 0)
      throw std::invalid_argument("histograms: expected a ciphertext for bin " + std::to_string(place.size()) +
                                  ", got none");
    if (!buffer.empty()) next = together.size() / width * each;
    place.push_back(next++);
    together.insert(together.end(), buffer.begin(), buffer.end());
  }
  PublicContext& context = public_key_->context();
  const std::size_t groups = together.size() / width;
  const Limbs numbers = rows_from_bytes(together.data(), groups, width, context.ciphertext_limbs());
  const CipherBatch batch = public_key_->from_limbs(numbers, {scale_bits_, 0}, kNoBound);
  const SecretLimbs plaintexts = private_key_->decrypt_plaintexts(batch);
  std::vector<double> values(2 * each * groups), sums;
  decode(values.data(), plaintexts.data(), values.size(), packing(each), public_key_->n().data(),
         public_key_->n().size());
  for (const std::size_t at : place) {
    sums.push_back(at == kNowhere ? 0.0 : values[2 * at]);
    sums.push_back(at == kNowhere ? 0.0 : values[2 * at + 1]);
  }
  return sums;
}

}  // namespace cipherlane::xgboost
