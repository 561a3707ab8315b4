// The bytes of a batch, as python/cipherlane/paillier/serialisation.py has them; its head describes the format.
#pragma once

#include "cipherlane/cipherlane.hpp"

namespace cipherlane::message {

struct Header {
  FixedPoint codec;
  std::size_t scale_bits = 0, bound_bits = 0;
};

Bytes pack(const PublicKey& key, const Header& header, const Limbs& ciphertexts);
// Header, and limbs of ciphertexts that are still to be checked. Throws std::invalid_argument when the bytes are not
// exactly what would have been written, or belong to another key.
std::pair<Header, Limbs> unpack(const PublicKey& key, const Bytes& data);

}  // namespace cipherlane::message
