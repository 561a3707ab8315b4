#include "portable_arithmetic.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#ifdef CIPHERLANE_DUAL_CARRY
#include <cpuid.h>
#endif

namespace cipherlane::portable {
namespace {

// r <- 2 r, minus m when that is not less than m; returns the mask of the subtraction. Requires r < m.
Limb double_mod(Limb* r, const Modulus& modulus) {
  Limb carry = 0;
  for (std::size_t i = 0; i < modulus.length; ++i) {
    const Limb digit = r[i] << 1 | carry;
    carry = digit >> kRadixBits;
    r[i] = digit & kDigitMask;
  }
  Digits reduced;
  Limb borrow = 0;
  for (std::size_t i = 0; i < modulus.length; ++i) {
    const Limb difference = r[i] - modulus.m[i] - borrow;
    borrow = difference >> 63;
    reduced[i] = difference & kDigitMask;
  }
  const Limb keep = 0 - borrow;
  for (std::size_t i = 0; i < modulus.length; ++i) r[i] = (r[i] & keep) | (reduced[i] & ~keep);
  return ~keep;
}

// x <- 2 x for a canonical pair.
void double_pair(Limb* x, const Modulus& modulus) {
  const Limb carry = double_mod(x, modulus) & 1;
  Limb* high = x + modulus.length;
  double_mod(high, modulus);
  high[0] += carry;
  for (std::size_t i = 0; i + 1 < modulus.length; ++i) {
    high[i + 1] += high[i] >> kRadixBits;
    high[i] &= kDigitMask;
  }
  reduce_once(high, modulus);
}

}  // namespace

Modulus::Modulus(const Limb* value, std::size_t limbs) {
  bits = bit_length(value, limbs);
  if (bits < 256 || bits > kMostModulusBits || (value[0] & 1) == 0)
    throw std::invalid_argument("modulus: expected an odd number of 256 to 4096 bits, got one of " +
                                std::to_string(bits) + " bits");
  length = digits_for_bits(bits);
  digits_from_limbs(m.data(), length, value, limbs);
  // Newton: each step doubles the number of correct low bits, from 3.
  Limb inverse = m[0];
  for (int step = 0; step < 5; ++step) inverse *= 2 - m[0] * inverse;
  negated_inverse = (0 - inverse) & kDigitMask;
  dual_carry = has_dual_carry();

  // one = 2^(60 L) as a pair; 2^(bits - 1) < m is canonical to start with.
  one.fill(0);
  one[(bits - 1) / kRadixBits] = Limb{1} << (bits - 1) % kRadixBits;
  for (std::size_t power = bits - 1; power < kRadixBits * length; ++power) double_pair(one.data(), *this);

  // offset = -S mod m for S = sum_{i=1..L} 2^(60 i), so that C = S + offset. S = sum by Horner: s <- (s + 1) 2^60.
  Limb sum[kMostDigits] = {};
  for (std::size_t i = 0; i < length; ++i) {
    sum[0] += 1;  // sum < m, so the digit may reach 2^60; double_mod tolerates a carry only after this one is settled
    for (std::size_t j = 0; j + 1 < length; ++j) {
      sum[j + 1] += sum[j] >> kRadixBits;
      sum[j] &= kDigitMask;
    }
    reduce_once(sum, *this);
    for (std::size_t bit = 0; bit < kRadixBits; ++bit) double_mod(sum, *this);
  }
  Limb borrow = 0;
  for (std::size_t i = 0; i < length; ++i) {
    const Limb difference = m[i] - sum[i] - borrow;
    borrow = difference >> 63;
    offset[i] = difference & kDigitMask;
  }
  wipe(sum, sizeof sum);
}

void reduce_once(Limb* r, const Modulus& modulus) {
  Digits reduced;
  Limb borrow = 0;
  for (std::size_t i = 0; i < modulus.length; ++i) {
    const Limb difference = r[i] - modulus.m[i] - borrow;
    borrow = difference >> 63;
    reduced[i] = difference & kDigitMask;
  }
  const Limb keep = 0 - borrow;
  for (std::size_t i = 0; i < modulus.length; ++i) r[i] = (r[i] & keep) | (reduced[i] & ~keep);
}

namespace {

template <bool Dual>
void multiply_mod_as(Limb* r, const Limb* a, const Limb* b, const Modulus& modulus) {
  Columns columns;
  Digits q;
  const std::size_t length = modulus.length;
  clear(columns.data(), 2 * length);
  multiply_columns<Dual>(columns.data(), a, b, length);
  reduce_columns<Dual>(columns.data(), modulus, q.data());
  carry_columns(r, columns.data() + length, length);
}

template <bool Dual>
void multiply_pair_as(Limb* r, const Limb* x, const Limb* y, const Modulus& modulus) {
  Columns columns;
  Digits q;
  Digits z0;
  const std::size_t length = modulus.length;
  clear(columns.data(), 2 * length);
  multiply_columns<Dual>(columns.data(), x, y, length);
  reduce_columns<Dual>(columns.data(), modulus, q.data());
  carry_columns(z0.data(), columns.data() + length, length);

  start_with_offset(columns.data(), modulus, q.data());
  multiply_columns<Dual>(columns.data(), x, y + length, length);
  multiply_columns<Dual>(columns.data(), x + length, y, length);
  reduce_columns<Dual>(columns.data(), modulus, q.data());
  carry_columns(r + length, columns.data() + length, length);
  std::copy_n(z0.data(), length, r);
}

template <bool Dual>
void square_pair_as(Limb* r, const Limb* x, const Modulus& modulus) {
  Columns columns;
  Digits q;
  Digits z0;
  Digits twice;
  const std::size_t length = modulus.length;
  clear(columns.data(), 2 * length);
  square_columns<Dual>(columns.data(), x, length);
  reduce_columns<Dual>(columns.data(), modulus, q.data());
  carry_columns(z0.data(), columns.data() + length, length);

  for (std::size_t i = 0; i < length; ++i) twice[i] = 2 * x[i];  // below 2^61: one product counts as two
  start_with_offset(columns.data(), modulus, q.data());
  multiply_columns<Dual>(columns.data(), x + length, twice.data(), length);
  reduce_columns<Dual>(columns.data(), modulus, q.data());
  carry_columns(r + length, columns.data() + length, length);
  std::copy_n(z0.data(), length, r);
}

template <bool Dual>
void multiply_factored_as(Limb* state, const Limb* entry, const Modulus& modulus) {
  Columns columns;
  Digits q;
  const std::size_t length = modulus.length;
  Limb* const z = state;
  Limb* const carried = state + length;
  Limb* const sum = state + 2 * length;
  clear(columns.data(), 2 * length);
  multiply_columns<Dual>(columns.data(), entry, z, length);
  reduce_columns<Dual>(columns.data(), modulus, q.data());
  carry_columns(z, columns.data() + length, length);

  start_with_offset(columns.data(), modulus, q.data());
  multiply_columns<Dual>(columns.data(), entry, carried, length);
  reduce_columns<Dual>(columns.data(), modulus, q.data());
  carry_columns(carried, columns.data() + length, length);

  Limb carry = 0;
  for (std::size_t i = 0; i < length; ++i) {
    const Limb digit = sum[i] + entry[length + i] + carry;
    carry = digit >> kRadixBits;
    sum[i] = digit & kDigitMask;
  }
  assert(carry == 0);
}

}  // namespace

bool has_dual_carry() {
#ifdef CIPHERLANE_DUAL_CARRY
  static const bool has = [] {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    constexpr unsigned kBmi2 = 1u << 8, kAdx = 1u << 19;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & kBmi2) != 0 && (ebx & kAdx) != 0;
  }();
  return has;
#else
  return false;
#endif
}

