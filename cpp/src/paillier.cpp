#include "cipherlane/paillier.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <thread>

#include "cipherlane/parallel.hpp"
#include "cipherlane/random.hpp"
#include "secret_marks.hpp"

namespace cipherlane {
namespace {

constexpr std::size_t kGrainRandom = 256;

// How large a table may grow: CIPHERLANE_TABLE_MIB, else what the backend says.
std::size_t most_table_bytes(const WindowCosts& costs) {
  constexpr long kMost = 1l << 20;
  const char* text = std::getenv("CIPHERLANE_TABLE_MIB");
  if (text == nullptr || *text == '\0') return costs.most_bytes;
  char* end = nullptr;
  const long mebibytes = std::strtol(text, &end, 10);
  if (*end != '\0' || mebibytes < 1 || mebibytes > kMost)
    throw std::invalid_argument("CIPHERLANE_TABLE_MIB: expected a whole number of mebibytes from 1 to 1048576, got '" +
                                std::string(text) + "'");
  return static_cast<std::size_t>(mebibytes) << 20;
}

std::size_t windows_of(std::size_t exponent_bits, std::size_t window) { return (exponent_bits + window - 1) / window; }

// The widest window whose table is not too large.
std::size_t most_window(const WindowCosts& costs, std::size_t exponent_bits, std::size_t most_bytes) {
  std::size_t window = costs.fewest_bits;
  const auto bytes = [&](std::size_t w) { return (windows_of(exponent_bits, w) << w) * costs.entry_bytes; };
  while (window < costs.most_bits && bytes(window + 1) <= most_bytes) ++window;
  return window;
}

// The window for which the table and all powers so far take the fewest products.
std::size_t best_window(const WindowCosts& costs, std::size_t exponent_bits, std::size_t most, std::size_t powers) {
  std::size_t best = costs.fewest_bits;
  double best_cost = std::numeric_limits<double>::infinity();
  for (std::size_t window = costs.fewest_bits; window <= most; ++window) {
    const auto windows = static_cast<double>(windows_of(exponent_bits, window));
    const auto entries = static_cast<double>(std::size_t{1} << window);
    const double power = windows * (costs.step + entries * costs.look_up);
    const double cost = windows * entries * costs.entry + static_cast<double>(powers) * power;
    if (cost < best_cost) best_cost = cost, best = window;
  }
  return best;
}

template <class Vector>
Vector resized(Vector value, std::size_t limbs) {
  value.resize(limbs, 0);
  return value;
}

void check_below(const char* name, const Limb* values, std::size_t count, std::size_t limbs, const Limb* bound,
                 const char* bound_name) {
  for (std::size_t i = 0; i < count; ++i)
    if (declassified(mask_less(values + i * limbs, bound, limbs)) == 0)
      throw std::invalid_argument(std::string(name) + "[" + std::to_string(i) + "]: expected a number below " +
                                  bound_name);
}

void check_not_zero(const char* name, const Limb* values, std::size_t count, std::size_t limbs) {
  for (std::size_t i = 0; i < count; ++i)
    if (declassified(mask_zero(values + i * limbs, limbs)) != 0)
      throw std::invalid_argument(std::string(name) + "[" + std::to_string(i) + "]: expected a number above 0, got 0");
}

}  // namespace

GrowingTable::GrowingTable(const Ring& ring, SecretLimbs base, SecretLimbs inverse, std::size_t exponent_bits,
                           std::size_t fixed_window, Exponent kind)
    : ring_(ring),
      base_(std::move(base)),
      inverse_(std::move(inverse)),
      exponent_bits_(exponent_bits),
      costs_(ring.window_costs(kind)),
      fixed_window_(fixed_window),
      most_window_(most_window(costs_, exponent_bits, most_table_bytes(costs_))),
      kind_(kind) {}

std::shared_ptr<const FixedBaseTable> GrowingTable::table_for(std::size_t count) {
  std::size_t window = 0;
  for (bool counted = false;; counted = true) {
    {
      const ForkDelay delay;
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!counted) powers_ += count;
      window = fixed_window_ != 0 ? fixed_window_ : best_window(costs_, exponent_bits_, most_window_, powers_);
      // Growing by two bits or more keeps the sum of all tables built within a constant factor of the last one.
      if (table_ && table_->window_bits() + (window == most_window_ ? 1 : 2) > window) return table_;
      const bool another_makes_one = maker_ == fork_generation();
      if (another_makes_one && table_) return table_;
      if (!another_makes_one) {
        maker_ = fork_generation();
        break;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // Made without the lock: it takes long, and who makes it answers to interrupts and must not block a fork.
  std::shared_ptr<const FixedBaseTable> made;
  const auto finish = [&] {
    const ForkDelay delay;
    const std::lock_guard<std::mutex> lock(mutex_);
    maker_ = 0;
    if (made) table_ = made;
  };
  try {
    made = ring_.fixed_base_table(base_.data(), inverse_.data(), exponent_bits_, window, kind_);
  } catch (...) {
    finish();
    throw;
  }
  finish();
  return made;
}

ResiduesPtr GrowingTable::power(Numbers exponents, Numbers a, std::size_t count) {
  return ring_.fixed_base_power(*table_for(count), exponents, a, count);
}

std::size_t GrowingTable::window_bits() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return table_ ? table_->window_bits() : 0;
}

PublicContext::PublicContext(Limbs modulus, Limbs obfuscator_base, const std::string& backend, std::size_t window_bits,
                             std::size_t exponent_bits)
    : backend_(backend) {
  const std::size_t limbs = limbs_for_bits(bit_length(modulus.data(), modulus.size()));
  modulus_ = resized(std::move(modulus), limbs);
  ring_ = make_ring(backend, modulus_.data(), modulus_.size());
  square_.resize(2 * limbs);
  cipherlane::multiply(square_.data(), modulus_.data(), limbs, modulus_.data(), limbs);
  square_.resize(ring_->limbs());
  const std::size_t most_bits = (ring_->modulus_bits() + 1) / 2;
  if (exponent_bits > most_bits)
    throw std::invalid_argument("exponent_bits: expected at most " + std::to_string(most_bits) + ", got " +
                                std::to_string(exponent_bits));
  noise_exponent_bits_ = exponent_bits == 0 ? most_bits : exponent_bits;
  if (obfuscator_base.empty()) return;
  if (bit_length(obfuscator_base.data(), obfuscator_base.size()) > ring_->limbs() * kLimbBits)
    throw std::invalid_argument("obfuscator_base: expected a number below n^2");
  obfuscator_base_ = resized(std::move(obfuscator_base), ring_->limbs());
  check_below("obfuscator_base", obfuscator_base_.data(), 1, obfuscator_base_.size(), square_.data(), "n^2");
  check_not_zero("obfuscator_base", obfuscator_base_.data(), 1, obfuscator_base_.size());
  SecretLimbs inverse(ring_->limbs());
  ring_->download(*invert(*ring_, modulus_.data(), ring_->upload(obfuscator_base_.data(), 1)), inverse.data());
  table_ = std::make_unique<GrowingTable>(*ring_, SecretLimbs(obfuscator_base_.begin(), obfuscator_base_.end()),
                                          std::move(inverse), noise_exponent_bits(), window_bits, Exponent::kPublic);
}

void PublicContext::check_plaintexts(const char* name, Numbers plaintexts, std::size_t count) const {
  if (plaintexts.memory == Memory::kHost)
    check_below(name, plaintexts.values, count, plaintext_limbs(), modulus_.data(), "n");
}

ResiduesPtr PublicContext::upload(const Limb* ciphertexts, std::size_t count) const {
  check_below("ciphertexts", ciphertexts, count, ciphertext_limbs(), square_.data(), "n^2");
  check_not_zero("ciphertexts", ciphertexts, count, ciphertext_limbs());
  return ring_->upload(ciphertexts, count);
}

ResiduesPtr PublicContext::adopt(Numbers ciphertexts, std::size_t count) const {
  SecretLimbs one(ciphertext_limbs(), 0);
  one[0] = 1;
  const auto as_it_is = ring_->linear_form({{std::move(one), 2 * ring_->modulus_bits()}});
  return ring_->evaluate(*as_it_is, {ciphertexts}, count);
}

ResiduesPtr PublicContext::obfuscated(Numbers a, std::size_t count) {
  if (!table_) {
    const ResiduesPtr noise = classic_obfuscators(count);
    return a.values == nullptr ? noise : ring_->multiply_one_plus(*noise, a, count);
  }
  return table_->power(ring_->random_numbers(count, noise_exponent_bits())->view(), a, count);
}

ResiduesPtr PublicContext::classic_obfuscators(std::size_t count) const {
  const std::size_t limbs = ciphertext_limbs();
  SecretLimbs bases(count * limbs, 0);
  parallel_for(count, kGrainRandom, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      random_below(bases.data() + i * limbs, modulus_.data(), plaintext_limbs());
  });
  return ring_->power_shared(*ring_->upload(bases.data(), count), modulus_.data(), ring_->modulus_bits(),
                             Exponent::kPublic);
}

ResiduesPtr PublicContext::encrypt(Numbers plaintexts, std::size_t count) {
  check_plaintexts("plaintexts", plaintexts, count);
  return obfuscated(plaintexts, count);
}

ResiduesPtr PublicContext::encrypt_with_obfuscators(const Limb* plaintexts, const Limb* obfuscators,
                                                    std::size_t count) const {
  check_plaintexts("plaintexts", this->plaintexts(plaintexts), count);
  check_plaintexts("obfuscators", this->plaintexts(obfuscators), count);
  check_not_zero("obfuscators", obfuscators, count, plaintext_limbs());
  const std::size_t narrow = plaintext_limbs();
  const std::size_t limbs = ciphertext_limbs();
  SecretLimbs bases(count * limbs, 0);
  for (std::size_t i = 0; i < count; ++i) std::copy_n(obfuscators + i * narrow, narrow, bases.data() + i * limbs);
  const ResiduesPtr noise = ring_->power_shared(*ring_->upload(bases.data(), count), modulus_.data(),
                                                ring_->modulus_bits(), Exponent::kPublic);
  return ring_->multiply_one_plus(*noise, this->plaintexts(plaintexts), count);
}

ResiduesPtr PublicContext::encrypt_with_exponents(const Limb* plaintexts, const Limb* exponents, std::size_t count) {
  if (!table_) throw std::invalid_argument("exponents: expected a DJN key (one with h_s), got a classic key");
  check_plaintexts("plaintexts", this->plaintexts(plaintexts), count);
  const std::size_t limbs = limbs_for_bits(noise_exponent_bits());
  for (std::size_t i = 0; i < count; ++i)
    if (bit_length(exponents + i * limbs, limbs) > noise_exponent_bits())
      throw std::invalid_argument("exponents[" + std::to_string(i) + "]: expected a number below 2^" +
                                  std::to_string(noise_exponent_bits()));
  return table_->power({exponents, limbs}, this->plaintexts(plaintexts), count);
}

ResiduesPtr PublicContext::encrypt_without_obfuscator(const Limb* plaintexts, std::size_t count) const {
  check_plaintexts("plaintexts", this->plaintexts(plaintexts), count);
  Limbs one(ciphertext_limbs(), 0);
  one[0] = 1;
  return ring_->multiply_one_plus(*ring_->upload(one.data(), 1), this->plaintexts(plaintexts), count);
}

ResiduesPtr PublicContext::rerandomise(const Residues& x) {
  if (x.count() == 0) return ring_->take(x, nullptr, 0);
  return ring_->multiply(x, *obfuscated({}, x.count()));
}

ResiduesPtr PublicContext::subtract(const Residues& a, const ResiduesPtr& b) const {
  return ring_->multiply(a, *negate(b));
}

ResiduesPtr PublicContext::add_plaintexts(const Residues& a, Numbers plaintexts, std::size_t count) const {
  check_plaintexts("plaintexts", plaintexts, count);
  return ring_->multiply_one_plus(a, plaintexts, count);
}

ResiduesPtr PublicContext::multiply(const ResiduesPtr& a, Numbers factors, const bool* negative,
                                    std::size_t count) const {
  if (std::none_of(negative, negative + count, [](bool sign) { return sign; }))
    return ring_->power_each_vartime(*a, factors, count);
  // [a | those inverses that are needed], then each factor picks its base.
  std::vector<std::int64_t> wanted;
  std::vector<std::int64_t> source(count);
  const auto bases = static_cast<std::int64_t>(a->count());
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t from = bases == 1 ? 0 : static_cast<std::int64_t>(i);
    source[i] = from;
    if (!negative[i]) continue;
    if (bases != 1 || wanted.empty()) wanted.push_back(from);
    source[i] = bases + (bases == 1 ? 0 : static_cast<std::int64_t>(wanted.size()) - 1);
  }
  const ResiduesPtr inverse = negate(ring_->take(*a, wanted.data(), wanted.size()));
  const ResiduesPtr both = ring_->concatenate({a, inverse});
  return ring_->power_each_vartime(*ring_->take(*both, source.data(), count), factors, count);
}

