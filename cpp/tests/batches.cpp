// Every batch operation on every usable backend, for the sanitizers: sums and products are checked by decrypting them.
// Keys come on standard input; the exit status is 0 only if all checks hold.
#include <algorithm>
#include <iostream>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cipherlane/codec.hpp"
#include "cipherlane/parallel.hpp"
#include "cipherlane/random.hpp"
#include "hexadecimal.hpp"

using namespace cipherlane;
using tests::Key;

namespace {

using Values = std::vector<std::int64_t>;
constexpr Packing kIntegers{0, 1, 0};

// Small numbers of both signs, among them 0 and both ends of what segment sums of this test can hold.
Values values_for(std::size_t count, std::int64_t seed) {
  Values values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = (seed * 7919 + static_cast<std::int64_t>(i) * 104729) % 20011 - 10005;
  values[0] = seed % 2 == 0 ? 0 : -(std::int64_t{1} << 40);
  return values;
}

class Session {
 public:
  Session(const Key& key, const std::string& backend)
      : name_(backend + ", " + std::to_string(bit_length(key.modulus.data(), key.modulus.size())) + " bits"),
        context_(key.public_context(backend)),
        noises_(tests::noises_of(key)),
        holder_(context_, key.p, key.q, key.generator_p, key.generator_q, key.order_p, key.order_q) {}

  void run(std::size_t count) {
    const Values a = values_for(count, 1), b = values_for(count, 2);
    const ResiduesPtr x = encrypt(a), y = encrypt(b);
    expect("encrypt", *x, a);
    expect_elementwise("add", *context_->add(*x, *y), a, b, [](auto s, auto t) { return s + t; });
    expect_elementwise("subtract", *context_->subtract(*x, y), a, b, [](auto s, auto t) { return s - t; });
    expect_elementwise("negate", *context_->negate(x), a, b, [](auto s, auto) { return -s; });
    expect_elementwise("add plaintexts", *context_->add_plaintexts(*x, context_->plaintexts(encoded(b).data()), count),
                       a, b, [](auto s, auto t) { return s + t; });
    expect("rerandomise", *context_->rerandomise(*x), a);
    for (const Noise noise : noises_) {
      expect("encrypt by the holder", *holder_.encrypt(context_->plaintexts(encoded(b).data()), count, noise), b);
      expect("rerandomise by the holder", *holder_.rerandomise(*x, noise), a);
    }
    expect("encrypt without obfuscator", *context_->encrypt_without_obfuscator(encoded(a).data(), count), a);
    check_given_noise(a);
    check_products(x, a, b);
    check_segments(*x, a);
    check_combinations(x, a);
    check_rearrangement(x, y, a, b);
    check_wire(*x, a);
    check_hard_plaintexts(count);
  }

  // Many threads share one context, whose table grows meanwhile.
  void run_concurrently(std::size_t threads, std::size_t count) {
    std::vector<std::string> failures(threads);
    std::vector<Limbs> ciphertexts(threads);
    const auto work = [&](std::size_t t) {
      try {
        const Values values = values_for(count, static_cast<std::int64_t>(t));
        const ResiduesPtr x = t % 2 == 0
                                  ? encrypt(values)
                                  : holder_.encrypt(context_->plaintexts(encoded(values).data()), count, Noise::kDjn);
        ciphertexts[t].resize(count * context_->ciphertext_limbs());
        context_->download(*x, ciphertexts[t].data());
        expect("encrypt in many threads", *x, values);
      } catch (const std::exception& error) {
        failures[t] = error.what();
      }
    };
    std::vector<std::thread> running;
    for (std::size_t t = 0; t < threads; ++t) running.emplace_back(work, t);
    for (auto& thread : running) thread.join();
    std::set<Limbs> seen;
    for (std::size_t t = 0; t < threads; ++t) {
      if (!failures[t].empty()) throw std::runtime_error(failures[t]);
      const std::size_t limbs = context_->ciphertext_limbs();
      for (std::size_t i = 0; i < count; ++i)
        seen.emplace(ciphertexts[t].data() + i * limbs, ciphertexts[t].data() + (i + 1) * limbs);
    }
    if (seen.size() != threads * count) fail("encrypt in many threads: a ciphertext came twice");
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw std::runtime_error(name_ + ": " + what); }

