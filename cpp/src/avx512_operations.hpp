// What both kinds of AVX-512 kernels share.
#pragma once

#include <immintrin.h>

#include "vector_kernels_impl.hpp"

namespace cipherlane {
namespace {

template <std::size_t RadixBits>
struct Avx512Operations {
  using Vector = __m512i;
  static constexpr std::size_t kLanes = 8;

  CIPHERLANE_INLINE static Vector zero() { return _mm512_setzero_si512(); }
  CIPHERLANE_INLINE static Vector repeat(std::uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); }
  CIPHERLANE_INLINE static Vector add(Vector a, Vector b) { return _mm512_add_epi64(a, b); }
  CIPHERLANE_INLINE static Vector subtract(Vector a, Vector b) { return _mm512_sub_epi64(a, b); }
  CIPHERLANE_INLINE static Vector digit_of(Vector a) {
    return _mm512_and_si512(a, repeat((std::uint64_t{1} << RadixBits) - 1));
  }
  CIPHERLANE_INLINE static Vector carry_of(Vector a) { return _mm512_srli_epi64(a, RadixBits); }
  CIPHERLANE_INLINE static Vector borrow_of(Vector a) { return _mm512_srli_epi64(a, 63); }
  CIPHERLANE_INLINE static Vector choose_if_zero(Vector test, Vector yes, Vector no) {
    return _mm512_mask_mov_epi64(no, _mm512_cmpeq_epi64_mask(test, zero()), yes);
  }
  CIPHERLANE_INLINE static Vector merge(Vector a, Vector b, Vector mask) {
    return _mm512_ternarylogic_epi64(a, b, mask, 0xf8);
  }

  CIPHERLANE_INLINE static void transpose(Vector (&rows)[kLanes]) {
    Vector pairs[kLanes], quads[kLanes];
    unroll<4>([&](auto k) CIPHERLANE_INLINE {
      pairs[2 * k] = _mm512_unpacklo_epi64(rows[2 * k], rows[2 * k + 1]);
      pairs[2 * k + 1] = _mm512_unpackhi_epi64(rows[2 * k], rows[2 * k + 1]);
    });
    // pairs[2k + h] holds, in 128-bit part p, element 2p + h of rows 2k and 2k + 1.
    unroll<2>([&](auto h) CIPHERLANE_INLINE {
      quads[h] = _mm512_shuffle_i64x2(pairs[h], pairs[2 + h], 0x44);          // parts 0, 1 of rows 0-3
      quads[2 + h] = _mm512_shuffle_i64x2(pairs[h], pairs[2 + h], 0xee);      // parts 2, 3 of rows 0-3
      quads[4 + h] = _mm512_shuffle_i64x2(pairs[4 + h], pairs[6 + h], 0x44);  // the same of rows 4-7
      quads[6 + h] = _mm512_shuffle_i64x2(pairs[4 + h], pairs[6 + h], 0xee);
    });
    unroll<2>([&](auto h) CIPHERLANE_INLINE {
      rows[h] = _mm512_shuffle_i64x2(quads[h], quads[4 + h], 0x88);
      rows[2 + h] = _mm512_shuffle_i64x2(quads[h], quads[4 + h], 0xdd);
      rows[4 + h] = _mm512_shuffle_i64x2(quads[2 + h], quads[6 + h], 0x88);
      rows[6 + h] = _mm512_shuffle_i64x2(quads[2 + h], quads[6 + h], 0xdd);
    });
  }

  static void select(Vector* r, const Vector* table, std::size_t window, const std::uint64_t* indices,
                     std::size_t width) {
    // An index's low four bits pick from two vectors at a time, its higher bits blend the picks pair by pair.
    const Vector wanted = _mm512_loadu_si512(indices);
    const __mmask8 higher[2] = {_mm512_test_epi64_mask(wanted, repeat(1 << 4)),
                                _mm512_test_epi64_mask(wanted, repeat(1 << 5))};
    const auto all_words = [&](auto pairs) CIPHERLANE_INLINE {
      for (std::size_t i = 0; i < width; ++i, table += 2 * pairs) {
        Vector picks[pairs];
        unroll<pairs>([&](auto k) CIPHERLANE_INLINE {
          picks[k] = _mm512_permutex2var_epi64(table[2 * k], wanted, table[2 * k + 1]);
        });
        unroll<2>([&](auto level) CIPHERLANE_INLINE {
          unroll<(pairs >> level) / 2>([&](auto k) CIPHERLANE_INLINE {
            picks[k] = _mm512_mask_mov_epi64(picks[2 * k], higher[level], picks[2 * k + 1]);
          });
        });
        r[i] = picks[0];
      }
    };
    switch (window) {
      case 4:
        all_words(Index<1>{});
        break;
      case 5:
        all_words(Index<2>{});
        break;
      default:
        all_words(Index<4>{});
        break;
    }
  }
};

}  // namespace
}  // namespace cipherlane
