#include "avx512_operations.hpp"

namespace cipherlane {
namespace {

template <>
struct Operations<Ifma> : Avx512Operations<Ifma::kRadixBits> {
  CIPHERLANE_INLINE static void multiply_add(Vector& low, Vector& high, Vector a, Vector b) {
    low = _mm512_madd52lo_epu64(low, a, b);
    high = _mm512_madd52hi_epu64(high, a, b);
  }
  CIPHERLANE_INLINE static void add_high(Vector& high, Vector a, Vector b) { high = _mm512_madd52hi_epu64(high, a, b); }
  // The multiplier reads the low 52 bits of its factors.
  CIPHERLANE_INLINE static Vector quotient(Vector a, Vector b) { return _mm512_madd52lo_epu64(zero(), a, b); }
  // The low 52 bits of the sum become zero: it is t rounded up to a multiple of 2^52, whatever the product.
  CIPHERLANE_INLINE static Vector carry_past(Vector t, Vector, Vector) {
    return carry_of(add(t, repeat((std::uint64_t{1} << Ifma::kRadixBits) - 1)));
  }
};

}  // namespace

template struct VectorKernels<Ifma>;

}  // namespace cipherlane
