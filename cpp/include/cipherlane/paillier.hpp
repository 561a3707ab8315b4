// Batches of Paillier ciphertexts under one key.
//
//   Enc(m) = (1 + m n) rho mod n^2, where the obfuscator rho is an n-th residue:
//     classic  rho = r^n, r uniform in Z_n*                                     Paillier, EUROCRYPT 1999
//     DJN      rho = h_s^a, a uniform in [0, 2^ceil(|n|/2))                     Damgard, Jurik, Nielsen, IJIS 9
//     (2010), 4.2
//     short    rho = h_s^a, a of a few hundred bits, where h_s has order 2 s mod p^2 for a prime s of that size
//     (docs/keys.md)
//   Dec(c)  = L(c^e mod p^2) (e q)^-1 mod p, L(u) = (u - 1)/p; mod q alike; joined by the Chinese remainder theorem;
//             e = p - 1, or 2 s for a short key
//
// Plaintexts are canonical, (count, plaintext_limbs), below n; ciphertexts (count, ciphertext_limbs), below n^2.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "cipherlane/ring.hpp"

namespace cipherlane {

// Where the key's holder takes obfuscators from. kExact: G^x mod p^2 for G = g^p, g a generator of Z_p*, x uniform in
// [1, p-1]: the very distribution of classic r^n, at the price of a table look-up a window.
enum class Noise { kDjn, kClassic, kExact };

// A table for one base that grows with the demand for it: the window is the one that minimises the products spent on
// the table and on all powers so far.
class GrowingTable {
 public:
  GrowingTable(const Ring& ring, SecretLimbs base, SecretLimbs inverse, std::size_t exponent_bits,
               std::size_t fixed_window, Exponent kind);
  // (1 + a_i m) base^(exponent_i); a may be none.
  ResiduesPtr power(Numbers exponents, Numbers a, std::size_t count);
  // Of the table there is now; 0 before the first power.
  std::size_t window_bits();

 private:
  std::shared_ptr<const FixedBaseTable> table_for(std::size_t count);

  const Ring& ring_;
  const SecretLimbs base_, inverse_;
  const std::size_t exponent_bits_;
  const WindowCosts costs_;
  const std::size_t fixed_window_, most_window_;
  const Exponent kind_;
  std::mutex mutex_;
  std::size_t powers_ = 0;
  std::shared_ptr<const FixedBaseTable> table_;
  std::uint64_t maker_ = 0;  // fork_generation() of the process in which a thread is making a table, or 0
};

class PublicContext {
 public:
  // obfuscator_base: h_s below n^2, or empty for a classic key. window_bits 0: chosen by demand. exponent_bits: of the
  // powers of h_s; 0 for DJN's, half the length of n. What is too short to be safe, the caller must know.
  PublicContext(Limbs modulus, Limbs obfuscator_base, const std::string& backend, std::size_t window_bits = 0,
                std::size_t exponent_bits = 0);

  const std::string& backend() const { return backend_; }
  const Limbs& modulus() const { return modulus_; }
  const Limbs& square() const { return square_; }
  const Ring& ring() const { return *ring_; }
  bool has_obfuscator_base() const { return table_ != nullptr; }
  const Limbs& obfuscator_base() const { return obfuscator_base_; }
  std::size_t plaintext_limbs() const { return ring_->digit_limbs(); }
  std::size_t ciphertext_limbs() const { return ring_->limbs(); }
  std::size_t noise_exponent_bits() const { return noise_exponent_bits_; }
  // Of the table of h_s now: 0 before the first encryption, and for a classic key.
  std::size_t window_bits() const { return table_ ? table_->window_bits() : 0; }

  ResiduesPtr upload(const Limb* ciphertexts, std::size_t count) const;
  // Of ciphertexts in the backend's memory, which the caller has checked to be below n^2.
  ResiduesPtr adopt(Numbers ciphertexts, std::size_t count) const;
  void download(const Residues& x, Limb* ciphertexts) const { ring_->download(x, ciphertexts); }

