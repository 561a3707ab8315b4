// Arithmetic mod m and mod m^2 on several numbers in lockstep, one in each lane of a vector.
//
// The files behind this header, one for each instruction set, are compiled with flags of their own; nothing that they
// define inline may be shared with others, so this header is plain C++ without functions of the standard library.
//
// A number has L digits of w bits, a half group is L vectors, a group 2L. Bounds are those of portable_arithmetic.hpp,
// R = 2^(w L) >= 2^8 m: Reduced below 2m, Lazy below 4m. A column is a 64-bit sum of products of two digits, or of
// their low and high halves where w = 52: in each case of terms below 2^52, up to 4094 of them and one more number
// below 2^53. With P parts and one reduction that is (P + 1) L products, 2 (P + 1) L halves: at most 17 * 158 or 2 * 17
// * 79 = 2686.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cipherlane {

// AVX-512 IFMA: products of 52-bit digits, in halves.
struct Ifma {
  static constexpr std::size_t kLanes = 8, kRadixBits = 52;
  static constexpr bool kHalves = true;
};
// AVX-512 without IFMA: whole products of 26-bit digits.
struct Avx512 {
  static constexpr std::size_t kLanes = 8, kRadixBits = 26;
  static constexpr bool kHalves = false;
};
struct Avx2 {
  static constexpr std::size_t kLanes = 4, kRadixBits = 26;
  static constexpr bool kHalves = false;
};

template <class Isa>
struct VectorKernels {
  static constexpr std::size_t kLanes = Isa::kLanes;
  static constexpr std::size_t kRadixBits = Isa::kRadixBits;
  static constexpr std::size_t kSlackBits = 8;
  static constexpr std::size_t kMostModulusBits = 4096;
  static constexpr std::size_t kMostDigits = (kMostModulusBits + kSlackBits + kRadixBits - 1) / kRadixBits;
  static constexpr std::size_t kMostParts = 16;
  static constexpr std::size_t kFewestSelectBits = 4;
  static constexpr std::size_t kMostSelectBits = 6;

  static constexpr std::size_t digits_for_bits(std::size_t bits) {
    return (bits + kSlackBits + kRadixBits - 1) / kRadixBits;
  }

  // Rows of a product that are added in one pass over the columns. A number's digits are cut into as few blocks as
  // possible, of nearly equal size, larger ones first; with at least 256 bits, 6 digits, none is shorter than 4.
  static constexpr std::size_t kMostRows = 8;
  struct Block {
    std::size_t row, size;
  };

  // The constants of arithmetic mod m, each digit repeated in all lanes; all arrays 64-byte aligned.
  struct Constants {
    std::size_t length;             // L
    const std::uint64_t* m;         // L vectors
    const std::uint64_t* offset;    // L vectors: c_i of 2^w to 2^(w+1) with C = sum_i c_i 2^(w i) a multiple of m
    std::uint64_t negated_inverse;  // -m^-1 mod 2^w
    std::size_t blocks;
    Block block[(kMostDigits + kMostRows - 1) / kMostRows];

    void set_blocks() {
      blocks = 0;
      for (std::size_t row = 0, left = (length + kMostRows - 1) / kMostRows; left > 0; --left) {
        const std::size_t size = (length - row + left - 1) / left;
        block[blocks++] = {row, size};
        row += size;
      }
    }
  };

  // r <- x y R^-1 mod m^2, Reduced. Requires x, y Lazy. r may be x or y.
  static void multiply_pair(std::uint64_t* r, const std::uint64_t* x, const std::uint64_t* y, const Constants&);
  static void square_pair(std::uint64_t* r, const std::uint64_t* x, const Constants&);
  // One step of a product in factored form, see lane_powers.hpp: state = (z, c, e), 3L vectors, entry = (t, s), 2L.
  // z <- z t R^-1 mod m, c <- c t R^-1 - q R^-1 mod m, both below 2m, where q are the quotient digits of z t; e <- e +
  // s without carries. Requires z, c, t < 2m.
  static void multiply_factored(std::uint64_t* state, const std::uint64_t* entry, const Constants&);
  // Carries digits of up to 64 bits; the value is below R.
  static void carry_digits(std::uint64_t* a, const Constants&);
  // r <- a b R^-1 mod m, below 2m. Requires a b <= R m. r may be a or b.
  static void multiply_mod(std::uint64_t* r, const std::uint64_t* a, const std::uint64_t* b, const Constants&);
  // r <- a + b mod m, below 2m. Requires a, b < 2m.
  static void add_mod(std::uint64_t* r, const std::uint64_t* a, const std::uint64_t* b, const Constants&);
  // x R^-1 = d0 + d1 m, both below m. Requires x Lazy.
  static void canonical_digits(std::uint64_t* d0, std::uint64_t* d1, const std::uint64_t* x, const Constants&);
  // value[0 .. 2L) <- d0 + d1 m, a plain number.
  static void join_digits(std::uint64_t* value, const std::uint64_t* d0, const std::uint64_t* d1, const Constants&);
  // r <- sum_k numbers_k factors_k R^-1, Reduced, for plain numbers below 4m and Reduced groups.
  static void combine_pairs(std::uint64_t* r, const std::uint64_t* const* numbers, const std::uint64_t* const* factors,
                            std::size_t parts, const Constants&);
  // lane l of r[0 .. width) <- table[indices[l] width .. + width). Requires table 64-byte aligned, width a multiple of
  // kLanes.
  static void gather(std::uint64_t* r, const std::uint64_t* table, const std::uint64_t* indices, std::size_t width);
  // to[l][0 .. width) <- lane l of x[0 .. width), unless to[l] is null. Alignment and width as for gather.
  static void scatter(std::uint64_t* const* to, const std::uint64_t* x, std::size_t width);
  // lane l of r[i] <- table[i 2^window + indices[l]], reading all of the table. kFewestSelectBits <= window <=
  // kMostSelectBits.
  static void select(std::uint64_t* r, const std::uint64_t* table, std::size_t window, const std::uint64_t* indices,
                     std::size_t width);
  // Nothing but rounds * kChainProducts multiplications, whole or half as the kernels use them, in independent chains:
  // what the processor can do at most. Returns a number that depends on all of them.
  static constexpr std::size_t kChains = 6;
  static constexpr std::size_t kChainProducts = kChains * kLanes * (Isa::kHalves ? 2 : 1);
  static std::uint64_t multiply_chains(std::size_t rounds);
  // r[0 .. vectors) <- groups[index], reading all `count` groups, at most kMostGroups.
  static constexpr std::size_t kMostGroups = 16;
  static void select_group(std::uint64_t* r, const std::uint64_t* groups, std::size_t count, std::uint64_t index,
                           std::size_t vectors);
};

}  // namespace cipherlane
