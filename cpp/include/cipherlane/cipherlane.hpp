// Cipherlane for C++: keys, and batches of encrypted numbers that are added and multiplied without being decrypted.
//
//   auto [public_key, private_key] = cipherlane::generate_keys();                       // 2048 bits
//   cipherlane::CipherBatch x = public_key.encrypt(std::vector<double>{1.5, -2.25});    // fixed point, 40 bits
//   cipherlane::CipherBatch y = (x + x) * std::vector<std::int64_t>{3, -1};
//   std::vector<double> values = private_key.decrypt(y);                                // {9, 4.5}
//
// Encryption always randomises. A batch knows its scale and a bound on what its values can have reached; an operation
// that could leave what a plaintext holds throws std::overflow_error before anything is computed. Other mistakes of
// callers are std::invalid_argument, whose text names the argument, what was expected, what came and what to do.
// Keys and batches are immutable, cheap to copy, and may be used by many threads. Operations use all processors, or
// CIPHERLANE_THREADS of them (parallel.hpp).
//
// One layer down is paillier.hpp: the same on plain arrays of limbs, packed plaintexts (codec.hpp), obfuscators that
// the caller gives, keys of scheme "short".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cipherlane/numbers.hpp"
#include "cipherlane/paillier.hpp"

namespace cipherlane {

// How numbers become plaintexts: v -> round(v 2^scale_bits), for |v| < 2^integer_bits.
struct FixedPoint {
  std::size_t scale_bits = 40;
  std::size_t integer_bits = 64;
};

// As bound_bits: nothing is known of the values, and nothing is checked.
constexpr std::size_t kNoBound = ~std::size_t{0};

class CipherBatch;

// A Paillier public key with generator n + 1, on one backend. Enc(m) = (1 + m n) rho mod n^2, see paillier.hpp.
class PublicKey {
 public:
  // n: 1024 to 4096 bits, odd, no prime, without factors below 2^14. h_s: of the DJN scheme, or empty for a classic
  // key. exponent_bits: of a key of scheme "short", else 0. backend: one of usable_backends(), or empty for the best
  // of them or for what CIPHERLANE_BACKEND names.
  explicit PublicKey(Limbs n, Limbs h_s = {}, std::size_t exponent_bits = 0, const std::string& backend = "");

  // The text that PublicKey.to_json writes in Python, and the other way round.
  static PublicKey from_json(const std::string& text, const std::string& backend = "");
  std::string to_json() const;

  std::size_t bits() const;
  const Limbs& n() const;
  const std::string& backend() const;
  // SHA-256 of the modulus, which is what ciphertexts belong to.
  const Bytes& modulus_digest() const;

  // Throws std::overflow_error when a value does not fit, std::invalid_argument when one is not finite.
  CipherBatch encrypt(const std::vector<double>& values, FixedPoint codec = {}) const;
  CipherBatch encrypt(const std::vector<std::int64_t>& values) const;
  // Big numbers below n: (count, context().plaintext_limbs()) limbs, taken as they are. They carry no bound: sums and
  // products of them wrap mod n.
  CipherBatch encrypt_plaintexts(const Limbs& plaintexts) const;

  // What CipherBatch::to_bytes or Python's CipherArray.to_bytes wrote, of arrays of fixed point; an array of several
  // axes becomes one batch in C order. Everything is checked: the message, and each ciphertext.
  CipherBatch from_bytes(const Bytes& data) const;
  // Ciphertexts of whatever source, (count, context().ciphertext_limbs()) limbs, each in [1, n^2) and coprime to n.
  // Throws std::overflow_error when the codec or the bound is more than a plaintext holds.
  CipherBatch from_limbs(const Limbs& ciphertexts, FixedPoint codec, std::size_t bound_bits) const;

  PublicContext& context() const;
  bool operator==(const PublicKey& other) const;
  bool operator!=(const PublicKey& other) const { return !(*this == other); }

