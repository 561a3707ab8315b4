#include "cipherlane/numbers.hpp"

#include <stdexcept>

namespace cipherlane {

Limbs limbs_from_bytes(const std::uint8_t* bytes, std::size_t count) {
  Limbs value((count + 7) / 8, 0);
  for (std::size_t i = 0; i < count; ++i) value[i / 8] |= Limb{bytes[count - 1 - i]} << 8 * (i % 8);
  return value;
}

Bytes bytes_from_limbs(const Limb* value, std::size_t limbs, std::size_t width) {
  Bytes bytes(width, 0);
  for (std::size_t i = 0; i < 8 * limbs; ++i) {
    const auto byte = static_cast<std::uint8_t>(value[i / 8] >> 8 * (i % 8));
    if (i < width)
      bytes[width - 1 - i] = byte;
    else if (byte != 0)
      throw std::invalid_argument("value: expected a number of at most " + std::to_string(width) +
                                  " bytes, got a longer one");
  }
  return bytes;
}

Bytes rows_to_bytes(const Limbs& numbers, std::size_t limbs, std::size_t width) {
  Bytes bytes;
  bytes.reserve(numbers.size() / limbs * width);
  for (std::size_t i = 0; i < numbers.size(); i += limbs) {
    const Bytes one = bytes_from_limbs(numbers.data() + i, limbs, width);
    bytes.insert(bytes.end(), one.begin(), one.end());
  }
  return bytes;
}

Limbs rows_from_bytes(const std::uint8_t* bytes, std::size_t count, std::size_t width, std::size_t limbs) {
  Limbs numbers;
  numbers.reserve(count * limbs);
  for (std::size_t i = 0; i < count; ++i) {
    Limbs one = limbs_from_bytes(bytes + i * width, width);
    one.resize(limbs, 0);
    numbers.insert(numbers.end(), one.begin(), one.end());
  }
  return numbers;
}

Limbs limbs_from_hex(const std::string& name, const std::string& digits) {
  if (digits.empty()) throw std::invalid_argument(name + ": expected hexadecimal digits, got an empty text");
  Limbs value((digits.size() + 15) / 16, 0);
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const char c = digits[digits.size() - 1 - i];
    const bool decimal = c >= '0' && c <= '9';
    if (!decimal && (c < 'a' || c > 'f'))
      throw std::invalid_argument(name + ": expected lower-case hexadecimal digits, got another character");
    value[i / 16] |= static_cast<Limb>(decimal ? c - '0' : c - 'a' + 10) << 4 * (i % 16);
  }
  return value;
}

std::string hex_from_limbs(const Limb* value, std::size_t limbs) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const std::size_t bits = bit_length(value, limbs);
  std::string text;
  for (std::size_t low = (bits + 3) / 4 * 4; low >= 4; low -= 4) text += kDigits[bits_at(value, limbs, low - 4, 4)];
  return text.empty() ? "0" : text;
}

}  // namespace cipherlane