ResiduesPtr PublicContext::segment_sum(const Residues& a, const std::int64_t* indices, const std::int64_t* offsets,
                                       std::size_t segments) const {
  return ring_->segment_product(a, indices, offsets, segments);
}

ResiduesPtr PublicContext::linear_combinations(const ResiduesPtr& a, std::size_t columns, Numbers weights,
                                               const bool* negative, std::size_t rows) const {
  const std::size_t inner = columns == 0 ? 0 : a->count() / columns;
  const bool any = std::any_of(negative, negative + rows * inner, [](bool sign) { return sign; });
  const ResiduesPtr inverse = any ? negate(a) : nullptr;
  return ring_->multi_power_vartime(*a, inverse.get(), columns, weights, negative, rows, inner);
}

std::int64_t PublicContext::first_not_invertible(const Residues& x) const {
  const std::size_t count = x.count();
  if (count == 0) return -1;
  const std::size_t limbs = plaintext_limbs();
  Limbs d0(limbs), d1(limbs), inverse(limbs);
  const auto coprime = [&](const Residues& one) {
    ring_->download_digits(one, d0.data(), d1.data());
    return invert_vartime(inverse.data(), d0.data(), modulus_.data(), limbs);
  };
  // One product and one gcd for all; halving finds the first offender.
  std::vector<std::int64_t> indices(count);
  for (std::size_t i = 0; i < count; ++i) indices[i] = static_cast<std::int64_t>(i);
  const auto range_coprime = [&](std::size_t begin, std::size_t end) {
    const std::int64_t offsets[] = {static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end)};
    return coprime(*ring_->segment_product(x, indices.data(), offsets, 1));
  };
  std::size_t begin = 0, end = count;
  if (range_coprime(begin, end)) return -1;
  while (end - begin > 1) {
    const std::size_t middle = begin + (end - begin) / 2;
    if (range_coprime(begin, middle))
      begin = middle;
    else
      end = middle;
  }
  return static_cast<std::int64_t>(begin);
}