  Limbs encoded(const Values& values) const {
    Limbs plaintexts(values.size() * context_->plaintext_limbs());
    encode(plaintexts.data(), values.data(), values.size(), kIntegers, context_->modulus().data(),
           context_->plaintext_limbs());
    return plaintexts;
  }

  SecretLimbs decrypted(const Residues& x) const {
    SecretLimbs plaintexts(x.count() * context_->plaintext_limbs());
    holder_.decrypt(x)->read(plaintexts.data());
    return plaintexts;
  }
  ResiduesPtr encrypt(const Values& values) const {
    return context_->encrypt(context_->plaintexts(encoded(values).data()), values.size());
  }

  void expect(const std::string& what, const Residues& x, const Values& expected) const {
    const SecretLimbs plaintexts = decrypted(x);
    Values values(x.count());
    decode(values.data(), plaintexts.data(), values.size(), kIntegers, context_->modulus().data(),
           context_->plaintext_limbs());
    if (values != expected) fail(what + " of " + std::to_string(expected.size()) + " is wrong");
  }

  template <class Function>
  void expect_elementwise(const std::string& what, const Residues& x, const Values& a, const Values& b,
                          Function&& function) const {
    Values expected(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) expected[i] = function(a[i], b[i]);
    expect(what, x, expected);
  }

  void check_given_noise(const Values& a) {
    const std::size_t count = a.size(), limbs = context_->plaintext_limbs();
    if (noises_.size() > 1) {  // a short key cannot decrypt them
      Limbs noise(count * limbs, 0);
      for (std::size_t i = 0; i < count; ++i) random_below(noise.data() + i * limbs, context_->modulus().data(), limbs);
      expect("encrypt with obfuscators", *context_->encrypt_with_obfuscators(encoded(a).data(), noise.data(), count),
             a);
    }
    const std::size_t bits = context_->noise_exponent_bits();
    Limbs exponents(count * limbs_for_bits(bits));
    random_bits(exponents.data(), count, bits, limbs_for_bits(bits));
    expect("encrypt with exponents", *context_->encrypt_with_exponents(encoded(a).data(), exponents.data(), count), a);
  }

  void check_products(const ResiduesPtr& x, const Values& a, const Values& b) const {
    const std::size_t count = a.size();
    Limbs magnitudes(count);
    const std::unique_ptr<bool[]> negative(new bool[count]);
    for (std::size_t i = 0; i < count; ++i) {
      magnitudes[i] = static_cast<Limb>(std::abs(b[i]));
      negative[i] = b[i] < 0;
    }
    expect_elementwise("multiply", *context_->multiply(x, {magnitudes.data(), 1}, negative.get(), count), a, b,
                       [](auto s, auto t) { return s * t; });
  }

  void check_segments(const Residues& x, const Values& a) const {
    // Segments of length 0, 1, 2, ... and the rest; every index once, backwards.
    const auto count = static_cast<std::int64_t>(a.size());
    std::vector<std::int64_t> indices(a.size()), offsets{0};
    for (std::int64_t i = 0; i < count; ++i) indices[static_cast<std::size_t>(i)] = count - 1 - i;
    for (std::int64_t length = 0; offsets.back() < count; ++length)
      offsets.push_back(length == 4 ? count : std::min(count, offsets.back() + length));
    Values expected;
    for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
      std::int64_t sum = 0;
      for (std::int64_t i = offsets[s]; i < offsets[s + 1]; ++i)
        sum += a[static_cast<std::size_t>(indices[static_cast<std::size_t>(i)])];
      expected.push_back(sum);
    }
    expect("segment sum", *context_->segment_sum(x, indices.data(), offsets.data(), expected.size()), expected);
  }

