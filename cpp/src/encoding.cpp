#include "encoding.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace cipherlane::encoding {
namespace {

template <class Value>
SecretLimbs encoded(const PublicKey& key, const std::vector<Value>& values, FixedPoint codec) {
  check_codec(key, codec);
  SecretLimbs plaintexts(values.size() * key.n().size());
  cipherlane::encode(plaintexts.data(), values.data(), values.size(), packing(codec.scale_bits), key.n().data(),
                     key.n().size());
  return plaintexts;
}

}  // namespace

void check_room(const char* operation, const PublicKey& key, std::size_t bound_bits) {
  if (bound_bits != kNoBound && bound_bits > most_bound_bits(key))
    throw std::overflow_error(std::string(operation) + ": the result could reach 2^" + std::to_string(bound_bits) +
                              " as an integer, and a plaintext of this " + std::to_string(key.bits()) +
                              "-bit key holds up to 2^" + std::to_string(most_bound_bits(key)) +
                              "; use a codec with fewer integer_bits or scale_bits, or decrypt and encrypt again");
}

void check_codec(const PublicKey& key, FixedPoint codec) {
  const std::size_t most = most_bound_bits(key);
  // The sum of both may be beyond a size_t.
  if (codec.scale_bits > most || codec.integer_bits > most - codec.scale_bits)
    throw std::overflow_error("codec: " + std::to_string(codec.scale_bits) + " scale_bits and " +
                              std::to_string(codec.integer_bits) + " integer_bits do not fit a plaintext of this " +
                              std::to_string(key.bits()) + "-bit key, which holds " + std::to_string(most) +
                              " together; use fewer");
}

std::size_t rows(const char* name, std::size_t values, std::size_t limbs) {
  if (values % limbs != 0)
    throw std::invalid_argument(std::string(name) + ": expected " + std::to_string(limbs) + " limbs a number, got " +
                                std::to_string(values) + " in all");
  return values / limbs;
}

SecretLimbs encode(const PublicKey& key, const std::vector<double>& values, FixedPoint codec) {
  const double limit = std::ldexp(1.0, static_cast<int>(std::min<std::size_t>(codec.integer_bits, 1100)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string place = "values[" + std::to_string(i) + "]: ";
    if (!std::isfinite(values[i]))
      throw std::invalid_argument(place + "expected a finite number, got NaN or an infinity; remove or impute it");
    if (std::fabs(values[i]) >= limit)
      throw std::overflow_error(place + "expected a magnitude below 2^" + std::to_string(codec.integer_bits) +
                                ", got a larger one; raise integer_bits");
  }
  return encoded(key, values, codec);
}

void check_whole(const std::vector<double>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (std::isfinite(values[i]) && values[i] != std::trunc(values[i]))
      throw std::invalid_argument("values[" + std::to_string(i) +
                                  "]: expected a whole number for a batch without bits after the point, got another; "
                                  "encrypt the batch as doubles");
}

SecretLimbs encode(const PublicKey& key, const std::vector<std::int64_t>& values, FixedPoint codec) {
  return encoded(key, values, codec);
}

void check_bound(const PublicKey& key, const SecretLimbs& plaintexts, std::size_t bound_bits) {
  const std::size_t limbs = key.n().size();
  if (bound_bits == kNoBound) return;
  SecretLimbs magnitude(limbs), less_one(limbs), one(limbs, 0);
  one[0] = 1;
  for (std::size_t i = 0; i * limbs < plaintexts.size(); ++i) {
    const Limb* m = plaintexts.data() + i * limbs;
    subtract(magnitude.data(), key.n().data(), m, limbs);
    const Limb* smaller = mask_less(m, magnitude.data(), limbs) != 0 ? m : magnitude.data();
    // |m| <= 2^b if |m| - 1 has at most b bits; -1 borrows, and is that of 0.
    if (subtract(less_one.data(), smaller, one.data(), limbs) == 0 && bit_length(less_one.data(), limbs) > bound_bits)
      throw std::invalid_argument("batch: element " + std::to_string(i) +
                                  " lies outside its stated bound; the ciphertexts were not made as their sender says");
  }
}

}  // namespace cipherlane::encoding
