// Cipherlane as an algorithm of HEU, SecretFlow's library of homomorphic encryption: the classes of HEU's vector
// interface (heu/library/algorithms/clean_template: Encrypt, Decrypt and Evaluate over spans of pointers), names and
// signatures as there. Put this header beside HEU's own algorithms and link Cipherlane::cipherlane;
// docs/integrations/cpp.md says what is to be registered.
//
// An operand of one element serves all of the other's. Ciphertexts lie in the host's memory, as the interface has it,
// so each call carries them to the backend and back: long spans are what it is fast for. Results of sums and products
// are not re-randomised: Randomize is for that, as in HEU.
#pragma once

#include <algorithm>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cipherlane/cipherlane.hpp"
#include "heu/library/algorithms/util/mp_int.h"
#include "heu/library/algorithms/util/spi_traits.h"
#include "yacl/base/byte_container_view.h"

namespace heu::lib::algorithms::cipherlane_paillier {

using Plaintext = MPInt;

namespace internal {

inline MPInt from_limbs(const cipherlane::Limb* value, std::size_t limbs, bool negative = false) {
  cipherlane::SecretLimbs copy(value, value + limbs);  // in memory, least significant byte first
  MPInt number;
  number.FromMagBytes({copy.data(), copy.size() * sizeof(cipherlane::Limb)}, Endian::little);
  if (negative) number.NegateInplace();
  return number;
}

// |number|; throws when it has more than `limbs`.
inline void to_limbs(const MPInt& number, cipherlane::Limb* out, std::size_t limbs) {
  std::fill_n(out, limbs, cipherlane::Limb{0});
  number.ToMagBytes(reinterpret_cast<unsigned char*>(out), limbs * sizeof(cipherlane::Limb), Endian::little);
}

inline yacl::Buffer to_buffer(const std::string& text) { return {text.data(), text.size()}; }
inline std::string to_text(yacl::ByteContainerView in) { return {reinterpret_cast<const char*>(in.data()), in.size()}; }

}  // namespace internal

// One ciphertext, in canonical form: below n^2, as many limbs as n^2 has.
class Ciphertext {
 public:
  Ciphertext() = default;
  explicit Ciphertext(cipherlane::Limbs value) : value_(std::move(value)) {}

  const cipherlane::Limbs& value() const { return value_; }
  std::string ToString() const { return "CT:" + cipherlane::hex_from_limbs(value_.data(), value_.size()); }
  friend std::ostream& operator<<(std::ostream& os, const Ciphertext& c) { return os << c.ToString(); }
  bool operator==(const Ciphertext& other) const { return value_ == other.value_; }
  bool operator!=(const Ciphertext& other) const { return !(*this == other); }

  // Big-endian bytes of the limbs.
  yacl::Buffer Serialize() const {
    const cipherlane::Bytes bytes =
        cipherlane::bytes_from_limbs(value_.data(), value_.size(), value_.size() * sizeof(cipherlane::Limb));
    return {bytes.data(), bytes.size()};
  }
  void Deserialize(yacl::ByteContainerView in) { value_ = cipherlane::limbs_from_bytes(in.data(), in.size()); }

 private:
  cipherlane::Limbs value_;
};

class PublicKey {
 public:
  PublicKey() = default;
  explicit PublicKey(cipherlane::PublicKey key) { set(std::move(key)); }

  bool operator==(const PublicKey& other) const { return key() == other.key(); }
  bool operator!=(const PublicKey& other) const { return !(*this == other); }
  std::string ToString() const { return "Cipherlane public key, " + std::to_string(key().bits()) + " bits"; }
  // Valid plaintexts are from -bound to bound, (n - 1) / 2.
  const Plaintext& PlaintextBound() const& {
    key();
    return bound_;
  }

  // The JSON of Python's PublicKey.to_json.
  yacl::Buffer Serialize() const { return internal::to_buffer(key().to_json()); }
  void Deserialize(yacl::ByteContainerView in) { set(cipherlane::PublicKey::from_json(internal::to_text(in))); }

  const cipherlane::PublicKey& key() const {
    if (!key_)
      throw std::invalid_argument("public key: expected one from KeyGenerator or Deserialize, got an empty one");
    return *key_;
  }

