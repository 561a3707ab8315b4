#include "portable_ring.hpp"

#include <algorithm>

#include "lane_ring.hpp"
#include "portable_arithmetic.hpp"

namespace cipherlane::portable {
namespace {

// One lane: a group is a residue.
class Arithmetic {
 public:
  static constexpr std::size_t kLanes = 1;
  static constexpr std::size_t kRadixBits = portable::kRadixBits;
  static constexpr bool kCarriesAtOnce = true;
  static constexpr std::size_t kMostSharedBits = 5;

  static WindowCosts window_costs(Exponent kind) {
    if (kind == Exponent::kPublic) return {1, 16, 1.8, 0.8, 0, 0, 0};
    return {1, 8, 1.8, 0.8, 0.01, 0, 0};
  }

  Arithmetic(const Limb* modulus, std::size_t limbs) : modulus_(modulus, limbs) {}

  std::size_t bits() const { return modulus_.bits; }
  std::size_t length() const { return modulus_.length; }
  const Limb* one() const { return modulus_.one.data(); }
  // See combine_pairs for both limits.
  std::size_t most_parts() const { return std::min<std::size_t>(16, kMostProducts / modulus_.length - 1); }

  void multiply_pair(Limb* r, const Limb* x, const Limb* y) const { portable::multiply_pair(r, x, y, modulus_); }
  void square_pair(Limb* r, const Limb* x) const { portable::square_pair(r, x, modulus_); }
  void multiply_factored(Limb* state, const Limb* entry) const { portable::multiply_factored(state, entry, modulus_); }
  void carry(Limb*) const {}
  void multiply_mod(Limb* r, const Limb* a, const Limb* b) const { portable::multiply_mod(r, a, b, modulus_); }
  void add_mod(Limb* r, const Limb* a, const Limb* b) const { portable::add_mod(r, a, b, modulus_); }
  void canonical_digits(Limb* d0, Limb* d1, const Limb* x) const { portable::canonical_digits(d0, d1, x, modulus_); }
  void join(Limb* value, const Limb* d0, const Limb* d1) const { portable::join_digits(value, d0, d1, modulus_); }
  void combine(Limb* r, const Limb* const* numbers, const Limb* const* constants, std::size_t parts) const {
    combine_pairs(r, numbers, constants, parts, modulus_);
  }
  void gather(Limb* r, const Limb* table, const Limb* indices, std::size_t width) const {
    std::copy_n(table + indices[0] * width, width, r);
  }
  void scatter(Limb* const* to, const Limb* x, std::size_t width) const {
    if (to[0] != nullptr) std::copy_n(x, width, to[0]);
  }
  void select(Limb* r, const Limb* table, std::size_t window, const Limb* indices, std::size_t width) const {
    select_group(r, table, std::size_t{1} << window, indices[0], width);
  }
  static std::size_t select_position(std::size_t entry, std::size_t word, std::size_t, std::size_t width) {
    return entry * width + word;
  }
  void select_group(Limb* r, const Limb* groups, std::size_t count, Limb index, std::size_t words) const {
    // A few words at a time stay in registers while all entries pass by.
    constexpr std::size_t kTogether = 6;
    for (std::size_t first = 0; first < words; first += kTogether) {
      const std::size_t here = std::min(kTogether, words - first);
      Limb sum[kTogether] = {};
      for (std::size_t entry = 0; entry < count; ++entry) {
        const Limb difference = entry ^ index;
        const Limb mask = ((difference | (0 - difference)) >> 63) - 1;
        const Limb* from = groups + entry * words + first;
        if (here == kTogether)
          for (std::size_t i = 0; i < kTogether; ++i) sum[i] |= from[i] & mask;
        else
          for (std::size_t i = 0; i < here; ++i) sum[i] |= from[i] & mask;
      }
      std::copy_n(sum, here, r + first);
    }
  }

 private:
  Modulus modulus_;
};

}  // namespace

std::unique_ptr<Ring> make_ring(const Limb* modulus, std::size_t limbs) {
  return std::make_unique<LaneRing<Arithmetic>>(modulus, limbs);
}

}  // namespace cipherlane::portable
