#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "cipherlane/cipherlane.hpp"
#include "cipherlane/codec.hpp"
#include "encoding.hpp"
#include "key_json.hpp"
#include "prime_search.hpp"
#include "secret_marks.hpp"
#include "sha256.hpp"

namespace cipherlane {
namespace {

constexpr std::size_t kLeastBits = 1024, kMostBits = 4096;

template <class Vector>
std::size_t bits_of(const Vector& number) {
  return bit_length(number.data(), number.size());
}

template <class Vector>
Vector trimmed(Vector number) {
  number.resize(limbs_for_bits(bits_of(number)));
  return number;
}

std::string best_backend(const std::string& wanted) {
  if (!wanted.empty()) return wanted;
  const char* named = std::getenv("CIPHERLANE_BACKEND");
  return named != nullptr && *named != '\0' ? named : usable_backends().front();
}

// 4 lambda of python/cipherlane/paillier/short_parameters.py
std::size_t least_exponent_bits(std::size_t bits) { return bits <= 2048 ? 448 : bits <= 3072 ? 512 : 608; }

void check_public(const PublicNumbers& key) {
  const std::size_t bits = bits_of(key.n);
  if (bits < kLeastBits || bits > kMostBits)
    throw std::invalid_argument("n: expected a modulus of 1024 to 4096 bits, got " + std::to_string(bits) +
                                " bits; make one with generate_keys");
  const SecretLimbs n(key.n.begin(), key.n.end());
  if (n[0] % 2 == 0 || has_small_factor(n))
    throw std::invalid_argument("n: expected the product of two large primes, got a number with a factor below 2^14");
  if (is_probable_prime(n)) throw std::invalid_argument("n: expected the product of two large primes, got a prime");
  Limbs square(2 * key.n.size());
  multiply(square.data(), key.n.data(), key.n.size(), key.n.data(), key.n.size());
  Limbs h_s = key.h_s;
  h_s.resize(std::max(h_s.size(), square.size()));
  square.resize(h_s.size());
  if (!key.h_s.empty() && (bits_of(key.h_s) < 2 || mask_less(h_s.data(), square.data(), square.size()) == 0))
    throw std::invalid_argument("h_s: expected a number from 2 to n^2 less one; pass the h_s of this very key");
  if (key.exponent_bits == 0) return;
  const std::size_t least = least_exponent_bits(bits), beyond = (bits + 1) / 2;
  if (key.h_s.empty() || key.exponent_bits < least || key.exponent_bits >= beyond)
    throw std::invalid_argument("exponent_bits: expected a key with h_s, and " + std::to_string(least) + " to " +
                                std::to_string(beyond - 1) + " bits, got " + std::to_string(key.exponent_bits) +
                                "; shorter ones are not safe");
}

Bytes digest_of_modulus(const Limbs& n) {
  static constexpr char kDomain[] = "cipherlane paillier modulus v1";  // with the 0 at its end
  const std::size_t bits = bits_of(n);
  const std::uint8_t length[2] = {static_cast<std::uint8_t>(bits >> 8), static_cast<std::uint8_t>(bits)};
  const Bytes number = bytes_from_limbs(n.data(), n.size(), (bits + 7) / 8);
  Sha256 hash;
  hash.update(kDomain, sizeof kDomain);
  hash.update(length, sizeof length);
  hash.update(number.data(), number.size());
  const auto digest = hash.finish();
  return {digest.begin(), digest.end()};
}

SecretLimbs checked_prime(const char* name, SecretLimbs prime) {
  prime = trimmed(std::move(prime));
  const std::size_t bits = bits_of(prime);
  if (bits < kLeastBits / 2 || bits > kMostBits / 2 || declassified(prime[0] & 1) == 0 || !is_probable_prime(prime))
    throw std::invalid_argument(std::string(name) + ": expected an odd prime of 512 to 2048 bits, got another number");
  return prime;
}

Limbs product(const SecretLimbs& p, const SecretLimbs& q) {
  Limbs n(p.size() + q.size());
  multiply(n.data(), p.data(), p.size(), q.data(), q.size());
  declassify(n.data(), n.size() * sizeof(Limb));
  return trimmed(n);
}

PublicKey public_key_of(const SecretLimbs& p, const SecretLimbs& q, Limbs h_s, const std::string& backend) {
  if (bits_of(p) != bits_of(q))
    throw std::invalid_argument("p, q: expected primes of one length, got " + std::to_string(bits_of(p)) + " and " +
                                std::to_string(bits_of(q)) + " bits");
  if (declassified(mask_less(p.data(), q.data(), p.size()) | mask_less(q.data(), p.data(), p.size())) == 0)
    throw std::invalid_argument("p, q: expected two different primes, got the same twice");
  return PublicKey(product(p, q), std::move(h_s), 0, backend);
}

}  // namespace

struct PublicKey::State {
  PublicNumbers numbers;
  Bytes digest;
  std::shared_ptr<PublicContext> context;
};

PublicKey::PublicKey(Limbs n, Limbs h_s, std::size_t exponent_bits, const std::string& backend) {
  auto state = std::make_shared<State>();
  state->numbers = {trimmed(std::move(n)), trimmed(std::move(h_s)), exponent_bits};
  check_public(state->numbers);
  state->digest = digest_of_modulus(state->numbers.n);
  try {
    state->context =
        std::make_shared<PublicContext>(state->numbers.n, state->numbers.h_s, best_backend(backend), 0, exponent_bits);
  } catch (const std::domain_error&) {
    throw std::invalid_argument(
        "h_s: expected a number coprime to n, got one that shares a factor with it; pass the h_s of this very key");
  }
  state_ = std::move(state);
}

PublicKey PublicKey::from_json(const std::string& text, const std::string& backend) {
  PublicNumbers numbers = key_from_json(text);
  return PublicKey(std::move(numbers.n), std::move(numbers.h_s), numbers.exponent_bits, backend);
}

std::string PublicKey::to_json() const { return key_to_json(state_->numbers); }
std::size_t PublicKey::bits() const { return bits_of(state_->numbers.n); }
const Limbs& PublicKey::n() const { return state_->numbers.n; }
const std::string& PublicKey::backend() const { return state_->context->backend(); }
const Bytes& PublicKey::modulus_digest() const { return state_->digest; }
PublicContext& PublicKey::context() const { return *state_->context; }

bool PublicKey::operator==(const PublicKey& other) const {
  const PublicNumbers &a = state_->numbers, &b = other.state_->numbers;
  return a.n == b.n && a.h_s == b.h_s && a.exponent_bits == b.exponent_bits;
}

namespace {

template <class Value, class Encrypt>
CipherBatch encrypted(const PublicKey& key, const std::vector<Value>& values, FixedPoint codec, Encrypt&& encrypt) {
  const SecretLimbs plaintexts = encoding::encode(key, values, codec);
  return CipherBatch(key, encrypt(key.context().plaintexts(plaintexts.data()), values.size()), codec, codec.scale_bits,
                     codec.scale_bits + codec.integer_bits, true);
}

}  // namespace

CipherBatch PublicKey::encrypt(const std::vector<double>& values, FixedPoint codec) const {
  return encrypted(*this, values, codec,
                   [&](Numbers plaintexts, std::size_t count) { return context().encrypt(plaintexts, count); });
}

CipherBatch PublicKey::encrypt(const std::vector<std::int64_t>& values) const {
  return encrypted(*this, values, encoding::kIntegers,
                   [&](Numbers plaintexts, std::size_t count) { return context().encrypt(plaintexts, count); });
}

CipherBatch PublicKey::encrypt_plaintexts(const Limbs& plaintexts) const {
  const std::size_t count = encoding::rows("plaintexts", plaintexts.size(), context().plaintext_limbs());
  return CipherBatch(*this, context().encrypt(context().plaintexts(plaintexts.data()), count), {0, bits()}, 0, kNoBound,
                     true);
}

CipherBatch PublicKey::from_limbs(const Limbs& ciphertexts, FixedPoint codec, std::size_t bound_bits) const {
  const std::size_t count = encoding::rows("ciphertexts", ciphertexts.size(), context().ciphertext_limbs());
  encoding::check_codec(*this, {codec.scale_bits, bound_bits == kNoBound ? 0 : codec.integer_bits});
  encoding::check_room("bound_bits", *this, bound_bits);
  const ResiduesPtr residues = context().upload(ciphertexts.data(), count);
  const std::int64_t offender = context().first_not_invertible(*residues);
  if (offender >= 0)
    throw std::invalid_argument("ciphertexts[" + std::to_string(offender) +
                                "]: expected a ciphertext of this key, got a number that shares a factor with n; ask "
                                "the sender for it again");
  return CipherBatch(*this, residues, codec, codec.scale_bits, bound_bits, false);
}

struct PrivateKey::State {
  SecretLimbs p, q;
  Noise noise;
  std::shared_ptr<PrivateContext> context;
};

PrivateKey::PrivateKey(SecretLimbs p, SecretLimbs q, Limbs h_s, Generators generators, const std::string& backend)
    : public_key_(public_key_of(p = checked_prime("p", std::move(p)), q = checked_prime("q", std::move(q)),
                                std::move(h_s), backend)) {
  if (generators.p.empty() != generators.q.empty())
    throw std::invalid_argument("generators: expected both or none, got one");
  auto state = std::make_shared<State>();
  state->p = p;
  state->q = q;
  state->noise = public_key_.context().has_obfuscator_base() ? Noise::kDjn
                 : generators.p.empty()                      ? Noise::kClassic
                                                             : Noise::kExact;
  state->context = std::make_shared<PrivateContext>(public_key_.state_->context, std::move(p), std::move(q),
                                                    std::move(generators.p), std::move(generators.q));
  state_ = std::move(state);
  check_obfuscator_base();
}

// An n-th residue is an encryption of 0; with another h_s nothing that is encrypted comes back.
void PrivateKey::check_obfuscator_base() const {
  const PublicContext& open = public_key_.context();
  if (!open.has_obfuscator_base()) return;
  Limbs base = open.obfuscator_base();
  base.resize(open.ciphertext_limbs());
  SecretLimbs plaintext(open.plaintext_limbs());
  context().decrypt(*open.upload(base.data(), 1))->read(plaintext.data());
  if (declassified(mask_zero(plaintext.data(), plaintext.size())) == 0)
    throw std::invalid_argument("h_s: expected an n-th residue, got another number; pass the h_s of this very key");
}

const SecretLimbs& PrivateKey::p() const { return state_->p; }
const SecretLimbs& PrivateKey::q() const { return state_->q; }
PrivateContext& PrivateKey::context() const { return *state_->context; }

CipherBatch PrivateKey::encrypt(const std::vector<double>& values, FixedPoint codec) const {
  return encrypted(public_key_, values, codec, [&](Numbers plaintexts, std::size_t count) {
    return context().encrypt(plaintexts, count, state_->noise);
  });
}

CipherBatch PrivateKey::encrypt(const std::vector<std::int64_t>& values) const {
  return encrypted(public_key_, values, encoding::kIntegers, [&](Numbers plaintexts, std::size_t count) {
    return context().encrypt(plaintexts, count, state_->noise);
  });
}

SecretLimbs PrivateKey::decrypt_plaintexts(const CipherBatch& batch) const {
  if (batch.public_key().n() != public_key_.n())
    throw std::invalid_argument("batch: encrypted for another key; use the key that it was encrypted for");
  SecretLimbs plaintexts(batch.size() * public_key_.context().plaintext_limbs());
  context().decrypt(*batch.residues())->read(plaintexts.data());
  return plaintexts;
}

std::vector<double> PrivateKey::decrypt(const CipherBatch& batch) const {
  const SecretLimbs plaintexts = decrypt_plaintexts(batch);
  encoding::check_bound(public_key_, plaintexts, batch.bound_bits());
  std::vector<double> values(batch.size());
  decode(values.data(), plaintexts.data(), values.size(), encoding::packing(batch.scale_bits()), public_key_.n().data(),
         public_key_.n().size());
  return values;
}

std::vector<std::int64_t> PrivateKey::decrypt_integers(const CipherBatch& batch) const {
  if (batch.scale_bits() != 0)
    throw std::invalid_argument("batch: expected one without bits after the point, got " +
                                std::to_string(batch.scale_bits()) + " of them; use decrypt");
  const SecretLimbs plaintexts = decrypt_plaintexts(batch);
  encoding::check_bound(public_key_, plaintexts, batch.bound_bits());
  std::vector<std::int64_t> values(batch.size());
  decode(values.data(), plaintexts.data(), values.size(), encoding::packing(0), public_key_.n().data(),
         public_key_.n().size());
  return values;
}

}  // namespace cipherlane