 private:
  void set(cipherlane::PublicKey key) {
    key_ = std::make_shared<const cipherlane::PublicKey>(std::move(key));
    cipherlane::Limbs half = key_->n();
    for (std::size_t i = 0; i < half.size(); ++i)
      half[i] = half[i] >> 1 | (i + 1 < half.size() ? half[i + 1] << (cipherlane::kLimbBits - 1) : 0);
    bound_ = internal::from_limbs(half.data(), half.size());
  }

  std::shared_ptr<const cipherlane::PublicKey> key_;
  Plaintext bound_;
};

class SecretKey {
 public:
  SecretKey() = default;
  explicit SecretKey(cipherlane::PrivateKey key)
      : key_(std::make_shared<const cipherlane::PrivateKey>(std::move(key))) {}

  bool operator==(const SecretKey& other) const { return key().public_key() == other.key().public_key(); }
  bool operator!=(const SecretKey& other) const { return !(*this == other); }
  // Nothing secret.
  std::string ToString() const {
    return "Cipherlane secret key, " + std::to_string(key().public_key().bits()) + " bits";
  }

  // "p q h_s" in hexadecimal, NOT encrypted, as HEU has it of every algorithm: whoever stores it has to seal it.
  yacl::Buffer Serialize() const {
    const auto hex = [](const auto& n) { return cipherlane::hex_from_limbs(n.data(), n.size()); };
    return internal::to_buffer(hex(key().p()) + " " + hex(key().q()) + " " +
                               hex(key().public_key().context().obfuscator_base()));
  }
  void Deserialize(yacl::ByteContainerView in) {
    const std::string text = internal::to_text(in);
    const std::size_t first = text.find(' '), second = text.find(' ', first + 1);
    if (first == std::string::npos || second == std::string::npos)
      throw std::invalid_argument("secret key: expected what Serialize wrote, got other bytes");
    const auto secret = [](const cipherlane::Limbs& n) { return cipherlane::SecretLimbs(n.begin(), n.end()); };
    key_ = std::make_shared<const cipherlane::PrivateKey>(
        secret(cipherlane::limbs_from_hex("p", text.substr(0, first))),
        secret(cipherlane::limbs_from_hex("q", text.substr(first + 1, second - first - 1))),
        cipherlane::limbs_from_hex("h_s", text.substr(second + 1)));
  }

  const cipherlane::PrivateKey& key() const {
    if (!key_)
      throw std::invalid_argument("secret key: expected one from KeyGenerator or Deserialize, got an empty one");
    return *key_;
  }

 private:
  std::shared_ptr<const cipherlane::PrivateKey> key_;
};

class KeyGenerator {
 public:
  static void Generate(int key_size, SecretKey* sk, PublicKey* pk) {
    if (key_size < 0) throw std::invalid_argument("key_size: expected a number of bits, got a negative one");
    cipherlane::KeyPair pair = cipherlane::generate_keys(static_cast<std::size_t>(key_size));
    *pk = PublicKey(pair.public_key);
    *sk = SecretKey(pair.private_key);
  }
  static void Generate(SecretKey* sk, PublicKey* pk) { Generate(2048, sk, pk); }
};

// Spans to batches and back, under one key.
class Batches {
 public:
  explicit Batches(const PublicKey& pk) : key_(pk) {}

  cipherlane::PublicContext& context() const { return key_.key().context(); }

  static std::size_t common_size(std::size_t a, std::size_t b) {
    if (a != b && a != 1 && b != 1)
      throw std::invalid_argument("operands: expected spans of one size, or one of a single element, got " +
                                  std::to_string(a) + " and " + std::to_string(b));
    return a == 0 || b == 0 ? 0 : std::max(a, b);
  }

  // `count` elements; a single one serves all.
  cipherlane::ResiduesPtr upload(ConstSpan<Ciphertext> cts, std::size_t count) const {
    const std::size_t limbs = context().ciphertext_limbs();
    cipherlane::Limbs numbers;
    numbers.reserve(count * limbs);
    for (std::size_t i = 0; i < count; ++i) {
      cipherlane::Limbs value = cts[cts.size() == 1 ? 0 : i]->value();
      if (value.size() > limbs)
        throw std::invalid_argument("ciphertexts[" + std::to_string(i) +
                                    "]: expected one of this key, got a longer one");
      value.resize(limbs, 0);
      numbers.insert(numbers.end(), value.begin(), value.end());
    }
    return context().upload(numbers.data(), count);
  }

