// Numbers in hexadecimal, and keys made of them, as the tests in Python hand them over.
#pragma once

#include <istream>
#include <memory>
#include <stdexcept>
#include <string>

#include "cipherlane/paillier.hpp"

namespace cipherlane::tests {

inline Limbs limbs_from_hex(const std::string& text) {
  Limbs limbs((text.size() + 15) / 16, 0);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[text.size() - 1 - i];
    const Limb nibble = static_cast<Limb>(c <= '9' ? c - '0' : c - 'a' + 10);
    limbs[i / 16] |= nibble << 4 * (i % 16);
  }
  return limbs;
}

struct Key {
  Limbs modulus, obfuscator_base;
  SecretLimbs p, q, generator_p, generator_q, order_p, order_q;

  std::shared_ptr<PublicContext> public_context(const std::string& backend) const {
    // A short key's exponents are twice as long as its orders.
    const std::size_t exponent_bits = 2 * bit_length(order_p.data(), order_p.size());
    return std::make_shared<PublicContext>(modulus, obfuscator_base, backend, 0, exponent_bits);
  }
};

// Reads "n h_s p q g_p g_q s_p s_q", 0 for what a key has not; false at the end of the input.
inline bool read_key(std::istream& in, Key& key) {
  std::string fields[8];
  for (auto& field : fields)
    if (!(in >> field)) {
      if (&field == fields) return false;
      throw std::invalid_argument("key: expected n, h_s, p, q, g_p, g_q, s_p and s_q in hexadecimal");
    }
  key.modulus = limbs_from_hex(fields[0]);
  key.obfuscator_base = limbs_from_hex(fields[1]);
  SecretLimbs* const secrets[] = {&key.p, &key.q, &key.generator_p, &key.generator_q, &key.order_p, &key.order_q};
  for (int i = 0; i < 6; ++i) {
    const Limbs limbs = fields[2 + i] == "0" ? Limbs() : limbs_from_hex(fields[2 + i]);
    secrets[i]->assign(limbs.begin(), limbs.end());
  }
  return true;
}

inline std::vector<Noise> noises_of(const Key& key) {
  if (!key.order_p.empty()) return {Noise::kDjn};
  return {Noise::kDjn, Noise::kClassic, Noise::kExact};
}

// Plaintexts below n, all different, that depend on the seed.
inline Limbs plaintexts_for(const PublicContext& context, std::size_t count, Limb seed) {
  const std::size_t limbs = context.plaintext_limbs();
  Limbs plaintexts(count * limbs);
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = 0; j + 1 < limbs; ++j)
      plaintexts[i * limbs + j] = (seed * 1000003 + i * 31 + j + 1) * 0x9e3779b97f4a7c15;
  return plaintexts;
}

}  // namespace cipherlane::tests