  // Plaintexts on the host are checked; those in the backend's memory come from its own encoder.
  ResiduesPtr encrypt(Numbers plaintexts, std::size_t count);
  ResiduesPtr encrypt_with_obfuscators(const Limb* plaintexts, const Limb* obfuscators, std::size_t count) const;
  ResiduesPtr encrypt_with_exponents(const Limb* plaintexts, const Limb* exponents, std::size_t count);
  ResiduesPtr encrypt_without_obfuscator(const Limb* plaintexts, std::size_t count) const;
  ResiduesPtr rerandomise(const Residues& x);

  ResiduesPtr add(const Residues& a, const Residues& b) const { return ring_->multiply(a, b); }
  ResiduesPtr subtract(const Residues& a, const ResiduesPtr& b) const;
  ResiduesPtr negate(const ResiduesPtr& a) const { return invert(*ring_, modulus_.data(), a); }
  ResiduesPtr add_plaintexts(const Residues& a, Numbers plaintexts, std::size_t count) const;
  ResiduesPtr multiply(const ResiduesPtr& a, Numbers factors, const bool* negative, std::size_t count) const;
  ResiduesPtr segment_sum(const Residues& a, const std::int64_t* indices, const std::int64_t* offsets,
                          std::size_t segments) const;
  // out[i, c] = sum_j (+-weights[i, j]) a[j, c]
  ResiduesPtr linear_combinations(const ResiduesPtr& a, std::size_t columns, Numbers weights, const bool* negative,
                                  std::size_t rows) const;

  // -1, or the index of the first ciphertext that shares a factor with n.
  std::int64_t first_not_invertible(const Residues& x) const;

  void check_plaintexts(const char* name, Numbers plaintexts, std::size_t count) const;
  Numbers plaintexts(const Limb* values) const { return {values, plaintext_limbs()}; }

 private:
  // (1 + a_i n) rho_i for fresh obfuscators rho; a may be none.
  ResiduesPtr obfuscated(Numbers a, std::size_t count);
  ResiduesPtr classic_obfuscators(std::size_t count) const;

  std::string backend_;
  Limbs modulus_, square_, obfuscator_base_;
  std::unique_ptr<Ring> ring_;
  std::size_t noise_exponent_bits_ = 0;
  std::unique_ptr<GrowingTable> table_;
};

class PrivateContext {
 public:
  // generators: of Z_p* and Z_q*, or both empty. orders: for a short key the s_p and s_q for which h_s^(2 s_p) = 1 mod
  // p^2 and h_s^(2 s_q) = 1 mod q^2, else both empty; their lengths are public. p, q: odd primes. The caller has
  // checked all that.
  PrivateContext(std::shared_ptr<PublicContext> public_context, SecretLimbs p, SecretLimbs q, SecretLimbs generator_p,
                 SecretLimbs generator_q, SecretLimbs order_p = {}, SecretLimbs order_q = {});

  // Throws std::domain_error when the key is short and some ciphertext's obfuscator is no power of h_s.
  PlainPtr decrypt(const Residues& ciphertexts) const;
  ResiduesPtr encrypt(Numbers plaintexts, std::size_t count, Noise noise);
  ResiduesPtr rerandomise(const Residues& x, Noise noise);
  // Of the noise's tables now: 0 before the first use, and where there is none.
  std::size_t window_bits(Noise noise) const;

 private:
  // One of the two primes and what is needed of it.
  struct Half {
    SecretLimbs prime, prime_less_one;
    SecretLimbs exponent;  // e of decryption, and its public length
    std::size_t exponent_bits;
    std::unique_ptr<Ring> ring;
    std::shared_ptr<const LinearForm> from_ciphertext;  // c mod n^2 -> c mod p^2
    std::unique_ptr<GrowingTable> djn, exact;
  };

  static ResiduesPtr inverse_in(const Half& half, const Residues& x);
  Half make_half(SecretLimbs prime, SecretLimbs generator, SecretLimbs order) const;
  ResiduesPtr obfuscators(std::size_t count, Noise noise);
  PlainPtr half_noise(Half& half, Numbers shared_exponents, std::size_t count, Noise noise) const;

  std::shared_ptr<PublicContext> public_;
  Half p_, q_;
  std::shared_ptr<const LinearForm> join_plaintext_;   // L_p, L_q -> m, as (1 + m n)'s digit
  std::shared_ptr<const LinearForm> join_ciphertext_;  // u_p, u_q -> u mod n^2
};

}  // namespace cipherlane
