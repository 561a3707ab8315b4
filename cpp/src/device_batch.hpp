// Batches and plain numbers in a device's memory.
#pragma once

#include <stdexcept>

#include "cipherlane/ring.hpp"
#include "device.hpp"

namespace cipherlane {

constexpr std::size_t kWordsOfLimb = sizeof(Limb) / sizeof(std::uint32_t);
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "limbs go to the device as pairs of words");

inline const std::uint32_t* words_of(const Limb* limbs) { return reinterpret_cast<const std::uint32_t*>(limbs); }

// Residues in Montgomery form, a row each.
class DeviceBatch final : public Residues {
 public:
  DeviceBatch(Device& device, std::size_t count, std::size_t row_words, bool secret)
      : Residues(count), row_words_(row_words), rows_(device, count * row_words, secret) {}
  std::size_t row_words() const { return row_words_; }
  kernels::WordPointer row(std::size_t index) { return rows_.get() + index * row_words_; }
  kernels::ConstWordPointer row(std::size_t index) const { return rows_.get() + index * row_words_; }

 private:
  std::size_t row_words_;
  DeviceBuffer<std::uint32_t> rows_;
};

// Plain numbers, a row of whole limbs each; secret.
class DeviceNumbers final : public PlainNumbers {
 public:
  DeviceNumbers(Device& device, std::size_t count, std::size_t limbs)
      : PlainNumbers(count), device_(device), limbs_(limbs), words_(device, count * row_words(), true) {}
  std::size_t row_words() const { return limbs_ * kWordsOfLimb; }
  kernels::WordPointer row(std::size_t index) { return words_.get() + index * row_words(); }
  Numbers view() const override {
    return {reinterpret_cast<const Limb*>(words_.get().address()), limbs_, Memory::kBackend};
  }
  void read(Limb* values) const override {
    if (count() != 0) device_.download(values, words_.get().address(), count() * limbs_ * sizeof(Limb));
  }

 private:
  Device& device_;
  std::size_t limbs_;
  DeviceBuffer<std::uint32_t> words_;
};

// Rows of plain numbers on the device: where they are, or uploaded for as long as this lives.
class NumbersOnDevice {
 public:
  NumbersOnDevice(Device& device, const Numbers& numbers, std::size_t first, std::size_t count)
      : words_(static_cast<std::uint32_t>(numbers.limbs * kWordsOfLimb)) {
    if (numbers.values == nullptr) return;
    const std::uint32_t* from = words_of(numbers.values) + first * words_;
    if (numbers.memory == Memory::kBackend) {
      rows_ = kernels::ConstWordPointer(from);
      return;
    }
    uploaded_ = DeviceBuffer<std::uint32_t>(device, count * words_, true);
    uploaded_.upload(from);
    rows_ = uploaded_.get();
  }
  // Temporary memory for each number.
  static std::size_t bytes(const Numbers& numbers) {
    return numbers.values != nullptr && numbers.memory == Memory::kHost ? numbers.limbs * sizeof(Limb) : 0;
  }
  kernels::ConstWordPointer rows() const { return rows_; }
  std::uint32_t words() const { return words_; }

 private:
  std::uint32_t words_;
  DeviceBuffer<std::uint32_t> uploaded_;
  kernels::ConstWordPointer rows_;
};

}  // namespace cipherlane