  void check_combinations(const ResiduesPtr& x, const Values& a) const {
    constexpr std::size_t kRows = 3;
    const std::size_t inner = a.size();
    Limbs weights(kRows * inner);
    const std::unique_ptr<bool[]> negative(new bool[kRows * inner]);
    Values expected(kRows, 0);
    for (std::size_t row = 0; row < kRows; ++row)
      for (std::size_t j = 0; j < inner; ++j) {
        const auto weight = static_cast<std::int64_t>((row * 131 + j * 17) % 301) - (row == 0 ? 0 : 150);
        weights[row * inner + j] = static_cast<Limb>(std::abs(weight));
        negative[row * inner + j] = weight < 0;
        expected[row] += weight * a[j];
      }
    expect("linear combinations", *context_->linear_combinations(x, 1, {weights.data(), 1}, negative.get(), kRows),
           expected);
  }

  void check_rearrangement(const ResiduesPtr& x, const ResiduesPtr& y, const Values& a, const Values& b) const {
    const ResiduesPtr both = context_->ring().concatenate({x, y});
    Values joined = a;
    joined.insert(joined.end(), b.begin(), b.end());
    expect("concatenate", *both, joined);
    std::vector<std::int64_t> order(joined.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>((i * 5 + 1) % order.size());
    Values taken;
    for (const std::int64_t i : order) taken.push_back(joined[static_cast<std::size_t>(i)]);
    expect("take", *context_->ring().take(*both, order.data(), order.size()), taken);
  }

  void check_wire(const Residues& x, const Values& a) const {
    Limbs wire(x.count() * context_->ciphertext_limbs());
    context_->download(x, wire.data());
    expect("upload", *context_->upload(wire.data(), x.count()), a);
    if (context_->first_not_invertible(x) != -1) fail("a ciphertext is said not to be invertible");
    std::fill_n(wire.end() - static_cast<std::ptrdiff_t>(context_->ciphertext_limbs()), context_->ciphertext_limbs(),
                0);
    std::copy(context_->modulus().begin(), context_->modulus().end(),
              wire.end() - static_cast<std::ptrdiff_t>(context_->ciphertext_limbs()));
    if (context_->first_not_invertible(*context_->upload(wire.data(), x.count())) !=
        static_cast<std::int64_t>(x.count()) - 1)
      fail("a multiple of n is said to be invertible");
  }

  // n - 1, n - 2, 0, 1 and runs of ones and zeros
  void check_hard_plaintexts(std::size_t count) {
    const std::size_t limbs = context_->plaintext_limbs();
    Limbs plaintexts(count * limbs, 0);
    for (std::size_t i = 0; i < count; ++i) {
      Limb* m = plaintexts.data() + i * limbs;
      if (i % 4 < 2) std::copy_n(context_->modulus().data(), limbs, m), m[0] -= 1 + i % 2;
      if (i % 4 == 2) m[0] = i / 4 % 2;
      if (i % 4 == 3) std::fill_n(m, limbs - 1, ~Limb{0} << i % 64);
    }
    for (const ResiduesPtr& x : {context_->encrypt(context_->plaintexts(plaintexts.data()), count),
                                 holder_.encrypt(context_->plaintexts(plaintexts.data()), count, Noise::kDjn)}) {
      const SecretLimbs decrypted = this->decrypted(*x);
      if (!std::equal(decrypted.begin(), decrypted.end(), plaintexts.begin()))
        fail("a hard plaintext comes back changed");
    }
  }

  std::string name_;
  std::shared_ptr<PublicContext> context_;
  std::vector<Noise> noises_;
  PrivateContext holder_;
};

}  // namespace

int main() {
  try {
    set_interrupt_check([] {});
    std::size_t keys = 0;
    for (Key key; tests::read_key(std::cin, key); ++keys) {
      for (const std::string& backend : usable_backends()) {
        for (const std::size_t threads : {1, 3}) {
          set_thread_count(threads);
          Session session(key, backend);
          for (const std::size_t count : {1, 8, 19}) session.run(count);
          session.run_concurrently(8, 11);
        }
      }
    }
    if (keys == 0) throw std::runtime_error("expected keys on standard input");
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
