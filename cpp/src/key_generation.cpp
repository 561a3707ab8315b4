// As python/cipherlane/paillier/key_generation.py: primes p = 2 s t + 1 with primes s, t of about half their length.
// Then p = 3 (mod 4), as Damgard, Jurik and Nielsen ask; gcd(p - 1, q - 1) = 2; and since all factors of p - 1 are
// known, so is a generator of Z_p*.
#include <algorithm>
#include <stdexcept>

#include "cipherlane/cipherlane.hpp"
#include "cipherlane/random.hpp"
#include "prime_search.hpp"
#include "secret_marks.hpp"

namespace cipherlane {
namespace {

constexpr std::size_t kLeastBits = 2048, kMostBits = 4096, kBitsStep = 256;
constexpr std::size_t kFarApartBits = 100;

struct StructuredPrime {
  SecretLimbs p, s, t;
};

StructuredPrime structured_prime(std::size_t bits) {
  StructuredPrime prime;
  prime.s = random_prime(bits / 2);
  prime.t = random_cofactor(prime.s, bits / 2, bits);
  prime.p = twice_product_plus_one(prime.s, prime.t);
  return prime;
}

bool equal(const SecretLimbs& a, const SecretLimbs& b) {
  Limb difference = 0;
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i)
    difference |= (i < a.size() ? a[i] : 0) ^ (i < b.size() ? b[i] : 0);
  return declassified(difference == 0);
}

// Close primes would let Fermat's method factor n; |p - q| this small has probability 2^-98.
bool far_apart(const SecretLimbs& p, const SecretLimbs& q, std::size_t prime_bits) {
  SecretLimbs difference(p.size()), negated(p.size());
  const Limb borrow = subtract(difference.data(), p.data(), q.data(), p.size());
  subtract(negated.data(), q.data(), p.data(), p.size());
  const Limb mask = Limb{0} - borrow;
  Limb above = 0;
  const std::size_t low = prime_bits - kFarApartBits;
  for (std::size_t i = 0; i < p.size(); ++i) difference[i] = (difference[i] & ~mask) | (negated[i] & mask);
  for (std::size_t first = low; first < prime_bits; first += kLimbBits)
    above |= bits_at(difference.data(), p.size(), first, std::min(kLimbBits, prime_bits - first));
  return declassified(above != 0);
}

// A g with g^((p-1)/f) != 1 for every prime factor f of p - 1, hence of order p - 1.
SecretLimbs generator(const StructuredPrime& prime) {
  const auto ring = make_ring("portable", prime.p.data(), prime.p.size());
  const std::size_t limbs = prime.p.size();
  const auto twice = [&](const SecretLimbs& factor) {
    const Limb two = 2;
    SecretLimbs product(factor.size() + 1);
    multiply(product.data(), factor.data(), factor.size(), &two, 1);
    product.resize(limbs, 0);
    return product;
  };
  SecretLimbs half(prime.s.size() + prime.t.size());
  multiply(half.data(), prime.s.data(), prime.s.size(), prime.t.data(), prime.t.size());
  half.resize(limbs);
  SecretLimbs g(ring->limbs(), 0), rest(limbs), ignored(limbs);
  for (;;) {
    random_below(g.data(), prime.p.data(), limbs);
    const ResiduesPtr base = ring->upload(g.data(), 1);
    Limb one_among_them = 0;
    for (const SecretLimbs& exponent : {half, twice(prime.t), twice(prime.s)}) {
      const ResiduesPtr power = ring->power_shared(*base, exponent.data(), ring->modulus_bits(), Exponent::kSecret);
      ring->download_digits(*power, rest.data(), ignored.data());
      rest[0] ^= 1;
      one_among_them |= mask_zero(rest.data(), limbs);
    }
    if (declassified(one_among_them) == 0) break;
  }
  g.resize(limbs);
  return g;
}

// h_s = h^n mod n^2 for h = -y^2 mod n and a uniform y.
Limbs obfuscator_base(const Limbs& n) {
  const auto ring = make_ring("portable", n.data(), n.size());
  SecretLimbs y(ring->limbs(), 0), square(n.size()), ignored(n.size());
  random_below(y.data(), n.data(), n.size());
  const ResiduesPtr residue = ring->upload(y.data(), 1);
  ring->download_digits(*ring->multiply(*residue, *residue), square.data(), ignored.data());
  SecretLimbs h(ring->limbs(), 0);
  subtract(h.data(), n.data(), square.data(), n.size());
  Limbs h_s(ring->limbs());
  ring->download(*ring->power_shared(*ring->upload(h.data(), 1), n.data(), ring->modulus_bits(), Exponent::kPublic),
                 h_s.data());
  return h_s;
}

}  // namespace

KeyPair generate_keys(std::size_t bits, const std::string& backend) {
  if (bits < kLeastBits || bits > kMostBits || bits % kBitsStep != 0)
    throw std::invalid_argument("bits: expected a multiple of 256 from 2048 to 4096, got " + std::to_string(bits) +
                                "; 2048 is the usual choice, 3072 for secrets of decades");
  for (;;) {
    StructuredPrime p = structured_prime(bits / 2), q = structured_prime(bits / 2);
    // Four different factors: gcd(p - 1, q - 1) = 2. One length: gcd(p q, (p - 1)(q - 1)) = 1.
    const SecretLimbs* const factors[] = {&p.s, &p.t, &q.s, &q.t};
    bool distinct = true;
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < i; ++j) distinct = distinct && !equal(*factors[i], *factors[j]);
    if (!distinct || !far_apart(p.p, q.p, bits / 2)) continue;
    Limbs n(p.p.size() + q.p.size());
    multiply(n.data(), p.p.data(), p.p.size(), q.p.data(), q.p.size());
    declassify(n.data(), n.size() * sizeof(Limb));
    n.resize(limbs_for_bits(bits));
    Limbs h_s = obfuscator_base(n);
    declassify(h_s.data(), h_s.size() * sizeof(Limb));
    Generators generators{generator(p), generator(q)};
    PrivateKey key(std::move(p.p), std::move(q.p), std::move(h_s), std::move(generators), backend);
    return {key.public_key(), key};
  }
}

}  // namespace cipherlane
