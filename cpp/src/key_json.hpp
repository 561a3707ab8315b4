// A public key as the line of JSON that python/cipherlane/paillier/public_key.py reads and writes.
#pragma once

#include <string>

#include "cipherlane/numbers.hpp"

namespace cipherlane {

struct PublicNumbers {
  Limbs n, h_s;                   // h_s empty for a classic key
  std::size_t exponent_bits = 0;  // not 0 for scheme "short"
};

std::string key_to_json(const PublicNumbers& key);
// Throws std::invalid_argument when a field is missing, unknown, twice there, of the wrong type, or contradicts
// another.
PublicNumbers key_from_json(const std::string& text);

}  // namespace cipherlane