// x^-1 = x^(p (p - 1) - 1) mod p^2, in constant time.
ResiduesPtr PrivateContext::inverse_in(const Half& half, const Residues& x) {
  const std::size_t limbs = half.prime.size();
  SecretLimbs exponent(2 * limbs), one(2 * limbs, 0);
  one[0] = 1;
  multiply(exponent.data(), half.prime.data(), limbs, half.prime_less_one.data(), limbs);
  cipherlane::subtract(exponent.data(), exponent.data(), one.data(), exponent.size());
  return half.ring->power_shared(x, exponent.data(), 2 * half.ring->modulus_bits(), Exponent::kSecret);
}

PrivateContext::Half PrivateContext::make_half(SecretLimbs prime, SecretLimbs generator, SecretLimbs order) const {
  Half half;
  const std::size_t limbs = limbs_for_bits(bit_length(prime.data(), prime.size()));
  half.prime = resized(std::move(prime), limbs);
  half.prime_less_one = half.prime;
  half.prime_less_one[0] &= ~Limb{1};
  half.ring = make_ring(public_->backend(), half.prime.data(), limbs);
  if (order.empty()) {
    half.exponent = half.prime_less_one;
    half.exponent_bits = half.ring->modulus_bits();
  } else {
    const Limb two = 2;
    half.exponent_bits = bit_length(order.data(), order.size()) + 1;
    half.exponent.resize(order.size() + 1);
    multiply(half.exponent.data(), order.data(), order.size(), &two, 1);
  }
  SecretLimbs one(half.ring->limbs(), 0);
  one[0] = 1;
  half.from_ciphertext = half.ring->linear_form({{one, 2 * public_->ring().modulus_bits()}});
  const auto table = [&](const ResiduesPtr& base, std::size_t exponent_bits) {
    SecretLimbs canonical(half.ring->limbs()), inverse(half.ring->limbs());
    half.ring->download(*base, canonical.data());
    half.ring->download(*inverse_in(half, *base), inverse.data());
    return std::make_unique<GrowingTable>(*half.ring, std::move(canonical), std::move(inverse), exponent_bits, 0,
                                          Exponent::kSecret);
  };
  const std::size_t width = public_->ciphertext_limbs();
  if (public_->has_obfuscator_base())
    half.djn = table(half.ring->evaluate(*half.from_ciphertext, {{public_->obfuscator_base().data(), width}}, 1),
                     public_->noise_exponent_bits());
  if (!generator.empty()) {
    generator = resized(std::move(generator), half.ring->limbs());
    const ResiduesPtr lifted = half.ring->power_shared(*half.ring->upload(generator.data(), 1), half.prime.data(),
                                                       half.ring->modulus_bits(), Exponent::kSecret);
    half.exact = table(lifted, half.ring->modulus_bits());
  }
  return half;
}