 private:
  friend class CipherBatch;
  friend class PrivateKey;
  struct State;
  explicit PublicKey(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

// Encrypted numbers under one key, in the memory of its backend.
class CipherBatch {
 public:
  // Anything that Ring made of this key's ciphertexts. The absolute value of each plaintext is at most 2^bound_bits.
  CipherBatch(PublicKey key, ResiduesPtr residues, FixedPoint codec, std::size_t scale_bits, std::size_t bound_bits,
              bool fresh);

  std::size_t size() const { return residues_->count(); }
  const PublicKey& public_key() const { return key_; }
  std::size_t scale_bits() const { return scale_bits_; }
  std::size_t bound_bits() const { return bound_bits_; }
  const ResiduesPtr& residues() const { return residues_; }

  // Element by element; either side may hold a single element that serves all. Scales must be equal. Plain values are
  // rounded to the scale; a batch without bits after the point takes whole ones only.
  CipherBatch operator+(const CipherBatch& other) const;
  CipherBatch operator-(const CipherBatch& other) const;
  CipherBatch operator-() const;
  CipherBatch operator+(const std::vector<double>& values) const;
  CipherBatch operator*(const std::vector<std::int64_t>& factors) const;
  CipherBatch operator*(std::int64_t factor) const;

  // One element: the sum of all.
  CipherBatch sum() const;
  // Element s is the sum of those i with ids[i] = s: a histogram. Elements with an id of -1 are left out.
  CipherBatch segment_sum(const std::vector<std::int64_t>& ids, std::size_t segments) const;
  CipherBatch take(const std::vector<std::int64_t>& indices) const;
  static CipherBatch concatenate(const std::vector<CipherBatch>& batches);

  // The same values under fresh randomness: what leaves a party should not tell how it was computed.
  CipherBatch rerandomise() const;

  // The bytes of Python's CipherArray.to_bytes for an array of one axis; re-randomised unless freshly encrypted.
  // Throws std::invalid_argument for a batch without a bound.
  Bytes to_bytes() const;
  // Canonical ciphertexts, (size, context().ciphertext_limbs()), as they are.
  Limbs to_limbs() const;

 private:
  friend class PrivateKey;
  CipherBatch with(ResiduesPtr residues, std::size_t bound_bits, bool fresh = false) const;
  void check_joins(const char* operation, const CipherBatch& other) const;

  PublicKey key_;
  ResiduesPtr residues_;
  FixedPoint codec_;
  std::size_t scale_bits_, bound_bits_;
  bool fresh_;
};

// Generators of Z_p* and Z_q*, or both empty: with them Noise::kExact is there.
struct Generators {
  SecretLimbs p, q;
};

// A Paillier private key. Primes are wiped from memory when the last copy goes; nothing here writes them anywhere.
class PrivateKey {
 public:
  // p and q: different odd primes of one length; h_s: an n-th residue. Throws std::invalid_argument otherwise.
  PrivateKey(SecretLimbs p, SecretLimbs q, Limbs h_s = {}, Generators generators = {}, const std::string& backend = "");

  const PublicKey& public_key() const { return public_key_; }

  // Like PublicKey::encrypt, mod p^2 and mod q^2 in constant time.
  CipherBatch encrypt(const std::vector<double>& values, FixedPoint codec = {}) const;
  CipherBatch encrypt(const std::vector<std::int64_t>& values) const;

  // Throws std::invalid_argument when the batch belongs to another key or a value lies outside its stated bound.
  std::vector<double> decrypt(const CipherBatch& batch) const;
  // Of a batch without bits after the point. Throws std::overflow_error when one does not fit.
  std::vector<std::int64_t> decrypt_integers(const CipherBatch& batch) const;
  // Big numbers below n, as they are: (size, context().plaintext_limbs()) limbs.
  SecretLimbs decrypt_plaintexts(const CipherBatch& batch) const;

  // The primes, for a store of the caller's own. Secret.
  const SecretLimbs& p() const;
  const SecretLimbs& q() const;
  PrivateContext& context() const;

 private:
  struct State;
  void check_obfuscator_base() const;
  PublicKey public_key_;
  std::shared_ptr<const State> state_;
};

struct KeyPair {
  PublicKey public_key;
  PrivateKey private_key;
};

// A key pair of scheme DJN: 2048 bits, 3072, 4096, or a multiple of 256 between. Each prime is p = 2 s t + 1 with
// primes s, t of half its length, found without a branch or an address that depends on what is kept. Takes seconds.
KeyPair generate_keys(std::size_t bits = 2048, const std::string& backend = "");

}  // namespace cipherlane
