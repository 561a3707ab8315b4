#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "cipherlane/cipherlane.hpp"
#include "encoding.hpp"
#include "message.hpp"

namespace cipherlane {
namespace {

// The least b with count <= 2^b.
std::size_t bits_above(std::size_t count) {
  const Limb less_one = count - 1;
  return count < 2 ? 0 : bit_length(&less_one, 1);
}

std::size_t wider(std::size_t bound_bits, std::size_t by) {
  return bound_bits == kNoBound ? kNoBound : bound_bits + by;
}

Limb magnitude_of(std::int64_t value) {
  return value < 0 ? Limb{0} - static_cast<Limb>(value) : static_cast<Limb>(value);
}

void check_ids(const char* name, const std::vector<std::int64_t>& ids, std::int64_t least, std::size_t beyond) {
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < least || ids[i] >= static_cast<std::int64_t>(beyond))
      throw std::invalid_argument(std::string(name) + "[" + std::to_string(i) + "]: expected " + std::to_string(least) +
                                  " to " + std::to_string(beyond) + " less one, got " + std::to_string(ids[i]));
}

}  // namespace

CipherBatch::CipherBatch(PublicKey key, ResiduesPtr residues, FixedPoint codec, std::size_t scale_bits,
                         std::size_t bound_bits, bool fresh)
    : key_(std::move(key)),
      residues_(std::move(residues)),
      codec_(codec),
      scale_bits_(scale_bits),
      bound_bits_(bound_bits),
      fresh_(fresh) {}

CipherBatch CipherBatch::with(ResiduesPtr residues, std::size_t bound_bits, bool fresh) const {
  return CipherBatch(key_, std::move(residues), codec_, scale_bits_, bound_bits, fresh);
}

void CipherBatch::check_joins(const char* operation, const CipherBatch& other) const {
  // Residues belong to the ring that made them, hence to one key object and its backend.
  if (&key_.context() != &other.key_.context())
    throw std::invalid_argument(std::string(operation) +
                                ": expected two batches of one public key, got another; read both with the same key");
  if (scale_bits_ != other.scale_bits_)
    throw std::invalid_argument(std::string(operation) + ": expected batches of one scale, got " +
                                std::to_string(scale_bits_) + " and " + std::to_string(other.scale_bits_) +
                                " bits after the point; encrypt both with the same codec");
}

CipherBatch CipherBatch::operator+(const CipherBatch& other) const {
  check_joins("add", other);
  if (size() != other.size() && size() != 1 && other.size() != 1)
    throw std::invalid_argument("add: expected batches of one size, got " + std::to_string(size()) + " and " +
                                std::to_string(other.size()));
  const std::size_t bound = wider(std::max(bound_bits_, other.bound_bits_), 1);
  encoding::check_room("add", key_, bound);
  CipherBatch sum = with(key_.context().add(*residues_, *other.residues_), bound);
  sum.codec_.integer_bits = std::max(codec_.integer_bits, other.codec_.integer_bits);
  return sum;
}

CipherBatch CipherBatch::operator-() const { return with(key_.context().negate(residues_), bound_bits_); }
CipherBatch CipherBatch::operator-(const CipherBatch& other) const {
  check_joins("subtract", other);
  return *this + -other;
}

CipherBatch CipherBatch::operator+(const std::vector<double>& values) const {
  if (values.size() != size() && size() != 1)
    throw std::invalid_argument("add: expected " + std::to_string(size()) + " values, got " +
                                std::to_string(values.size()));
  if (scale_bits_ == 0) encoding::check_whole(values);
  const FixedPoint codec{scale_bits_, codec_.integer_bits};
  const SecretLimbs plaintexts = encoding::encode(key_, values, codec);
  const std::size_t bound =
      bound_bits_ == kNoBound ? kNoBound : std::max(bound_bits_, codec.scale_bits + codec.integer_bits) + 1;
  encoding::check_room("add", key_, bound);
  return with(key_.context().add_plaintexts(*residues_, key_.context().plaintexts(plaintexts.data()), values.size()),
              bound);
}