  std::vector<Ciphertext> download(const cipherlane::Residues& residues) const {
    const std::size_t limbs = context().ciphertext_limbs();
    cipherlane::Limbs numbers(residues.count() * limbs);
    context().download(residues, numbers.data());
    std::vector<Ciphertext> cts;
    cts.reserve(residues.count());
    for (std::size_t i = 0; i < residues.count(); ++i)
      cts.emplace_back(cipherlane::Limbs(numbers.data() + i * limbs, numbers.data() + (i + 1) * limbs));
    return cts;
  }

  void check(const Plaintext& pt, std::size_t index) const {
    if (pt.CompareAbs(key_.PlaintextBound()) > 0)
      throw std::invalid_argument("plaintexts[" + std::to_string(index) +
                                  "]: expected a magnitude up to half of n, got " + std::to_string(pt.BitCount()) +
                                  " bits");
  }

  // m mod n, or -m mod n.
  cipherlane::SecretLimbs encode(ConstSpan<Plaintext> pts, std::size_t count, bool negated = false) const {
    const std::size_t limbs = context().plaintext_limbs();
    cipherlane::SecretLimbs numbers(count * limbs);
    for (std::size_t i = 0; i < count; ++i) {
      const Plaintext& pt = *pts[pts.size() == 1 ? 0 : i];
      check(pt, i);
      cipherlane::Limb* out = numbers.data() + i * limbs;
      internal::to_limbs(pt, out, limbs);
      if (pt.IsZero() || pt.IsNegative() == negated) continue;
      cipherlane::subtract(out, key_.key().n().data(), out, limbs);
    }
    return numbers;
  }

 private:
  PublicKey key_;
};

class Encryptor {
 public:
  explicit Encryptor(const PublicKey& pk) : batches_(pk) {}

  std::vector<Ciphertext> EncryptZero(int64_t size) const {
    const std::vector<Plaintext> zeros(1, Plaintext(0));
    const Plaintext* const zero = zeros.data();
    return encrypt({&zero, 1}, static_cast<std::size_t>(std::max<int64_t>(size, 0)));
  }
  std::vector<Ciphertext> Encrypt(ConstSpan<Plaintext> pts) const { return encrypt(pts, pts.size()); }

  // What is audited is plaintext and ciphertext; obfuscators are drawn by the backend and shown to no one.
  std::pair<std::vector<Ciphertext>, std::vector<std::string>> EncryptWithAudit(ConstSpan<Plaintext> pts) const {
    std::vector<Ciphertext> cts = Encrypt(pts);
    std::vector<std::string> audit;
    for (std::size_t i = 0; i < cts.size(); ++i)
      audit.push_back("p:" + pts[i]->ToHexString() +
                      ",c:" + cipherlane::hex_from_limbs(cts[i].value().data(), cts[i].value().size()));
    return {std::move(cts), std::move(audit)};
  }

 private:
  std::vector<Ciphertext> encrypt(ConstSpan<Plaintext> pts, std::size_t count) const {
    const cipherlane::SecretLimbs plaintexts = batches_.encode(pts, count);
    return batches_.download(*batches_.context().encrypt(batches_.context().plaintexts(plaintexts.data()), count));
  }

  Batches batches_;
};

class Decryptor {
 public:
  explicit Decryptor(const PublicKey& pk, const SecretKey& sk) : batches_(pk), public_key_(pk), key_(sk) {
    if (pk.key() != sk.key().public_key())
      throw std::invalid_argument("keys: expected a secret key of this public key, got another's");
  }

