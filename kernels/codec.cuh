// Between numbers and plaintexts on the device, one row a thread: the integers of cpp/src/codec.cpp, bit for bit, and
// its errors, of which each kernel notes the first place.
//
// An item kernel is a struct of arguments with a member run(index), for index < count; no thread needs another.
// Plaintexts are rows of 64-bit limbs, little-endian, below the modulus; so are ciphertexts, below its square.
#pragma once

#include "batch_kernels.cuh"

namespace cipherlane::kernels {

constexpr std::uint64_t kNowhere = ~std::uint64_t{0};
constexpr std::uint32_t kUnlimited = ~std::uint32_t{0};

// Where a batch has its first number of each kind of fault, kNowhere for none.
enum Fault : std::uint32_t {
  kNotFinite,      // NaN or an infinity
  kBeyondCodec,    // more than the codec accepts
  kBeyondRoom,     // more bits than a slot or the modulus has
  kReachesHalf,    // half the modulus or more
  kOutsideBound,   // more than the array's stated bound
  kBeyondInteger,  // no 64-bit integer
  kNotInRange,     // zero, or not below the modulus
  kFaults
};
using FaultPointer = DevicePointer<std::uint64_t>;

CIPHERLANE_DEVICE void note(FaultPointer first, Fault fault, std::uint64_t place) {
  std::uint64_t* least = first.get() + fault;
#ifdef __CUDACC__
  atomicMin(reinterpret_cast<unsigned long long*>(least), static_cast<unsigned long long>(place));
#else
  std::uint64_t seen = __atomic_load_n(least, __ATOMIC_RELAXED);
  while (place < seen && !__atomic_compare_exchange_n(least, &seen, place, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
#endif
}

CIPHERLANE_DEVICE int significant_bits(std::uint64_t x) {
  int bits = x != 0 ? 1 : 0;
  CIPHERLANE_UNROLL
  for (int step = 32; step > 0; step /= 2)
    if (x >> step != 0) bits += step, x >>= step;
  return bits;
}

CIPHERLANE_DEVICE std::uint64_t low_bits(int count) {
  return count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

// (-1)^negative magnitude 2^exponent; magnitude below 2^53 for floats, whose exponent is then at least -1074.
struct Number {
  std::uint64_t magnitude;
  int exponent;
  bool negative, floating, finite;
};

enum class Element : std::uint32_t {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kFloat16,
  kFloat32,
  kFloat64,
};

// An IEEE number of `exponent_bits` and `fraction_bits`.
CIPHERLANE_DEVICE Number float_number(std::uint64_t pattern, int exponent_bits, int fraction_bits) {
  const std::uint64_t fraction = pattern & low_bits(fraction_bits);
  const int exponent = static_cast<int>(pattern >> fraction_bits & low_bits(exponent_bits));
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const bool negative = (pattern >> (exponent_bits + fraction_bits) & 1) != 0;
  if (exponent == 0) return {fraction, 1 - bias - fraction_bits, negative, true, true};
  const bool finite = exponent != (1 << exponent_bits) - 1;
  return {fraction | std::uint64_t{1} << fraction_bits, exponent - bias - fraction_bits, negative, true, finite};
}

CIPHERLANE_DEVICE Number integer_number(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  return {value < 0 ? 0 - bits : bits, 0, value < 0, false, true};
}

// Numbers of an array, in C order of its axes, at strides in bytes.
constexpr int kMostAxes = 8;
struct Strided {
  DevicePointer<const unsigned char> first;
  Element element;
  std::uint32_t axes;
  std::uint64_t lengths[kMostAxes];
  std::int64_t strides[kMostAxes];

  CIPHERLANE_DEVICE const unsigned char* address(std::uint64_t index) const {
    const unsigned char* address = first.get();
    for (std::uint32_t axis = axes; axis > 1; --axis) {
      address += static_cast<std::int64_t>(index % lengths[axis - 1]) * strides[axis - 1];
      index /= lengths[axis - 1];
    }
    return axes == 0 ? address : address + static_cast<std::int64_t>(index) * strides[0];
  }
  template <class T>
  CIPHERLANE_DEVICE static T at(const unsigned char* address) {
    return *reinterpret_cast<const T*>(address);
  }
  CIPHERLANE_DEVICE Number number(std::uint64_t index) const {
    const unsigned char* from = address(index);
    switch (element) {
      case Element::kBool:
        return integer_number(*from != 0 ? 1 : 0);
      case Element::kInt8:
        return integer_number(at<std::int8_t>(from));
      case Element::kInt16:
        return integer_number(at<std::int16_t>(from));
      case Element::kInt32:
        return integer_number(at<std::int32_t>(from));
      case Element::kInt64:
        return integer_number(at<std::int64_t>(from));
      case Element::kUint8:
        return integer_number(*from);
      case Element::kUint16:
        return integer_number(at<std::uint16_t>(from));
      case Element::kUint32:
        return integer_number(at<std::uint32_t>(from));
      case Element::kUint64:
        return {at<std::uint64_t>(from), 0, false, false, true};
      case Element::kFloat16:
        return float_number(at<std::uint16_t>(from), 5, 10);
      case Element::kFloat32:
        return float_number(at<std::uint32_t>(from), 8, 23);
      default:
        return float_number(at<std::uint64_t>(from), 11, 52);
    }
  }
};

// How values share plaintexts. A row of the array has row_length values in row_plaintexts plaintexts; slots of the last
// of them that no value takes are zero. slot_bits: of all limbs where there is one slot.
struct PackedRows {
  std::uint64_t row_length, row_plaintexts;
  std::uint32_t slots, slot_bits, scale_bits, limbs;

  CIPHERLANE_DEVICE std::uint64_t row(std::size_t index) const { return index / row_plaintexts; }
  CIPHERLANE_DEVICE std::uint64_t column(std::size_t index) const { return index % row_plaintexts * slots; }
  CIPHERLANE_DEVICE std::uint32_t used(std::uint64_t column) const {
    return row_length - column < slots ? static_cast<std::uint32_t>(row_length - column) : slots;
  }
};

// Bits into limbs, lowest first.
struct BitWriter {
  std::uint64_t* limbs;
  std::uint32_t next, count;
  std::uint64_t pending;
  int filled;

  CIPHERLANE_DEVICE void put(std::uint64_t bits, int width) {
    pending |= bits << filled;
    if (filled + width < 64) {
      filled += width;
      return;
    }
    if (next < count) limbs[next++] = pending;
    pending = filled == 0 ? 0 : bits >> (64 - filled);
    filled += width - 64;
  }
  CIPHERLANE_DEVICE void fill_up(std::uint64_t with) {
    if (next < count) limbs[next++] = pending | with << filled;
    while (next < count) limbs[next++] = with;
  }
};

// plaintext_i <- sum_k round(v_k 2^scale_bits) 2^(slot_bits k) mod n, ties to even; the values v or -v.
struct EncodeRows {
  DevicePointer<std::uint64_t> plaintexts;
  Strided values;
  PackedRows rows;
  bool negate;
  std::int32_t value_bits;     // the codec accepts |v| < 2^value_bits,
  std::uint32_t encoded_bits;  // and |round(v 2^scale_bits)| < 2^encoded_bits; kUnlimited for none
  DevicePointer<const std::uint64_t> modulus;
  std::uint32_t modulus_bits;
  FaultPointer first;
  std::size_t count;

  // As the comparison |v| >= 2^value_bits in doubles, where the power may be zero.
  CIPHERLANE_DEVICE bool beyond_codec(const Number& v) const {
    const int bits = significant_bits(v.magnitude);
    if (!v.floating) return bits > (value_bits > 0 ? value_bits : 0);
    if (value_bits < -1074) return true;
    return v.magnitude != 0 && bits + v.exponent > value_bits;
  }

  // |v| 2^scale_bits to the nearest integer, as magnitude 2^shift; returns the shift.
  CIPHERLANE_DEVICE std::uint32_t scale(std::uint64_t& magnitude, const Number& v) const {
    const int shift = v.exponent + static_cast<int>(rows.scale_bits);
    magnitude = v.magnitude;
    if (shift >= 0) return static_cast<std::uint32_t>(shift);
    // A magnitude below 2^53 is less than half of 2^54.
    const int drop = -shift;
    if (drop > 53) {
      magnitude = 0;
      return 0;
    }
    const std::uint64_t kept = magnitude >> drop, dropped = magnitude & low_bits(drop);
    const std::uint64_t half = std::uint64_t{1} << (drop - 1);
    magnitude = kept + (dropped > half || (dropped == half && (kept & 1) != 0) ? 1 : 0);
    return 0;
  }

  // The digit of slot_bits bits that +-magnitude 2^shift leaves, less one if `owed`; returns whether it borrows from
  // the digits above: the value in two's complement, limb by limb.
  CIPHERLANE_DEVICE bool put(BitWriter& writer, std::uint64_t magnitude, std::uint32_t shift, bool negative,
                             bool owed) const {
    const std::uint32_t index = shift / 64, offset = shift % 64;
    negative = negative && magnitude != 0;
    std::uint64_t carry = negative != owed ? 1 : 0;  // ~x + 1 - 1 = ~x, and x - 1 borrows
    for (std::uint32_t c = 0; 64 * c < rows.slot_bits; ++c) {
      std::uint64_t word = 0;
      if (c == index)
        word = magnitude << offset;
      else if (c == index + 1 && offset != 0)
        word = magnitude >> (64 - offset);
      const bool passes = word == 0;
      word = negative ? ~word + carry : word - carry;
      if (!passes) carry = 0;
      const int width = rows.slot_bits - 64 * c < 64 ? static_cast<int>(rows.slot_bits - 64 * c) : 64;
      writer.put(word & low_bits(width), width);
    }
    return negative || (magnitude == 0 && owed);
  }

  CIPHERLANE_DEVICE void run(std::size_t index) const {
    const std::uint64_t column = rows.column(index), start = rows.row(index) * rows.row_length + column;
    const std::uint64_t* n = modulus.get();
    std::uint64_t* out = plaintexts.get() + index * rows.limbs;
    const std::uint32_t room = (rows.slots > 1 ? rows.slot_bits : modulus_bits) - 1;
    BitWriter writer{out, 0, rows.limbs, 0, 0};
    bool owed = false;
    const std::uint32_t used = rows.used(column);
    for (std::uint32_t k = 0; k < used; ++k) {
      const Number v = values.number(start + k);
      std::uint64_t magnitude = 0;
      std::uint32_t shift = 0;
      if (!v.finite) {
        note(first, kNotFinite, start + k);
      } else if (beyond_codec(v)) {
        note(first, kBeyondCodec, start + k);
      } else {
        shift = scale(magnitude, v);
        const std::uint32_t bits = magnitude == 0 ? 0 : static_cast<std::uint32_t>(significant_bits(magnitude)) + shift;
        if (bits > encoded_bits) note(first, kBeyondCodec, start + k);
        if (bits > room) note(first, kBeyondRoom, start + k);
        if (bits > room) magnitude = 0;
      }
      owed = put(writer, magnitude, shift, v.negative != negate, owed);
    }
    writer.fill_up(owed ? ~std::uint64_t{0} : 0);
    if (owed) add(out, n);
    // |sum| < n/2, or the sign would be read wrongly: twice the row is below n for a sum of 0 or more, above it for
    // n - |sum|.
    const int order = compare_doubled(out, n);
    if (owed ? order < 0 : order > 0) note(first, kReachesHalf, start);
  }

  // x <- x + n mod 2^(64 limbs)
  CIPHERLANE_DEVICE void add(std::uint64_t* x, const std::uint64_t* n) const {
    std::uint64_t carry = 0;
    for (std::uint32_t j = 0; j < rows.limbs; ++j) {
      const std::uint64_t sum = x[j] + n[j], next = sum < n[j] ? 1 : 0;
      x[j] = sum + carry;
      carry = next | (x[j] < carry ? 1 : 0);
    }
  }

  // Whether 2 x is below (-1) or above (1) n; n is odd.
  CIPHERLANE_DEVICE int compare_doubled(const std::uint64_t* x, const std::uint64_t* n) const {
    if (x[rows.limbs - 1] >> 63 != 0) return 1;
    for (std::uint32_t j = rows.limbs; j-- > 0;) {
      const std::uint64_t doubled = x[j] << 1 | (j > 0 ? x[j - 1] >> 63 : 0);
      if (doubled != n[j]) return doubled < n[j] ? -1 : 1;
    }
    return -1;
  }
};

// A number seen word by word, lowest first: its highest word that is not zero, the word below that, and whether there
// is more below.
struct TopWords {
  std::uint64_t high, low, previous;
  bool more, older;
  std::uint32_t position;

  CIPHERLANE_DEVICE void see(std::uint64_t word, std::uint32_t at) {
    if (word != 0) {
      high = word;
      low = previous;
      more = older;
      position = at;
    }
    older = older || previous != 0;
    previous = word;
  }

  // Field by field: a choice between two of these would put both into memory.
  CIPHERLANE_DEVICE void become_if(bool condition, const TopWords& other) {
    high = condition ? other.high : high;
    low = condition ? other.low : low;
    more = condition ? other.more : more;
    position = condition ? other.position : position;
  }

  // The pattern of the nearest double to the number times 2^-scale_bits, its sign left out: rounded to 53 bits, and
  // once more to what a subnormal holds. Ties go to even.
  CIPHERLANE_DEVICE std::uint64_t pattern(std::uint32_t scale_bits) const {
    if (high == 0) return 0;
    const int spare = 64 - significant_bits(high);
    std::uint64_t top = spare == 0 ? high : high << spare | low >> (64 - spare);
    if (low << spare != 0 || more) top |= 1;
    int exponent = 64 * static_cast<int>(position) - spare + 11 - static_cast<int>(scale_bits);
    std::uint64_t mantissa = rounded(top, 11);
    if (mantissa >> 53 != 0) mantissa >>= 1, ++exponent;
    if (exponent > 1023 - 52) return std::uint64_t{0x7ff} << 52;
    if (exponent >= -1074) return (mantissa & low_bits(52)) | static_cast<std::uint64_t>(exponent + 1075) << 52;
    const int drop = -1074 - exponent;
    return drop > 53 ? 0 : rounded(mantissa, drop);
  }

  CIPHERLANE_DEVICE static std::uint64_t rounded(std::uint64_t x, int drop) {
    const std::uint64_t kept = x >> drop, dropped = x & low_bits(drop), half = std::uint64_t{1} << (drop - 1);
    return kept + (dropped > half || (dropped == half && (kept & 1) != 0) ? 1 : 0);
  }
};

// values <- the signed digits of the plaintexts: the nearest doubles to i 2^-scale_bits, or 64-bit integers i. What
// lies outside the bound, also in a slot that no value takes, is noted by its place among all slots.
struct DecodeRows {
  DevicePointer<std::uint64_t> values;
  DevicePointer<const std::uint64_t> plaintexts;
  PackedRows rows;
  std::uint64_t slots_of_row;  // that are looked at: row_length, or more
  bool floats, bounded;
  std::uint64_t bound;  // the largest magnitude allowed, of doubles as a pattern
  DevicePointer<const std::uint64_t> modulus;
  FaultPointer first;
  std::size_t count;

  // min(x, n - x), in order of limbs
  struct Magnitude {
    const std::uint64_t *x, *n;
    std::uint32_t limbs, next;
    bool complement, borrow;
    std::uint64_t pending;
    int filled;

    CIPHERLANE_DEVICE std::uint64_t limb() {
      if (next >= limbs) return 0;
      const std::uint64_t from = x[next], modulus_limb = n[next];
      ++next;
      if (!complement) return from;
      const std::uint64_t difference = modulus_limb - from, whole = difference - (borrow ? 1 : 0);
      borrow = modulus_limb < from || (borrow && difference == 0);
      return whole;
    }
    CIPHERLANE_DEVICE std::uint64_t bits(int width) {
      std::uint64_t result = pending;
      if (filled >= width) {
        pending = width == 64 ? 0 : pending >> width;
        filled -= width;
      } else {
        const std::uint64_t more = limb();
        result |= more << filled;
        const int taken = width - filled;
        pending = taken == 64 ? 0 : more >> taken;
        filled = 64 - taken;
      }
      return result & low_bits(width);
    }
  };

  // Whether n - x < x
  CIPHERLANE_DEVICE bool above_half(const std::uint64_t* x, const std::uint64_t* n) const {
    if (x[rows.limbs - 1] >> 63 != 0) return true;
    for (std::uint32_t j = rows.limbs; j-- > 0;) {
      const std::uint64_t doubled = x[j] << 1 | (j > 0 ? x[j - 1] >> 63 : 0);
      if (doubled != n[j]) return doubled > n[j];
    }
    return false;
  }

  CIPHERLANE_DEVICE void run(std::size_t index) const {
    const std::uint64_t row = rows.row(index), column = rows.column(index);
    const std::uint64_t* x = plaintexts.get() + index * rows.limbs;
    const bool complement = above_half(x, modulus.get());
    Magnitude magnitude{x, modulus.get(), rows.limbs, 0, complement, false, 0, 0};
    std::uint64_t carry = 0;
    for (std::uint32_t k = 0; k < rows.slots && column + k < slots_of_row; ++k) {
      // The digit, and what it lacks to 2^slot_bits.
      TopWords digit{}, rest{};
      std::uint64_t lacking = 1, top = 0;
      for (std::uint32_t c = 0; 64 * c < rows.slot_bits; ++c) {
        const int width = rows.slot_bits - 64 * c < 64 ? static_cast<int>(rows.slot_bits - 64 * c) : 64;
        const std::uint64_t raw = magnitude.bits(width), sum = raw + carry;
        carry = width == 64 ? (sum < raw ? 1 : 0) : sum >> width;
        const std::uint64_t word = sum & low_bits(width), other = (~word & low_bits(width)) + lacking;
        lacking = width == 64 ? (other < lacking ? 1 : 0) : other >> width;
        digit.see(word, c);
        rest.see(other & low_bits(width), c);
        top = word >> (width - 1);
      }
      // A carry out of a full digit leaves zero and carries on; else a digit of 2^(slot_bits-1) or more is negative.
      const bool high = top != 0;
      if (high) carry = 1;
      digit.become_if(high, rest);
      store(row, column + k, digit, complement != high);
    }
  }

  CIPHERLANE_DEVICE void store(std::uint64_t row, std::uint64_t column, const TopWords& magnitude,
                               bool negative) const {
    const std::uint64_t place = row * slots_of_row + column;
    std::uint64_t value = 0;
    if (floats) {
      value = magnitude.pattern(rows.scale_bits);
      if (bounded && value > bound) note(first, kOutsideBound, place);
      value |= static_cast<std::uint64_t>(negative) << 63;
    } else {
      const bool wide = magnitude.position > 0;
      if (bounded && (wide || magnitude.high > bound)) note(first, kOutsideBound, place);
      if (wide || magnitude.high > (std::uint64_t{1} << 63) - (negative ? 0 : 1)) note(first, kBeyondInteger, place);
      value = negative ? 0 - magnitude.high : magnitude.high;
    }
    if (column < rows.row_length) values.get()[row * rows.row_length + column] = value;
  }
};

// Notes the first row that is zero or not below the modulus.
struct CheckRows {
  DevicePointer<const std::uint64_t> rows;
  std::uint32_t limbs;
  DevicePointer<const std::uint64_t> modulus;
  FaultPointer first;
  std::size_t count;

  CIPHERLANE_DEVICE void run(std::size_t index) const {
    const std::uint64_t *x = rows.get() + index * limbs, *m = modulus.get();
    std::uint64_t any = 0;
    int order = 0;
    for (std::uint32_t j = 0; j < limbs; ++j) {
      any |= x[j];
      if (x[j] != m[j]) order = x[j] < m[j] ? -1 : 1;
    }
    if (any == 0 || order >= 0) note(first, kNotInRange, index);
  }
};

// to <- the elements of an array in C order, each of 2^log_bytes bytes.
struct Compact {
  DevicePointer<unsigned char> to;
  Strided from;
  std::uint32_t log_bytes;
  std::size_t count;

  template <class T>
  CIPHERLANE_DEVICE void move(std::size_t index) const {
    reinterpret_cast<T*>(to.get())[index] = Strided::at<T>(from.address(index));
  }
  CIPHERLANE_DEVICE void run(std::size_t index) const {
    switch (log_bytes) {
      case 0:
        return move<std::uint8_t>(index);
      case 1:
        return move<std::uint16_t>(index);
      case 2:
        return move<std::uint32_t>(index);
      default:
        return move<std::uint64_t>(index);
    }
  }
};

#define CIPHERLANE_ITEM_KERNELS(X) \
  X(EncodeRows)                    \
  X(DecodeRows)                    \
  X(CheckRows)                     \
  X(Compact)

}  // namespace cipherlane::kernels
