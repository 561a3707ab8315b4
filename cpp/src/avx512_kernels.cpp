#include "avx512_operations.hpp"

namespace cipherlane {
namespace {

template <>
struct Operations<Avx512> : Avx512Operations<Avx512::kRadixBits> {
  CIPHERLANE_INLINE static void multiply_add(Vector& low, Vector&, Vector a, Vector b) {
    low = add(low, _mm512_mul_epu32(a, b));
  }
  CIPHERLANE_INLINE static void add_high(Vector&, Vector, Vector) {}
  // The multiplier reads the low 32 bits of its factors.
  CIPHERLANE_INLINE static Vector quotient(Vector a, Vector b) { return digit_of(_mm512_mul_epu32(a, b)); }
  CIPHERLANE_INLINE static Vector carry_past(Vector t, Vector a, Vector b) {
    return carry_of(add(t, _mm512_mul_epu32(a, b)));
  }
};

}  // namespace

template struct VectorKernels<Avx512>;

}  // namespace cipherlane
