#include "cipherlane/limbs.hpp"

#include <algorithm>
#include <cstring>

#include "secret_marks.hpp"

namespace cipherlane {

void wipe(void* memory, std::size_t bytes) noexcept {
  if (bytes == 0) return;
  std::memset(memory, 0, bytes);
  __asm__ __volatile__("" : : "r"(memory) : "memory");
}

std::size_t bit_length(const Limb* value, std::size_t limbs) {
  while (limbs > 0 && value[limbs - 1] == 0) --limbs;
  if (limbs == 0) return 0;
  return limbs * kLimbBits - static_cast<std::size_t>(declassified(__builtin_clzll(value[limbs - 1])));
}

Limb bits_at(const Limb* value, std::size_t limbs, std::size_t first, std::size_t count) {
  const std::size_t index = first / kLimbBits;
  const std::size_t offset = first % kLimbBits;
  Limb bits = index < limbs ? value[index] >> offset : 0;
  if (offset + count > kLimbBits && index + 1 < limbs) bits |= value[index + 1] << (kLimbBits - offset);
  return count < kLimbBits ? bits & ((Limb{1} << count) - 1) : bits;
}

Limb subtract(Limb* r, const Limb* a, const Limb* b, std::size_t limbs) {
  Limb borrow = 0;
  for (std::size_t i = 0; i < limbs; ++i) {
    const DoubleLimb difference = static_cast<DoubleLimb>(a[i]) - b[i] - borrow;
    r[i] = static_cast<Limb>(difference);
    borrow = static_cast<Limb>(difference >> kLimbBits) & 1;
  }
  return borrow;
}

Limb mask_less(const Limb* a, const Limb* b, std::size_t limbs) {
  Limb borrow = 0;
  for (std::size_t i = 0; i < limbs; ++i) {
    const DoubleLimb difference = static_cast<DoubleLimb>(a[i]) - b[i] - borrow;
    borrow = static_cast<Limb>(difference >> kLimbBits) & 1;
  }
  return 0 - borrow;
}

Limb mask_zero(const Limb* a, std::size_t limbs) {
  Limb any = 0;
  for (std::size_t i = 0; i < limbs; ++i) any |= a[i];
  return ((any | (0 - any)) >> (kLimbBits - 1)) - 1;
}

void multiply(Limb* r, const Limb* a, std::size_t a_limbs, const Limb* b, std::size_t b_limbs) {
  std::fill(r, r + a_limbs + b_limbs, Limb{0});
  for (std::size_t i = 0; i < a_limbs; ++i) {
    Limb carry = 0;
    for (std::size_t j = 0; j < b_limbs; ++j) {
      // (2^64-1)^2 + 2 (2^64-1) = 2^128 - 1: fits
      const DoubleLimb sum = static_cast<DoubleLimb>(a[i]) * b[j] + r[i + j] + carry;
      r[i + j] = static_cast<Limb>(sum);
      carry = static_cast<Limb>(sum >> kLimbBits);
    }
    r[i + b_limbs] = carry;
  }
}

namespace {

bool is_one(const Limbs& a) {
  return a[0] == 1 && std::all_of(a.begin() + 1, a.end(), [](Limb limb) { return limb == 0; });
}

bool is_zero(const Limbs& a) {
  return std::all_of(a.begin(), a.end(), [](Limb limb) { return limb == 0; });
}

void halve(Limbs& a, Limb top) {
  for (std::size_t i = 0; i + 1 < a.size(); ++i) a[i] = a[i] >> 1 | a[i + 1] << (kLimbBits - 1);
  a.back() = a.back() >> 1 | top << (kLimbBits - 1);
}

Limb add(Limbs& a, const Limb* b) {
  Limb carry = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const DoubleLimb sum = static_cast<DoubleLimb>(a[i]) + b[i] + carry;
    a[i] = static_cast<Limb>(sum);
    carry = static_cast<Limb>(sum >> kLimbBits);
  }
  return carry;
}

// Keeps the invariant  u = x a (mod m)  while halving u until it is odd.
void strip_twos(Limbs& u, Limbs& x, const Limb* m) {
  while ((u[0] & 1) == 0) {
    halve(u, 0);
    const Limb carry = (x[0] & 1) ? add(x, m) : 0;
    halve(x, carry);
  }
}

}  // namespace

bool invert_vartime(Limb* r, const Limb* a, const Limb* m, std::size_t limbs) {
  // u = x a, v = y a (mod m); gcd(u, v) = gcd(a, m) throughout, v odd.
  Limbs u(a, a + limbs), v(m, m + limbs), x(limbs, 0), y(limbs, 0);
  if (is_zero(u)) return false;
  x[0] = 1;
  strip_twos(u, x, m);
  while (!is_one(u)) {
    if (mask_less(u.data(), v.data(), limbs)) {
      std::swap(u, v);
      std::swap(x, y);
    }
    subtract(u.data(), u.data(), v.data(), limbs);
    if (is_zero(u)) return false;  // gcd = v, and v != 1 or the loop would have ended
    if (subtract(x.data(), x.data(), y.data(), limbs)) add(x, m);
    strip_twos(u, x, m);
  }
  std::copy(x.begin(), x.end(), r);
  return true;
}

}  // namespace cipherlane
