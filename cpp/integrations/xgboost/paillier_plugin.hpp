// Gradients under Paillier: gradient and hessian of a row in one ciphertext, and the sums of several bins in one.
//
//   gradients   "CLXG", u8 version 1, u16 scale_bits, u16 slot_bits, u64 rows, u32 bytes of the key, the public key as
//               JSON, a ciphertext a row of ceil(2 |n| / 8) bytes; integers big-endian
//   a row       round(g 2^scale_bits) + round(h 2^scale_bits) 2^slot_bits mod n, signed
//   a sum       a ciphertext of up to `pairs_in_sum` bins, bin k at 2^(2 slot_bits k)
//
// slot_bits leaves room for the sum of all rows, so no sum can wrap. Encryption is randomised, and sums are
// re-randomised before they leave. The private key is made by the active party, when it first encrypts, and never
// leaves its memory.
#pragma once

#include <optional>
#include <string>

#include "cipherlane/cipherlane.hpp"
#include "cipherlane/codec.hpp"
#include "local_plugin.hpp"

namespace cipherlane::xgboost {

struct Settings {
  std::size_t key_bits = 2048;
  std::size_t scale_bits = 40;    // after the point
  std::size_t integer_bits = 24;  // before it: |g|, |h| < 2^integer_bits
  std::string backend;            // empty: the best
};

class PaillierPlugin final : public LocalPlugin {
 public:
  explicit PaillierPlugin(Settings settings) : settings_(std::move(settings)) {}

 protected:
  Bytes EncryptVector(const std::vector<double>& cleartext) override;
  std::vector<double> DecryptVector(const std::vector<Bytes>& ciphertext) override;
  std::vector<Bytes> AddGHPairs(const Rows& rows) override;
  std::size_t receive_pairs(const Bytes& ciphertext) override;

 private:
  Packing packing(std::size_t pairs) const { return {scale_bits_, 2 * pairs, slot_bits_}; }
  std::size_t pairs_in_sum() const;

  const Settings settings_;
  std::optional<PrivateKey> private_key_;
  std::optional<PublicKey> public_key_;
  std::size_t scale_bits_ = 0, slot_bits_ = 0;  // of the gradients that were encrypted or received last
  ResiduesPtr pairs_;                           // of a passive party
};

}  // namespace cipherlane::xgboost