  std::vector<Plaintext> Decrypt(ConstSpan<Ciphertext> cts) const {
    const std::size_t limbs = batches_.context().plaintext_limbs();
    const cipherlane::ResiduesPtr residues = batches_.upload(cts, cts.size());
    // Whoever sends a multiple of p or q and sees what it decrypts to can factor n.
    const std::int64_t offender = batches_.context().first_not_invertible(*residues);
    if (offender >= 0)
      throw std::invalid_argument("ciphertexts[" + std::to_string(offender) +
                                  "]: expected a ciphertext of this key, got a number that shares a factor with n");
    cipherlane::SecretLimbs numbers(cts.size() * limbs), negated(limbs);
    key_.key().context().decrypt(*residues)->read(numbers.data());
    std::vector<Plaintext> pts;
    pts.reserve(cts.size());
    for (std::size_t i = 0; i < cts.size(); ++i) {
      const cipherlane::Limb* m = numbers.data() + i * limbs;
      cipherlane::subtract(negated.data(), public_key_.key().n().data(), m, limbs);
      const bool negative = cipherlane::mask_less(negated.data(), m, limbs) != 0;
      pts.push_back(internal::from_limbs(negative ? negated.data() : m, limbs, negative));
    }
    return pts;
  }
  void Decrypt(ConstSpan<Ciphertext> in_cts, Span<Plaintext> out_pts) const {
    if (in_cts.size() != out_pts.size())
      throw std::invalid_argument("out_pts: expected " + std::to_string(in_cts.size()) + " of them, got " +
                                  std::to_string(out_pts.size()));
    std::vector<Plaintext> pts = Decrypt(in_cts);
    for (std::size_t i = 0; i < pts.size(); ++i) *out_pts[i] = std::move(pts[i]);
  }

 private:
  Batches batches_;
  PublicKey public_key_;
  SecretKey key_;
};

class Evaluator {
 public:
  using Ciphertexts = std::vector<Ciphertext>;
  using Plaintexts = std::vector<Plaintext>;

  explicit Evaluator(const PublicKey& pk) : batches_(pk), encryptor_(pk) {}

  void Randomize(Span<Ciphertext> ct) const {
    assign(ct, batches_.download(*batches_.context().rerandomise(*batches_.upload(constant(ct), ct.size()))));
  }

  Ciphertexts Add(ConstSpan<Ciphertext> a, ConstSpan<Ciphertext> b) const {
    const std::size_t count = Batches::common_size(a.size(), b.size());
    return batches_.download(*batches_.context().add(*batches_.upload(a, count), *batches_.upload(b, count)));
  }
  Ciphertexts Add(ConstSpan<Ciphertext> a, ConstSpan<Plaintext> b) const { return add_plaintexts(a, b, false); }
  Ciphertexts Add(ConstSpan<Plaintext> a, ConstSpan<Ciphertext> b) const { return Add(b, a); }
  Plaintexts Add(ConstSpan<Plaintext> a, ConstSpan<Plaintext> b) const {
    return plain(a, b, [](const Plaintext& x, const Plaintext& y) { return x + y; });
  }

  Ciphertexts Sub(ConstSpan<Ciphertext> a, ConstSpan<Ciphertext> b) const {
    const std::size_t count = Batches::common_size(a.size(), b.size());
    return batches_.download(*batches_.context().subtract(*batches_.upload(a, count), batches_.upload(b, count)));
  }
  Ciphertexts Sub(ConstSpan<Ciphertext> a, ConstSpan<Plaintext> b) const { return add_plaintexts(a, b, true); }
  Ciphertexts Sub(ConstSpan<Plaintext> a, ConstSpan<Ciphertext> b) const {
    const Ciphertexts negated = Negate(b);
    return Add(pointers(negated), a);
  }
  Plaintexts Sub(ConstSpan<Plaintext> a, ConstSpan<Plaintext> b) const {
    return plain(a, b, [](const Plaintext& x, const Plaintext& y) { return x - y; });
  }