CipherBatch CipherBatch::operator*(const std::vector<std::int64_t>& factors) const {
  if (factors.size() != size() && size() != 1)
    throw std::invalid_argument("multiply: expected " + std::to_string(size()) + " factors, got " +
                                std::to_string(factors.size()));
  Limbs magnitudes(factors.size());
  const std::unique_ptr<bool[]> negative(new bool[factors.size()]);
  for (std::size_t i = 0; i < factors.size(); ++i) {
    magnitudes[i] = magnitude_of(factors[i]);
    negative[i] = factors[i] < 0;
  }
  const Limb most = magnitudes.empty() ? 0 : *std::max_element(magnitudes.begin(), magnitudes.end());
  const std::size_t bound = wider(bound_bits_, bits_above(most));
  encoding::check_room("multiply", key_, bound);
  return with(key_.context().multiply(residues_, {magnitudes.data(), 1}, negative.get(), factors.size()), bound);
}

CipherBatch CipherBatch::operator*(std::int64_t factor) const {
  return *this * std::vector<std::int64_t>(size(), factor);
}

CipherBatch CipherBatch::sum() const { return segment_sum(std::vector<std::int64_t>(size(), 0), 1); }

CipherBatch CipherBatch::segment_sum(const std::vector<std::int64_t>& ids, std::size_t segments) const {
  if (ids.size() != size())
    throw std::invalid_argument("ids: expected " + std::to_string(size()) + " of them, got " +
                                std::to_string(ids.size()));
  check_ids("ids", ids, -1, segments);
  std::vector<std::int64_t> offsets(segments + 1, 0);
  for (const std::int64_t id : ids)
    if (id >= 0) ++offsets[static_cast<std::size_t>(id) + 1];
  std::size_t longest = 0;
  for (std::size_t s = 0; s < segments; ++s) {
    longest = std::max(longest, static_cast<std::size_t>(offsets[s + 1]));
    offsets[s + 1] += offsets[s];
  }
  std::vector<std::int64_t> indices(static_cast<std::size_t>(offsets.back())), next(offsets.begin(), offsets.end() - 1);
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] >= 0)
      indices[static_cast<std::size_t>(next[static_cast<std::size_t>(ids[i])]++)] = static_cast<std::int64_t>(i);
  const std::size_t bound = wider(bound_bits_, bits_above(longest));
  encoding::check_room("segment_sum", key_, bound);
  return with(key_.context().segment_sum(*residues_, indices.data(), offsets.data(), segments), bound);
}

CipherBatch CipherBatch::take(const std::vector<std::int64_t>& indices) const {
  check_ids("indices", indices, 0, size());
  return with(key_.context().ring().take(*residues_, indices.data(), indices.size()), bound_bits_, false);
}

CipherBatch CipherBatch::concatenate(const std::vector<CipherBatch>& batches) {
  if (batches.empty()) throw std::invalid_argument("batches: expected at least one, got none");
  std::vector<ResiduesPtr> parts;
  std::size_t bound = 0;
  bool fresh = true;
  for (const CipherBatch& batch : batches) {
    batches.front().check_joins("concatenate", batch);
    parts.push_back(batch.residues_);
    bound = std::max(bound, batch.bound_bits_);
    fresh = fresh && batch.fresh_;
  }
  return batches.front().with(batches.front().key_.context().ring().concatenate(parts), bound, fresh);
}

CipherBatch CipherBatch::rerandomise() const { return with(key_.context().rerandomise(*residues_), bound_bits_, true); }

Limbs CipherBatch::to_limbs() const {
  Limbs ciphertexts(size() * key_.context().ciphertext_limbs());
  key_.context().download(*residues_, ciphertexts.data());
  return ciphertexts;
}

Bytes CipherBatch::to_bytes() const {
  if (bound_bits_ == kNoBound)
    throw std::invalid_argument("batch: expected one with a bound, got big numbers without; send to_limbs()");
  return message::pack(key_, {codec_, scale_bits_, bound_bits_}, (fresh_ ? *this : rerandomise()).to_limbs());
}

CipherBatch PublicKey::from_bytes(const Bytes& data) const {
  const auto [header, ciphertexts] = message::unpack(*this, data);
  const CipherBatch checked = from_limbs(ciphertexts, header.codec, header.bound_bits);
  return CipherBatch(*this, checked.residues(), header.codec, header.scale_bits, header.bound_bits, false);
}

}  // namespace cipherlane
