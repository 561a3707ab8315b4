// How batches lie in memory.
//
// In lanes: a group is kLanes pairs of 2L digits, digit-major, so that digit i of lane l is word i kLanes + l. In rows:
// one number after the other, each padded to a multiple of kLanes words; that is how entries are looked up.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "cipherlane/parallel.hpp"
#include "cipherlane/ring.hpp"

namespace cipherlane {

constexpr std::align_val_t kVectorAlignment{64};

// Scratch memory: zero at first, overwritten before it is given back.
template <class T>
struct AlignedWipingAllocator : WipingAllocator<T> {
  template <class U>
  struct rebind {
    using other = AlignedWipingAllocator<U>;
  };
  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kVectorAlignment)); }
  void deallocate(T* memory, std::size_t count) noexcept {
    wipe(memory, count * sizeof(T));
    ::operator delete(memory, kVectorAlignment);
  }
};
using Words = std::vector<Limb, AlignedWipingAllocator<Limb>>;

enum class Secrecy { kPublic, kSecret };

// The memory of a batch or a table, unset at first. What is secret is overwritten before it is given back.
class Buffer {
 public:
  Buffer(std::size_t words, Secrecy secrecy)
      : words_(words),
        secrecy_(secrecy),
        alignment_(words * sizeof(Limb) >= 2 * kLargePage ? std::align_val_t{kLargePage} : kVectorAlignment),
        memory_(static_cast<Limb*>(::operator new(words * sizeof(Limb), alignment_))) {
#if defined(__linux__)
    // Advice only: without large pages the same memory costs more look-ups of addresses.
    if (alignment_ != kVectorAlignment) ::madvise(memory_, words * sizeof(Limb), MADV_HUGEPAGE);
#endif
  }
  ~Buffer() {
    if (secrecy_ == Secrecy::kSecret) wipe(memory_, words_ * sizeof(Limb));
    ::operator delete(memory_, alignment_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::size_t words() const { return words_; }
  Limb* data() { return memory_; }
  const Limb* data() const { return memory_; }

 private:
  static constexpr std::size_t kLargePage = std::size_t{2} << 20;
  std::size_t words_;
  Secrecy secrecy_;
  std::align_val_t alignment_;
  Limb* memory_;
};

// A batch in lanes. Lanes past its end hold nothing that depends on a secret.
class LaneBatch final : public Residues {
 public:
  LaneBatch(std::size_t count, std::size_t lanes, std::size_t group_words, Secrecy secrecy)
      : Residues(count),
        group_words_(group_words),
        groups_((count + lanes - 1) / lanes),
        buffer_(groups_ * group_words, secrecy) {
    if (count % lanes != 0) std::fill_n(group(groups_ - 1), group_words_, Limb{0});
  }
  std::size_t groups() const { return groups_; }
  std::size_t group_words() const { return group_words_; }
  Limb* group(std::size_t g) { return buffer_.data() + g * group_words_; }
  const Limb* group(std::size_t g) const { return buffer_.data() + g * group_words_; }

 private:
  std::size_t group_words_, groups_;
  Buffer buffer_;
};

template <class Arithmetic>
class LaneLayout {
 public:
  static constexpr std::size_t kLanes = Arithmetic::kLanes;
  static constexpr std::size_t kRadixBits = Arithmetic::kRadixBits;
  using Lanes = std::array<Limb, kLanes>;

  explicit LaneLayout(std::size_t length) : length_(length) {}

  std::size_t length() const { return length_; }               // L, digits of half a residue
  std::size_t width() const { return 2 * length_; }            // digits of a residue
  std::size_t half_words() const { return length_ * kLanes; }  // words of half a group
  std::size_t words() const { return 2 * length_ * kLanes; }   // words of a group
  std::size_t row_width() const { return (2 * length_ + kLanes - 1) / kLanes * kLanes; }
  std::size_t row_words() const { return row_width() * kLanes; }  // words of a group of rows

  static std::size_t groups(std::size_t count) { return (count + kLanes - 1) / kLanes; }

  std::shared_ptr<LaneBatch> make_batch(std::size_t count, Secrecy secrecy) const {
    return std::make_shared<LaneBatch>(count, kLanes, words(), secrecy);
  }

  // Calls body(begin, end) for ranges of at most `grain` groups that cover `count` numbers, on all threads.
  template <class Body>
  static void for_groups(std::size_t count, std::size_t grain, Body&& body) {
    parallel_for(groups(count), grain, body);
  }

  void copy_lane(Limb* to, std::size_t to_lane, const Limb* from, std::size_t from_lane) const {
    for (std::size_t i = 0; i < width(); ++i) to[i * kLanes + to_lane] = from[i * kLanes + from_lane];
  }

  // to <- the bits [first, first + bits) of numbers g kLanes, ..., one in each lane; zero past the end of the batch.
  void fill(Limb* to, const Numbers& numbers, std::size_t g, std::size_t count, std::size_t first,
            std::size_t bits) const {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const std::size_t index = g * kLanes + lane;
      const Limb* value = numbers.values + index * numbers.limbs;
      for (std::size_t i = 0; i < length_; ++i) {
        const std::size_t low = i * kRadixBits;
        to[i * kLanes + lane] = index < count && low < bits
                                    ? bits_at(value, numbers.limbs, first + low, std::min(kRadixBits, bits - low))
                                    : 0;
      }
    }
  }

  // values[index] <- the digits of each lane, as `out` 64-bit limbs
  void spill(Limb* values, std::size_t out, const Limb* digits, std::size_t length, std::size_t g,
             std::size_t count) const {
    for (std::size_t lane = 0; lane < kLanes && g * kLanes + lane < count; ++lane) {
      Limb* value = values + (g * kLanes + lane) * out;
      std::fill_n(value, out, Limb{0});
      for (std::size_t i = 0; i < length; ++i) {
        const Limb digit = digits[i * kLanes + lane];
        const std::size_t index = i * kRadixBits / kLimbBits;
        const std::size_t offset = i * kRadixBits % kLimbBits;
        if (index < out) value[index] |= digit << offset;
        if (offset + kRadixBits > kLimbBits && index + 1 < out) value[index + 1] |= digit >> (kLimbBits - offset);
      }
    }
  }

 private:
  std::size_t length_;
};

// One residue after the other, the last of them `one`; a copy of a batch, or the batch itself where lanes are one.
template <class Arithmetic>
class Rows {
 public:
  using Layout = LaneLayout<Arithmetic>;