  // A product with 0 is a fresh encryption of 0.
  Ciphertexts Mul(ConstSpan<Ciphertext> a, ConstSpan<Plaintext> b) const {
    const std::size_t count = Batches::common_size(a.size(), b.size());
    const auto factor = [&](std::size_t i) -> const Plaintext& { return *b[b.size() == 1 ? 0 : i]; };
    std::size_t bits = 1, zeros = 0;
    for (std::size_t i = 0; i < count; ++i) {
      batches_.check(factor(i), i);
      bits = std::max(bits, factor(i).BitCount());
      zeros += factor(i).IsZero() ? 1 : 0;
    }
    const std::size_t limbs = cipherlane::limbs_for_bits(bits);
    cipherlane::Limbs magnitudes(count * limbs);
    const std::unique_ptr<bool[]> negative(new bool[count]);
    for (std::size_t i = 0; i < count; ++i) {
      internal::to_limbs(factor(i), magnitudes.data() + i * limbs, limbs);
      negative[i] = factor(i).IsNegative();
    }
    Ciphertexts products = batches_.download(
        *batches_.context().multiply(batches_.upload(a, count), {magnitudes.data(), limbs}, negative.get(), count));
    Ciphertexts fresh = encryptor_.EncryptZero(static_cast<int64_t>(zeros));
    for (std::size_t i = 0, next = 0; i < count; ++i)
      if (factor(i).IsZero()) products[i] = std::move(fresh[next++]);
    return products;
  }
  Ciphertexts Mul(ConstSpan<Plaintext> a, ConstSpan<Ciphertext> b) const { return Mul(b, a); }
  Plaintexts Mul(ConstSpan<Plaintext> a, ConstSpan<Plaintext> b) const {
    return plain(a, b, [](const Plaintext& x, const Plaintext& y) { return x * y; });
  }

  Ciphertexts Negate(ConstSpan<Ciphertext> a) const {
    return batches_.download(*batches_.context().negate(batches_.upload(a, a.size())));
  }

  void AddInplace(Span<Ciphertext> a, ConstSpan<Ciphertext> b) const { assign(a, Add(constant(a), b)); }
  void AddInplace(Span<Ciphertext> a, ConstSpan<Plaintext> b) const { assign(a, Add(constant(a), b)); }
  void AddInplace(Span<Plaintext> a, ConstSpan<Plaintext> b) const { assign(a, Add(constant(a), b)); }
  void SubInplace(Span<Ciphertext> a, ConstSpan<Ciphertext> b) const { assign(a, Sub(constant(a), b)); }
  void SubInplace(Span<Ciphertext> a, ConstSpan<Plaintext> p) const { assign(a, Sub(constant(a), p)); }
  void SubInplace(Span<Plaintext> a, ConstSpan<Plaintext> b) const { assign(a, Sub(constant(a), b)); }
  void MulInplace(Span<Ciphertext> a, ConstSpan<Plaintext> b) const { assign(a, Mul(constant(a), b)); }
  void MulInplace(Span<Plaintext> a, ConstSpan<Plaintext> b) const { assign(a, Mul(constant(a), b)); }
  void NegateInplace(Span<Ciphertext> a) const { assign(a, Negate(constant(a))); }

 private:
  template <class T>
  static ConstSpan<T> constant(Span<T> span) {
    return {const_cast<const T* const*>(span.begin()), span.size()};
  }
  template <class T>
  static std::vector<const T*> pointers(const std::vector<T>& values) {
    std::vector<const T*> found;
    for (const T& value : values) found.push_back(&value);
    return found;
  }
  template <class T>
  static void assign(Span<T> out, std::vector<T> values) {
    if (out.size() != values.size())
      throw std::invalid_argument("a: expected " + std::to_string(values.size()) +
                                  " elements to hold the result, got " + std::to_string(out.size()));
    for (std::size_t i = 0; i < values.size(); ++i) *out[i] = std::move(values[i]);
  }
  template <class Function>
  static Plaintexts plain(ConstSpan<Plaintext> a, ConstSpan<Plaintext> b, Function&& function) {
    const std::size_t count = Batches::common_size(a.size(), b.size());
    Plaintexts results;
    for (std::size_t i = 0; i < count; ++i)
      results.push_back(function(*a[a.size() == 1 ? 0 : i], *b[b.size() == 1 ? 0 : i]));
    return results;
  }

  Ciphertexts add_plaintexts(ConstSpan<Ciphertext> a, ConstSpan<Plaintext> b, bool negated) const {
    const std::size_t count = Batches::common_size(a.size(), b.size());
    const cipherlane::SecretLimbs plaintexts = batches_.encode(b, count, negated);
    return batches_.download(*batches_.context().add_plaintexts(
        *batches_.upload(a, count), batches_.context().plaintexts(plaintexts.data()), count));
  }

  Batches batches_;
  Encryptor encryptor_;
};

}  // namespace heu::lib::algorithms::cipherlane_paillier