void multiply_mod(Limb* r, const Limb* a, const Limb* b, const Modulus& modulus) {
  (modulus.dual_carry ? multiply_mod_as<true> : multiply_mod_as<false>)(r, a, b, modulus);
}

void multiply_pair(Limb* r, const Limb* x, const Limb* y, const Modulus& modulus) {
  (modulus.dual_carry ? multiply_pair_as<true> : multiply_pair_as<false>)(r, x, y, modulus);
}

void square_pair(Limb* r, const Limb* x, const Modulus& modulus) {
  (modulus.dual_carry ? square_pair_as<true> : square_pair_as<false>)(r, x, modulus);
}

void multiply_factored(Limb* state, const Limb* entry, const Modulus& modulus) {
  (modulus.dual_carry ? multiply_factored_as<true> : multiply_factored_as<false>)(state, entry, modulus);
}

void canonical_digits(Limb* d0, Limb* d1, const Limb* x, const Modulus& modulus) {
  Columns columns;
  Digits q;
  const std::size_t length = modulus.length;
  clear(columns.data(), 2 * length);
  for (std::size_t i = 0; i < length; ++i) columns[i].low = x[i];
  reduce_columns<false>(columns.data(), modulus, q.data());
  carry_columns(d0, columns.data() + length, length);  // <= m, since x < R

  start_with_offset(columns.data(), modulus, q.data());
  for (std::size_t i = 0; i < length; ++i) columns[i] = narrow(wide(columns[i]) + x[length + i]);
  reduce_columns<false>(columns.data(), modulus, q.data());
  carry_columns(d1, columns.data() + length, length);  // < m + 4

  // x0 >= m becomes x0 - m and one more m in x1.
  Digits before;
  std::copy_n(d0, length, before.data());
  reduce_once(d0, modulus);
  Limb changed = 0;
  for (std::size_t i = 0; i < length; ++i) changed |= before[i] ^ d0[i];
  Limb carry = (changed | (0 - changed)) >> 63;
  for (std::size_t i = 0; i < length; ++i) {
    const Limb digit = d1[i] + carry;
    carry = digit >> kRadixBits;
    d1[i] = digit & kDigitMask;
  }
  reduce_once(d1, modulus);
}

