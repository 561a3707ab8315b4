#include "vector_ring.hpp"

#include <cpuid.h>

#include "lane_ring.hpp"
#include "portable_ring.hpp"

namespace cipherlane {
namespace {

template <class Isa>
class VectorArithmetic {
  using Kernels = VectorKernels<Isa>;

 public:
  static constexpr std::size_t kLanes = Kernels::kLanes;
  static constexpr std::size_t kRadixBits = Kernels::kRadixBits;
  static constexpr bool kCarriesAtOnce = false;
  // 16 groups of a 1024-bit prime are 40 KiB and stay in the first-level cache; 32 do not.
  static constexpr std::size_t kMostSharedBits = 4;
  static_assert(std::size_t{1} << kMostSharedBits <= Kernels::kMostGroups);

  static WindowCosts window_costs(Exponent kind) {
    if (kind == Exponent::kPublic) return {1, 16, 1.8, 0.8, 0, 0, 0};
    // Measured on Zen 5: permutations read eight entries at once, AVX2 has to mask them one by one.
    constexpr double kLookUp = kLanes == 8 ? 0.0025 : 0.013;
    return {Kernels::kFewestSelectBits, Kernels::kMostSelectBits, 1.8, 0.8, kLookUp, 0, 0};
  }

  VectorArithmetic(const Limb* modulus, std::size_t limbs)
      : bits_(bit_length(modulus, limbs)), length_(Kernels::digits_for_bits(bits_)) {
    // The portable backend splits R = 2^(w L) and S = sum_{i=1..L} 2^(w i) in digits base m; both are below m^2, for
    // w L < bits + 60. The digits o of -S mod m make C = S + o, of digits 2^w + o_i, a multiple of m.
    const auto portable = portable::make_ring(modulus, limbs);
    const std::size_t digit_limbs = portable->digit_limbs();
    SecretLimbs number(portable->limbs(), 0), d0(digit_limbs), d1(digit_limbs);
    const auto split = [&] { portable->download_digits(*portable->upload(number.data(), 1), d0.data(), d1.data()); };
    const auto set_bit = [&](std::size_t bit) { number[bit / kLimbBits] |= Limb{1} << bit % kLimbBits; };
    set_bit(kRadixBits * length_);
    split();
    one_ = repeated(d0, d1);
    for (std::size_t i = 1; i < length_; ++i) set_bit(kRadixBits * i);
    split();
    SecretLimbs m(modulus, modulus + digit_limbs);
    subtract(d0.data(), m.data(), d0.data(), digit_limbs);
    offset_ = repeated(d0);
    for (Limb& digit : offset_) digit += Limb{1} << kRadixBits;
    m_ = repeated(m);
    Limb inverse = modulus[0];  // Newton: each step doubles the number of correct low bits, from 3
    for (int step = 0; step < 5; ++step) inverse *= 2 - modulus[0] * inverse;
    constants_ = {length_, m_.data(), offset_.data(), (0 - inverse) & ((Limb{1} << kRadixBits) - 1), 0, {}};
    constants_.set_blocks();
  }

  std::size_t bits() const { return bits_; }
  std::size_t length() const { return length_; }
  const Limb* one() const { return one_.data(); }
  std::size_t most_parts() const { return Kernels::kMostParts; }

  void multiply_pair(Limb* r, const Limb* x, const Limb* y) const { Kernels::multiply_pair(r, x, y, constants_); }
  void square_pair(Limb* r, const Limb* x) const { Kernels::square_pair(r, x, constants_); }
  void multiply_factored(Limb* state, const Limb* entry) const { Kernels::multiply_factored(state, entry, constants_); }
  void carry(Limb* a) const { Kernels::carry_digits(a, constants_); }
  void multiply_mod(Limb* r, const Limb* a, const Limb* b) const { Kernels::multiply_mod(r, a, b, constants_); }
  void add_mod(Limb* r, const Limb* a, const Limb* b) const { Kernels::add_mod(r, a, b, constants_); }
  void canonical_digits(Limb* d0, Limb* d1, const Limb* x) const { Kernels::canonical_digits(d0, d1, x, constants_); }
  void join(Limb* value, const Limb* d0, const Limb* d1) const { Kernels::join_digits(value, d0, d1, constants_); }
  void combine(Limb* r, const Limb* const* numbers, const Limb* const* factors, std::size_t parts) const {
    Kernels::combine_pairs(r, numbers, factors, parts, constants_);
  }
  void gather(Limb* r, const Limb* table, const Limb* indices, std::size_t width) const {
    Kernels::gather(r, table, indices, width);
  }
  void scatter(Limb* const* to, const Limb* x, std::size_t width) const { Kernels::scatter(to, x, width); }
  void select(Limb* r, const Limb* table, std::size_t window, const Limb* indices, std::size_t width) const {
    Kernels::select(r, table, window, indices, width);
  }
  static std::size_t select_position(std::size_t entry, std::size_t word, std::size_t window, std::size_t) {
    return word << window | entry;
  }
  void select_group(Limb* r, const Limb* groups, std::size_t count, Limb index, std::size_t words) const {
    Kernels::select_group(r, groups, count, index, words / kLanes);
  }

 private:
  // Numbers as digits in radix 2^w, one after the other, each digit in all lanes.
  template <class... More>
  Words repeated(const More&... numbers) const {
    Words words;
    words.reserve(sizeof...(numbers) * length_ * kLanes);
    const auto append = [&](const SecretLimbs& number) {
      for (std::size_t i = 0; i < length_; ++i)
        words.insert(words.end(), kLanes, bits_at(number.data(), number.size(), i * kRadixBits, kRadixBits));
    };
    (append(numbers), ...);
    return words;
  }

  std::size_t bits_, length_;
  Words one_, m_, offset_;
  typename Kernels::Constants constants_;
};

// Bits of CPUID leaf 7, register EBX.
constexpr unsigned kAvx2Bit = 1u << 5, kAvx512Bit = 1u << 16, kIfmaBit = 1u << 21;
// XCR0: the operating system saves the SSE and AVX registers; and the mask and ZMM registers.
constexpr unsigned kYmmState = 0x6, kZmmState = 0xe6;

bool has(unsigned features, unsigned state) {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kOsxsave = 1u << 27;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kOsxsave) == 0) return false;
  unsigned xcr0_low = 0, xcr0_high = 0;
  __asm__("xgetbv" : "=a"(xcr0_low), "=d"(xcr0_high) : "c"(0));
  if ((xcr0_low & state) != state) return false;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (ebx & features) == features;
}

}  // namespace

template <>
bool is_usable<Ifma>() {
  return has(kAvx512Bit | kIfmaBit, kZmmState);
}
template <>
bool is_usable<Avx512>() {
  return has(kAvx512Bit, kZmmState);
}
template <>
bool is_usable<Avx2>() {
  return has(kAvx2Bit, kYmmState);
}

template <class Isa>
std::unique_ptr<Ring> make_vector_ring(const Limb* modulus, std::size_t limbs) {
  return std::make_unique<LaneRing<VectorArithmetic<Isa>>>(modulus, limbs);
}

template std::unique_ptr<Ring> make_vector_ring<Ifma>(const Limb*, std::size_t);
template std::unique_ptr<Ring> make_vector_ring<Avx512>(const Limb*, std::size_t);
template std::unique_ptr<Ring> make_vector_ring<Avx2>(const Limb*, std::size_t);

}  // namespace cipherlane