  Rows(const Arithmetic& arithmetic, const Layout& layout, const std::vector<const LaneBatch*>& batches)
      : width_(layout.row_width()), count_(0) {
    for (const LaneBatch* batch : batches) count_ += batch->count();
    buffer_ = std::make_unique<Buffer>((count_ + 1) * width_, Secrecy::kPublic);
    std::size_t first = 0;
    for (const LaneBatch* batch : batches) {
      constexpr std::size_t kGrain = 1024 / Layout::kLanes;
      Layout::for_groups(batch->count(), kGrain, [&](std::size_t begin, std::size_t end) {
        Words padded(layout.row_words());
        for (std::size_t g = begin; g < end; ++g) {
          std::copy_n(batch->group(g), layout.words(), padded.data());
          Limb* to[Layout::kLanes];
          for (std::size_t lane = 0; lane < Layout::kLanes; ++lane) {
            const std::size_t index = g * Layout::kLanes + lane;
            to[lane] = index < batch->count() ? row(first + index) : nullptr;
          }
          arithmetic.scatter(to, padded.data(), width_);
        }
      });
      first += batch->count();
    }
    for (std::size_t i = 0; i < layout.width(); ++i) row(count_)[i] = arithmetic.one()[i * Layout::kLanes];
    std::fill(row(count_) + layout.width(), row(count_) + width_, Limb{0});
  }

  std::size_t one() const { return count_; }
  const Limb* data() const { return buffer_->data(); }

 private:
  Limb* row(std::size_t index) { return buffer_->data() + index * width_; }

  std::size_t width_, count_;
  std::unique_ptr<Buffer> buffer_;
};

inline void prefetch_row(const Limb* row, std::size_t width) {
#if defined(__GNUC__)
  for (std::size_t i = 0; i < width; i += 8) __builtin_prefetch(row + i);
#else
  (void)row, (void)width;
#endif
}

}  // namespace cipherlane