PrivateContext::PrivateContext(std::shared_ptr<PublicContext> public_context, SecretLimbs p, SecretLimbs q,
                               SecretLimbs generator_p, SecretLimbs generator_q, SecretLimbs order_p,
                               SecretLimbs order_q)
    : public_(std::move(public_context)),
      p_(make_half(std::move(p), std::move(generator_p), std::move(order_p))),
      q_(make_half(std::move(q), std::move(generator_q), std::move(order_q))) {
  const std::size_t square_limbs = public_->ciphertext_limbs();
  SecretLimbs product(p_.prime.size() + q_.prime.size());
  multiply(product.data(), p_.prime.data(), p_.prime.size(), q_.prime.data(), q_.prime.size());
  declassify(product.data(), product.size() * sizeof(Limb));
  if (!std::equal(public_->modulus().begin(), public_->modulus().end(), product.begin()))
    throw std::invalid_argument("p, q: expected primes whose product is the modulus n");

  // With u = (q^2)^-1 mod p^2:  E_p = q^2 u is 1 mod p^2 and 0 mod q^2.  With v = (e q^2)^-1 mod p:  H_p = q v is
  // (e q)^-1 mod p and 0 mod q, and L(c^e mod p^2) (e q)^-1 = m mod p, for (1 + m n)^e = 1 + e m q p mod p^2.
  const auto constants = [&](const Half& half, const Half& other) {
    const std::size_t prime_limbs = half.prime.size();
    SecretLimbs other_square(2 * other.prime.size());
    multiply(other_square.data(), other.prime.data(), other.prime.size(), other.prime.data(), other.prime.size());
    const SecretLimbs wide = resized(other_square, square_limbs);
    const ResiduesPtr square = half.ring->evaluate(*half.from_ciphertext, {{wide.data(), square_limbs}}, 1);
    const ResiduesPtr exponent = half.ring->upload(resized(half.exponent, half.ring->limbs()).data(), 1);
    const ResiduesPtr inverse = inverse_in(half, *half.ring->multiply(*square, *exponent));
    SecretLimbs u(half.ring->limbs()), v(prime_limbs), ignored(prime_limbs);
    half.ring->download(*half.ring->multiply(*inverse, *exponent), u.data());
    half.ring->download_digits(*inverse, v.data(), ignored.data());
    SecretLimbs ciphertext_part(other_square.size() + u.size()), plaintext_part(other.prime.size() + prime_limbs);
    multiply(ciphertext_part.data(), other_square.data(), other_square.size(), u.data(), u.size());
    multiply(plaintext_part.data(), other.prime.data(), other.prime.size(), v.data(), prime_limbs);
    return std::pair<Term, Term>{{resized(std::move(ciphertext_part), square_limbs), 2 * half.ring->modulus_bits()},
                                 {resized(std::move(plaintext_part), square_limbs), half.ring->modulus_bits()}};
  };
  const auto [ciphertext_p, plaintext_p] = constants(p_, q_);
  const auto [ciphertext_q, plaintext_q] = constants(q_, p_);
  join_ciphertext_ = public_->ring().linear_form({ciphertext_p, ciphertext_q});
  join_plaintext_ = public_->ring().linear_form({plaintext_p, plaintext_q});
}

