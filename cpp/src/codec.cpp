#include "cipherlane/codec.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "cipherlane/parallel.hpp"

namespace cipherlane {
namespace {

constexpr std::size_t kGrain = 512;

// (-1)^negative magnitude 2^shift
struct Scaled {
  Limb magnitude;
  std::size_t shift;
  bool negative;
};

Scaled scale(double value, std::size_t scale_bits) {
  if (value == 0) return {0, 0, false};
  int exponent = 0;
  const double fraction = std::frexp(std::fabs(value), &exponent);
  const auto mantissa = static_cast<Limb>(std::ldexp(fraction, 53));
  const long shift = static_cast<long>(exponent) - 53 + static_cast<long>(scale_bits);
  if (shift >= 0) return {mantissa, static_cast<std::size_t>(shift), value < 0};
  if (shift < -54) return {0, 0, false};
  const auto drop = static_cast<unsigned>(-shift);
  const Limb kept = mantissa >> drop;
  const Limb dropped = mantissa & ((Limb{1} << drop) - 1);
  const Limb half = Limb{1} << (drop - 1);
  const bool up = dropped > half || (dropped == half && (kept & 1) != 0);
  return {kept + (up ? 1 : 0), 0, value < 0};
}

Scaled scale(std::int64_t value, std::size_t scale_bits) {
  const Limb magnitude = value < 0 ? 0 - static_cast<Limb>(value) : static_cast<Limb>(value);
  return {magnitude, scale_bits, value < 0};
}

Scaled scale(std::uint64_t value, std::size_t scale_bits) { return {value, scale_bits, false}; }

std::size_t significant_bits(Limb value) { return bit_length(&value, 1); }

// sum |= value 2^shift; the bits are free, and the caller has checked that they fit.
void place(Limb* sum, std::size_t limbs, Limb value, std::size_t shift) {
  const std::size_t index = shift / kLimbBits;
  const std::size_t offset = shift % kLimbBits;
  sum[index] |= value << offset;
  if (offset != 0 && index + 1 < limbs) sum[index + 1] |= value >> (kLimbBits - offset);
}

std::size_t row_count(std::size_t count, const Packing& packing) {
  return count / packing.slots + (count % packing.slots != 0 ? 1 : 0);
}

template <class Value>
void encode_values(Limb* plaintexts, const Value* values, std::size_t count, const Packing& packing,
                   const Limb* modulus, std::size_t limbs) {
  const std::size_t modulus_bits = bit_length(modulus, limbs);
  const std::size_t value_bits = packing.slots > 1 ? packing.slot_bits - 1 : modulus_bits - 1;
  parallel_for(row_count(count, packing), kGrain, [&](std::size_t begin, std::size_t end) {
    SecretLimbs positive(limbs), negative(limbs), difference(limbs);
    for (std::size_t row = begin; row < end; ++row) {
      std::fill(positive.begin(), positive.end(), Limb{0});
      std::fill(negative.begin(), negative.end(), Limb{0});
      const std::size_t first = row * packing.slots;
      for (std::size_t k = 0; k < packing.slots && first + k < count; ++k) {
        const Scaled scaled = scale(values[first + k], packing.scale_bits);
        if (scaled.magnitude == 0) continue;
        if (significant_bits(scaled.magnitude) + scaled.shift > value_bits)
          throw std::overflow_error("values[" + std::to_string(first + k) + "]: does not fit " +
                                    std::to_string(value_bits) + " bits");
        place(scaled.negative ? negative.data() : positive.data(), limbs, scaled.magnitude,
              scaled.shift + k * packing.slot_bits);
      }
      Limb* out = plaintexts + row * limbs;
      if (mask_less(positive.data(), negative.data(), limbs) != 0) {
        subtract(difference.data(), negative.data(), positive.data(), limbs);
        subtract(out, modulus, difference.data(), limbs);
      } else {
        subtract(difference.data(), positive.data(), negative.data(), limbs);
        std::copy(difference.begin(), difference.end(), out);
      }
      // |sum| < n/2, or the sign would be read wrongly: 2 |sum| < n
      Limb carry = 0;
      for (Limb& limb : difference) {
        const Limb next = limb >> (kLimbBits - 1);
        limb = limb << 1 | carry;
        carry = next;
      }
      if (carry != 0 || mask_less(difference.data(), modulus, limbs) == 0)
        throw std::overflow_error("values[" + std::to_string(first) + "]: reaches half the modulus");
    }
  });
}

// The signed digits of each plaintext, lowest slot first: sink(index, negative, magnitude, limbs).
template <class Sink>
void for_each_digit(const Limb* plaintexts, std::size_t count, const Packing& packing, const Limb* modulus,
                    std::size_t limbs, Sink&& sink) {
  parallel_for(row_count(count, packing), kGrain, [&](std::size_t begin, std::size_t end) {
    SecretLimbs complement(limbs), magnitude(limbs);
    const std::size_t digit_limbs = packing.slots > 1 ? limbs_for_bits(packing.slot_bits) : limbs;
    SecretLimbs digit(digit_limbs), wrapped(digit_limbs), base(digit_limbs, 0);
    if (packing.slots > 1 && packing.slot_bits % kLimbBits != 0)
      base.back() = Limb{1} << packing.slot_bits % kLimbBits;  // 2^slot_bits, or 0 = 2^(64 limbs) where it just fits
    for (std::size_t row = begin; row < end; ++row) {
      const Limb* plaintext = plaintexts + row * limbs;
      subtract(complement.data(), modulus, plaintext, limbs);
      const bool negative = mask_less(complement.data(), plaintext, limbs) != 0;
      std::copy_n(negative ? complement.data() : plaintext, limbs, magnitude.begin());
      const std::size_t first = row * packing.slots;
      if (packing.slots == 1) {
        sink(first, negative, magnitude.data(), limbs);
        continue;
      }
      Limb carry = 0;
      for (std::size_t k = 0; k < packing.slots && first + k < count; ++k) {
        for (std::size_t j = 0; j < digit_limbs; ++j)
          digit[j] = bits_at(magnitude.data(), limbs, k * packing.slot_bits + j * kLimbBits,
                             std::min(kLimbBits, packing.slot_bits - j * kLimbBits));
        for (std::size_t j = 0; j < digit_limbs && carry != 0; ++j) carry = ++digit[j] == 0 ? 1 : 0;
        // A carry out of a full digit leaves zero and carries on; else a digit of 2^(slot_bits-1) or more is negative.
        const std::size_t top_bit = (packing.slot_bits - 1) % kLimbBits;
        const bool overflow = carry != 0 || (top_bit + 1 < kLimbBits && digit.back() >> (top_bit + 1) != 0);
        const bool high = (digit.back() >> top_bit & 1) != 0;
        carry = overflow || high ? 1 : 0;
        if (overflow) std::fill(digit.begin(), digit.end(), Limb{0});
        if (high && !overflow) {
          subtract(wrapped.data(), base.data(), digit.data(), digit_limbs);
          sink(first + k, !negative, wrapped.data(), digit_limbs);
        } else {
          sink(first + k, negative, digit.data(), digit_limbs);
        }
      }
    }
  });
}

// The nearest double to magnitude 2^-scale: the top 64 bits, the lowest of them also standing for all that is below.
double to_double(const Limb* magnitude, std::size_t limbs, std::size_t scale_bits) {
  const std::size_t bits = bit_length(magnitude, limbs);
  if (bits <= kLimbBits) return std::ldexp(static_cast<double>(magnitude[0]), -static_cast<int>(scale_bits));
  const std::size_t low = bits - kLimbBits;
  Limb top = bits_at(magnitude, limbs, low, kLimbBits);
  for (std::size_t first = 0; first < low; first += kLimbBits)
    if (bits_at(magnitude, limbs, first, std::min(kLimbBits, low - first)) != 0) {
      top |= 1;
      break;
    }
  return std::ldexp(static_cast<double>(top), static_cast<int>(low) - static_cast<int>(scale_bits));
}

}  // namespace

void encode(Limb* plaintexts, const double* values, std::size_t count, const Packing& packing, const Limb* modulus,
            std::size_t limbs) {
  encode_values(plaintexts, values, count, packing, modulus, limbs);
}
void encode(Limb* plaintexts, const std::int64_t* values, std::size_t count, const Packing& packing,
            const Limb* modulus, std::size_t limbs) {
  encode_values(plaintexts, values, count, packing, modulus, limbs);
}
void encode(Limb* plaintexts, const std::uint64_t* values, std::size_t count, const Packing& packing,
            const Limb* modulus, std::size_t limbs) {
  encode_values(plaintexts, values, count, packing, modulus, limbs);
}

void decode(double* values, const Limb* plaintexts, std::size_t count, const Packing& packing, const Limb* modulus,
            std::size_t limbs) {
  for_each_digit(plaintexts, count, packing, modulus, limbs,
                 [&](std::size_t i, bool negative, const Limb* magnitude, std::size_t width) {
                   const double value = to_double(magnitude, width, packing.scale_bits);
                   values[i] = negative ? -value : value;
                 });
}

void decode(std::int64_t* values, const Limb* plaintexts, std::size_t count, const Packing& packing,
            const Limb* modulus, std::size_t limbs) {
  for_each_digit(plaintexts, count, packing, modulus, limbs,
                 [&](std::size_t i, bool negative, const Limb* magnitude, std::size_t width) {
                   constexpr Limb kMost = Limb{1} << 63;
                   if (bit_length(magnitude, width) > kLimbBits || magnitude[0] > kMost - (negative ? 0 : 1))
                     throw std::overflow_error("values[" + std::to_string(i) + "]: does not fit a 64-bit integer");
                   values[i] = static_cast<std::int64_t>(negative ? 0 - magnitude[0] : magnitude[0]);
                 });
}

}  // namespace cipherlane