void add_mod(Limb* r, const Limb* a, const Limb* b, const Modulus& modulus) {
  // a + b < 4m; subtract 2m unless that borrows.
  Digits sum, reduced;
  Limb sum_carry = 0, twice_carry = 0, borrow = 0;
  for (std::size_t i = 0; i < modulus.length; ++i) {
    const Limb digit = a[i] + b[i] + sum_carry;
    sum_carry = digit >> kRadixBits;
    sum[i] = digit & kDigitMask;
    const Limb twice = modulus.m[i] << 1 | twice_carry;
    twice_carry = twice >> kRadixBits;
    const Limb difference = sum[i] - (twice & kDigitMask) - borrow;
    borrow = difference >> 63;
    reduced[i] = difference & kDigitMask;
  }
  const Limb keep = 0 - borrow;
  for (std::size_t i = 0; i < modulus.length; ++i) r[i] = (sum[i] & keep) | (reduced[i] & ~keep);
}

void join_digits(Limb* value, const Limb* d0, const Limb* d1, const Modulus& modulus) {
  Columns columns;
  const std::size_t length = modulus.length;
  clear(columns.data(), 2 * length);
  multiply_columns<false>(columns.data(), d1, modulus.m.data(), length);
  for (std::size_t i = 0; i < length; ++i) columns[i] = narrow(wide(columns[i]) + d0[i]);
  carry_columns(value, columns.data(), 2 * length);
}

void combine_pairs(Limb* r, const Limb* const* numbers, const Limb* const* constants, std::size_t parts,
                   const Modulus& modulus) {
  Columns columns;
  Digits q;
  const std::size_t length = modulus.length;
  clear(columns.data(), 2 * length);
  for (std::size_t k = 0; k < parts; ++k) multiply_columns<false>(columns.data(), numbers[k], constants[k], length);
  reduce_columns<false>(columns.data(), modulus, q.data());
  carry_columns(r, columns.data() + length, length);
  start_with_offset(columns.data(), modulus, q.data());
  for (std::size_t k = 0; k < parts; ++k)
    multiply_columns<false>(columns.data(), numbers[k], constants[k] + length, length);
  reduce_columns<false>(columns.data(), modulus, q.data());
  carry_columns(r + length, columns.data() + length, length);
}

void digits_from_limbs(Limb* digits, std::size_t length, const Limb* value, std::size_t limbs) {
  for (std::size_t i = 0; i < length; ++i) digits[i] = bits_at(value, limbs, i * kRadixBits, kRadixBits);
}

}  // namespace cipherlane::portable