PlainPtr PrivateContext::decrypt(const Residues& ciphertexts) const {
  const std::size_t count = ciphertexts.count();
  const PlainPtr canonical = public_->ring().values(ciphertexts);
  SecretLimbs strange(count, 0);  // not zero where the obfuscator did not vanish
  const auto logarithms = [&](const Half& half) {
    // u = c^e mod p^2 = 1 + L(u) p: in base p, L(u) is the second digit, and the first is 1.
    const std::size_t limbs = half.ring->digit_limbs();
    const ResiduesPtr c = half.ring->evaluate(*half.from_ciphertext, {canonical->view()}, count);
    const ResiduesPtr u = half.ring->power_shared(*c, half.exponent.data(), half.exponent_bits, Exponent::kSecret);
    const auto [ones, logarithm] = half.ring->digits(*u);
    SecretLimbs first(count * limbs);
    ones->read(first.data());
    for (std::size_t i = 0; i < count; ++i) {
      first[i * limbs] ^= 1;
      strange[i] |= ~mask_zero(first.data() + i * limbs, limbs);
    }
    return logarithm;
  };
  const PlainPtr l_p = logarithms(p_);
  const PlainPtr l_q = logarithms(q_);
  declassify(strange.data(), count * sizeof(Limb));
  const auto offender = std::find_if(strange.begin(), strange.end(), [](Limb mask) { return mask != 0; });
  if (offender != strange.end())
    throw std::domain_error("ciphertexts[" + std::to_string(offender - strange.begin()) +
                            "]: expected an obfuscator that vanishes under this key, got another; a key of scheme "
                            "'short' decrypts only what "
                            "was encrypted with its own h_s");
  const ResiduesPtr joined = public_->ring().evaluate(*join_plaintext_, {l_p->view(), l_q->view()}, count);
  return public_->ring().digits(*joined).first;
}

