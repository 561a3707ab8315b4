#include "prime_search.hpp"

#include <algorithm>

#include "cipherlane/parallel.hpp"
#include "cipherlane/random.hpp"
#include "cipherlane/ring.hpp"
#include "secret_marks.hpp"

namespace cipherlane {
namespace {

constexpr std::uint32_t kSmallPrimeLimit = 1 << 14;

// An odd prime below 2^14, and floor((2^64 - 1) / prime).
struct SmallPrime {
  std::uint64_t prime, reciprocal;

  // x mod prime for x < 2^48, without a division: the estimate of the quotient is at most one too small.
  std::uint64_t reduce(std::uint64_t x) const {
    const auto quotient = static_cast<std::uint64_t>(DoubleLimb{x} * reciprocal >> 64);
    const std::uint64_t rest = x - quotient * prime;
    return rest - (prime & (std::uint64_t{0} - static_cast<std::uint64_t>(rest >= prime)));
  }

  std::uint64_t residue(const SecretLimbs& number) const {
    std::uint64_t rest = 0;
    for (std::size_t i = number.size(); i-- > 0;) {
      rest = reduce(rest << 32 | number[i] >> 32);
      rest = reduce(rest << 32 | (number[i] & 0xffffffff));
    }
    return rest;
  }
};

const std::vector<SmallPrime>& small_primes() {
  static const std::vector<SmallPrime> primes = [] {
    std::vector<SmallPrime> found;
    std::vector<bool> composite(kSmallPrimeLimit, false);
    for (std::uint32_t i = 3; i < kSmallPrimeLimit; i += 2) {
      if (composite[i]) continue;
      found.push_back({i, ~std::uint64_t{0} / i});
      for (std::uint32_t j = i * i; j < kSmallPrimeLimit && i < 128; j += 2 * i) composite[j] = true;
    }
    return found;
  }();
  return primes;
}

// Without leading zero limbs. The length becomes public, hence also that the top bit is set.
SecretLimbs trimmed(SecretLimbs number) {
  std::size_t bits = 0;
  for (std::size_t i = 0; i < number.size() * kLimbBits; ++i) {
    const std::size_t is_set = 0 - static_cast<std::size_t>(bits_at(number.data(), number.size(), i, 1));
    bits = (bits & ~is_set) | ((i + 1) & is_set);
  }
  declassify(&bits, sizeof bits);
  number.resize(limbs_for_bits(bits));
  number.back() |= Limb{1} << (bits - 1) % kLimbBits;
  return number;
}

// floor(3 2^(bits-2) / divisor) + 1 by long division in constant time.
SecretLimbs least_cofactor(const SecretLimbs& divisor, std::size_t bits) {
  SecretLimbs quotient(limbs_for_bits(bits + 1), 0), rest(divisor.size() + 1, 0), wide(divisor);
  SecretLimbs difference(rest.size());
  wide.push_back(0);
  for (std::size_t i = bits; i-- > 0;) {
    Limb carry = i + 2 >= bits ? 1 : 0;  // the digit of 3 2^(bits-2)
    for (Limb& limb : rest) {
      const Limb next = limb >> (kLimbBits - 1);
      limb = limb << 1 | carry;
      carry = next;
    }
    const Limb keep = Limb{0} - subtract(difference.data(), rest.data(), wide.data(), rest.size());
    for (std::size_t j = 0; j < rest.size(); ++j) rest[j] = (rest[j] & keep) | (difference[j] & ~keep);
    quotient[i / kLimbBits] |= (~keep & 1) << i % kLimbBits;
  }
  Limb carry = 1;
  for (Limb& limb : quotient) {
    limb += carry;
    carry = carry & static_cast<Limb>(limb == 0);
  }
  return quotient;
}

// Whether neither t nor, where there are factors, 2 known t + 1 is a multiple of a small prime.
bool survives(const SecretLimbs& t, const std::vector<std::uint64_t>& factors) {
  const auto& primes = small_primes();
  for (std::size_t i = 0; i < primes.size(); ++i) {
    const std::uint64_t rest = primes[i].residue(t);
    bool divided = rest == 0;
    if (!factors.empty()) divided |= primes[i].reduce(rest * factors[i] + 1) == 0;
    if (declassified(divided)) return false;
  }
  return true;
}

// A prime t = least + r, r a uniform multiple of 4 below 2^free_bits, perhaps with 2 known t + 1 prime.
SecretLimbs search(const SecretLimbs& least, std::size_t free_bits, const SecretLimbs* known) {
  std::vector<std::uint64_t> factors;
  if (known != nullptr)
    for (const SmallPrime& small : small_primes()) factors.push_back(small.reduce(2 * small.residue(*known)));
  const std::size_t limbs = least.size();
  SecretLimbs t(limbs);
  for (;;) {
    check_interrupt();
    random_bits(t.data(), 1, free_bits, limbs);
    t[0] &= ~Limb{3};
    Limb carry = 0;
    for (std::size_t i = 0; i < limbs; ++i) {
      const DoubleLimb sum = DoubleLimb{t[i]} + least[i] + carry;
      t[i] = static_cast<Limb>(sum);
      carry = static_cast<Limb>(sum >> kLimbBits);
    }
    if (!survives(t, factors)) continue;
    const SecretLimbs candidate = trimmed(t);
    const SecretLimbs p = known == nullptr ? SecretLimbs{} : twice_product_plus_one(*known, candidate);
    if (!is_probable_prime(candidate, 1) || (known != nullptr && !is_probable_prime(p, 1))) continue;
    if (is_probable_prime(candidate) && (known == nullptr || is_probable_prime(p))) return candidate;
  }
}

}  // namespace

bool is_probable_prime(const SecretLimbs& candidate, std::size_t rounds) {
  const auto ring = make_ring("portable", candidate.data(), candidate.size());
  const std::size_t limbs = candidate.size(), bits = ring->modulus_bits();
  SecretLimbs less_one = candidate;
  less_one[0] &= ~Limb{1};
  std::size_t twos = 1;
  while (declassified(bits_at(less_one.data(), limbs, twos, 1)) == 0) ++twos;
  SecretLimbs exponent(limbs, 0), base(ring->limbs(), 0), rest(limbs), ignored(limbs), one(limbs, 0);
  for (std::size_t i = 0; i < limbs; ++i)
    exponent[i] = bits_at(less_one.data(), limbs, twos + i * kLimbBits, kLimbBits);
  one[0] = 1;
  const auto differs = [&](const SecretLimbs& value) {
    SecretLimbs difference(limbs);
    for (std::size_t i = 0; i < limbs; ++i) difference[i] = rest[i] ^ value[i];
    return ~mask_zero(difference.data(), limbs);
  };
  for (std::size_t round = 0; round < rounds; ++round) {
    random_below(base.data(), candidate.data(), limbs);
    ResiduesPtr power = ring->power_shared(*ring->upload(base.data(), 1), exponent.data(), bits, Exponent::kSecret);
    ring->download_digits(*power, rest.data(), ignored.data());
    Limb failed = differs(one) & differs(less_one);
    for (std::size_t i = 1; i < twos; ++i) {
      power = ring->multiply(*power, *power);
      ring->download_digits(*power, rest.data(), ignored.data());
      failed &= differs(less_one);
    }
    if (declassified(failed) != 0) return false;
  }
  return true;
}

bool has_small_factor(const SecretLimbs& number) { return !survives(number, {}); }

SecretLimbs random_prime(std::size_t bits) {
  SecretLimbs least(limbs_for_bits(bits), 0);
  least[0] = 3;
  least[(bits - 1) / kLimbBits] |= Limb{1} << (bits - 1) % kLimbBits;
  return search(least, bits - 1, nullptr);
}

SecretLimbs random_cofactor(const SecretLimbs& known, std::size_t known_bits, std::size_t bits) {
  SecretLimbs divisor(known.size() + 1);
  const Limb two = 2;
  multiply(divisor.data(), known.data(), known.size(), &two, 1);
  SecretLimbs least = least_cofactor(divisor, bits);
  least.resize(limbs_for_bits(bits - known_bits + 1));
  // The next number that is 3 mod 4; a carry is impossible where the lowest two bits only grow.
  least[0] |= 3;
  return search(least, bits - known_bits - 3, &known);
}

SecretLimbs twice_product_plus_one(const SecretLimbs& a, const SecretLimbs& b) {
  SecretLimbs product(a.size() + b.size());
  multiply(product.data(), a.data(), a.size(), b.data(), b.size());
  Limb carry = 1;  // of the shift: product <- 2 product + 1
  for (Limb& limb : product) {
    const Limb next = limb >> (kLimbBits - 1);
    limb = limb << 1 | carry;
    carry = next;
  }
  return trimmed(product);
}

}  // namespace cipherlane
