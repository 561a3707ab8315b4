// Runs what handles secrets, with every secret marked, so that valgrind's memcheck reports each branch and address that
// depends on one. See cpp/src/secret_marks.hpp. A key comes on standard input; the argument says what is run:
//   private              key set-up, encryption with each noise, re-randomisation and decryption
//   primes               the search for a prime p = 2 s t + 1; needs no key
//   leak-address,
//   leak-branch          the public exponentiations on secret exponents, which memcheck must report
#include <algorithm>
#include <iostream>
#include <string>

#include "../src/prime_search.hpp"
#include "../src/secret_marks.hpp"
#include "cipherlane/parallel.hpp"
#include "hexadecimal.hpp"

#ifndef CIPHERLANE_MARK_SECRETS
#error "build with -DCIPHERLANE_MARK_SECRETS=ON"
#endif

using namespace cipherlane;
using tests::Key;

namespace {

constexpr std::size_t kCount = 3;

template <class Vector>
void classify_all(Vector& numbers) {
  classify(numbers.data(), numbers.size() * sizeof(Limb));
}

template <class Vector>
void declassify_all(Vector& numbers) {
  declassify(numbers.data(), numbers.size() * sizeof(Limb));
}

// Secret but for its length and its lowest bit, which are public of every prime.
SecretLimbs secret_prime(SecretLimbs prime) {
  if (prime.empty()) return prime;
  const Limb top = Limb{1} << (bit_length(prime.data(), prime.size()) - 1) % kLimbBits;
  classify_all(prime);
  prime.back() |= top;  // or with a known one is known, in memcheck too
  prime.front() |= 1;
  return prime;
}

SecretLimbs secret(SecretLimbs number) {
  classify_all(number);
  return number;
}

bool run_private(const Key& key) {
  const auto context = key.public_context("portable");
  PrivateContext holder(context, secret_prime(key.p), secret_prime(key.q), secret(key.generator_p),
                        secret(key.generator_q), secret_prime(key.order_p), secret_prime(key.order_q));
  const Limbs expected = tests::plaintexts_for(*context, kCount, 1);
  Limbs plaintexts = expected;
  classify_all(plaintexts);
  bool correct = true;
  const auto check = [&](const Residues& x) {
    // A ciphertext is public once it is made.
    Limbs ciphertexts(kCount * context->ciphertext_limbs());
    context->download(x, ciphertexts.data());
    declassify_all(ciphertexts);
    SecretLimbs decrypted(kCount * context->plaintext_limbs());
    holder.decrypt(*context->upload(ciphertexts.data(), kCount))->read(decrypted.data());
    declassify_all(decrypted);
    correct = correct && std::equal(decrypted.begin(), decrypted.end(), expected.begin());
  };
  for (const Noise noise : tests::noises_of(key)) {
    const ResiduesPtr x = holder.encrypt(context->plaintexts(plaintexts.data()), kCount, noise);
    check(*x);
    check(*holder.rerandomise(*x, noise));
  }
  return correct;
}

// All draws are secret, for the generator's key is; the verdict on each is not.
bool run_primes() {
  const SecretLimbs s = random_prime(256), t = random_cofactor(s, 256, 528);
  SecretLimbs p = twice_product_plus_one(s, t);
  return is_probable_prime(p) && bit_length(p.data(), p.size()) == 528;
}

bool run_leak(const Key& key, bool branch) {
  const auto context = key.public_context("portable");
  const Ring& ring = context->ring();
  SecretLimbs exponent = secret(key.p);
  const std::size_t bits = exponent.size() * kLimbBits;
  Limbs base = key.obfuscator_base;
  base.resize(ring.limbs(), 0);
  if (branch) {
    return ring.power_shared(*ring.upload(base.data(), 1), exponent.data(), bits, Exponent::kPublic) != nullptr;
  }
  // The inverse is only read, never checked.
  const auto table = ring.fixed_base_table(base.data(), base.data(), bits, 4, Exponent::kPublic);
  return ring.fixed_base_power(*table, {exponent.data(), exponent.size()}, {}, 1) != nullptr;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string mode = count == 2 ? arguments[1] : "";
  set_thread_count(1);
  if (mode == "primes") return run_primes() ? 0 : 1;
  Key key;
  if (!tests::read_key(std::cin, key)) {
    std::cerr << "expected a key on standard input\n";
    return 2;
  }
  if (mode != "private" && mode != "leak-address" && mode != "leak-branch") {
    std::cerr << "usage: constant_time primes|private|leak-address|leak-branch < key\n";
    return 2;
  }
  const bool correct = mode == "private" ? run_private(key) : run_leak(key, mode == "leak-branch");
  if (!correct) std::cerr << "a decrypted plaintext is not the one encrypted\n";
  return correct ? 0 : 1;
}