PlainPtr PrivateContext::half_noise(Half& half, Numbers shared_exponents, std::size_t count, Noise noise) const {
  const std::size_t limbs = half.ring->digit_limbs();
  const auto draw = [&](Limb* out, std::size_t width) {  // uniform in [1, p), each at a stride of `width`
    parallel_for(count, kGrainRandom, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) random_below(out + i * width, half.prime.data(), limbs);
    });
  };
  ResiduesPtr powers;
  if (noise == Noise::kDjn) {
    powers = half.djn->power(shared_exponents, {}, count);
  } else if (noise == Noise::kExact) {
    SecretLimbs exponents(count * limbs);
    draw(exponents.data(), limbs);
    powers = half.exact->power({exponents.data(), limbs}, {}, count);
  } else {
    // r -> r^q permutes Z_p*, so r^n = (r^q)^p mod p^2 is distributed like s^p for uniform s in Z_p*.
    SecretLimbs bases(count * half.ring->limbs(), 0);
    draw(bases.data(), half.ring->limbs());
    powers = half.ring->power_shared(*half.ring->upload(bases.data(), count), half.prime.data(),
                                     half.ring->modulus_bits(), Exponent::kSecret);
  }
  return half.ring->values(*powers);
}

ResiduesPtr PrivateContext::obfuscators(std::size_t count, Noise noise) {
  if (noise == Noise::kDjn && !p_.djn)
    throw std::invalid_argument("noise: 'djn' needs a key with h_s; this key has none");
  if (noise == Noise::kExact && (!p_.exact || !q_.exact))
    throw std::invalid_argument("noise: 'exact' needs generators of Z_p* and Z_q*; this key has none");
  PlainPtr exponents;
  if (noise == Noise::kDjn) exponents = public_->ring().random_numbers(count, public_->noise_exponent_bits());
  const Numbers shared = exponents ? exponents->view() : Numbers{};
  const PlainPtr u_p = half_noise(p_, shared, count, noise);
  const PlainPtr u_q = half_noise(q_, shared, count, noise);
  return public_->ring().evaluate(*join_ciphertext_, {u_p->view(), u_q->view()}, count);
}

std::size_t PrivateContext::window_bits(Noise noise) const {
  const auto& table = noise == Noise::kDjn ? p_.djn : p_.exact;
  return noise == Noise::kClassic || !table ? 0 : table->window_bits();
}

ResiduesPtr PrivateContext::encrypt(Numbers plaintexts, std::size_t count, Noise noise) {
  public_->check_plaintexts("plaintexts", plaintexts, count);
  return public_->ring().multiply_one_plus(*obfuscators(count, noise), plaintexts, count);
}

ResiduesPtr PrivateContext::rerandomise(const Residues& x, Noise noise) {
  if (x.count() == 0) return public_->ring().take(x, nullptr, 0);
  return public_->ring().multiply(x, *obfuscators(x.count(), noise));
}

}  // namespace cipherlane
