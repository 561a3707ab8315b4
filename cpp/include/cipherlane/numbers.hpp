// Numbers of any size between limbs and what others hold them in: big-endian bytes, hexadecimal text.
#pragma once

#include <string>
#include <vector>

#include "cipherlane/limbs.hpp"

namespace cipherlane {

using Bytes = std::vector<std::uint8_t>;

// Least significant limb first; leading zeros stay. Bytes are big-endian.
Limbs limbs_from_bytes(const std::uint8_t* bytes, std::size_t count);
// Exactly `width` bytes. Throws std::invalid_argument when the number needs more.
Bytes bytes_from_limbs(const Limb* value, std::size_t limbs, std::size_t width);

// The same for (count, limbs) numbers, each of `width` bytes.
Bytes rows_to_bytes(const Limbs& numbers, std::size_t limbs, std::size_t width);
Limbs rows_from_bytes(const std::uint8_t* bytes, std::size_t count, std::size_t width, std::size_t limbs);

// Lower-case digits without a prefix. Throws std::invalid_argument, which names the argument, at any other character.
Limbs limbs_from_hex(const std::string& name, const std::string& digits);
std::string hex_from_limbs(const Limb* value, std::size_t limbs);

}  // namespace cipherlane
