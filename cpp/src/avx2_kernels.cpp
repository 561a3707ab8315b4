#include <immintrin.h>

#include "vector_kernels_impl.hpp"

namespace cipherlane {
namespace {

template <>
struct Operations<Avx2> {
  using Vector = __m256i;
  static constexpr std::size_t kLanes = 4;
  static constexpr std::size_t kRadixBits = Avx2::kRadixBits;

  CIPHERLANE_INLINE static Vector zero() { return _mm256_setzero_si256(); }
  CIPHERLANE_INLINE static Vector repeat(std::uint64_t x) { return _mm256_set1_epi64x(static_cast<long long>(x)); }
  CIPHERLANE_INLINE static Vector add(Vector a, Vector b) { return _mm256_add_epi64(a, b); }
  CIPHERLANE_INLINE static Vector subtract(Vector a, Vector b) { return _mm256_sub_epi64(a, b); }
  CIPHERLANE_INLINE static Vector digit_of(Vector a) {
    return _mm256_and_si256(a, repeat((std::uint64_t{1} << kRadixBits) - 1));
  }
  CIPHERLANE_INLINE static Vector carry_of(Vector a) { return _mm256_srli_epi64(a, kRadixBits); }
  CIPHERLANE_INLINE static Vector borrow_of(Vector a) { return _mm256_srli_epi64(a, 63); }
  CIPHERLANE_INLINE static Vector choose_if_zero(Vector test, Vector yes, Vector no) {
    return _mm256_blendv_epi8(no, yes, _mm256_cmpeq_epi64(test, zero()));
  }
  CIPHERLANE_INLINE static Vector merge(Vector a, Vector b, Vector mask) {
    return _mm256_or_si256(a, _mm256_and_si256(b, mask));
  }
  CIPHERLANE_INLINE static void multiply_add(Vector& low, Vector&, Vector a, Vector b) {
    low = add(low, _mm256_mul_epu32(a, b));
  }
  CIPHERLANE_INLINE static void add_high(Vector&, Vector, Vector) {}
  // The multiplier reads the low 32 bits of its factors.
  CIPHERLANE_INLINE static Vector quotient(Vector a, Vector b) { return digit_of(_mm256_mul_epu32(a, b)); }
  CIPHERLANE_INLINE static Vector carry_past(Vector t, Vector a, Vector b) {
    return carry_of(add(t, _mm256_mul_epu32(a, b)));
  }

  CIPHERLANE_INLINE static void transpose(Vector (&rows)[kLanes]) {
    const Vector even01 = _mm256_unpacklo_epi64(rows[0], rows[1]), odd01 = _mm256_unpackhi_epi64(rows[0], rows[1]);
    const Vector even23 = _mm256_unpacklo_epi64(rows[2], rows[3]), odd23 = _mm256_unpackhi_epi64(rows[2], rows[3]);
    rows[0] = _mm256_permute2x128_si256(even01, even23, 0x20);
    rows[1] = _mm256_permute2x128_si256(odd01, odd23, 0x20);
    rows[2] = _mm256_permute2x128_si256(even01, even23, 0x31);
    rows[3] = _mm256_permute2x128_si256(odd01, odd23, 0x31);
  }

  static void select(Vector* r, const Vector* table, std::size_t window, const std::uint64_t* indices,
                     std::size_t width) {
    // Which lanes want an entry is worked out once; then all words pass by.
    constexpr std::size_t kMostEntries = std::size_t{1} << VectorKernels<Avx2>::kMostSelectBits;
    const std::size_t entries = std::size_t{1} << window;
    const Vector wanted = _mm256_loadu_si256(reinterpret_cast<const Vector*>(indices));
    Vector masks[kMostEntries];
    for (std::size_t d = 0; d < entries; ++d) masks[d] = _mm256_cmpeq_epi64(wanted, repeat(d));
    const auto* words = reinterpret_cast<const long long*>(table);
    for (std::size_t i = 0; i < width; ++i, words += entries) {
      Vector sum = zero();
      for (std::size_t d = 0; d < entries; ++d) sum = merge(sum, _mm256_set1_epi64x(words[d]), masks[d]);
      r[i] = sum;
    }
  }
};

}  // namespace

template struct VectorKernels<Avx2>;

}  // namespace cipherlane
