// Python's view of a public key's context: operations on batches of ciphertexts.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "binding_arrays.hpp"
#include "cipherlane/paillier.hpp"
#include "device_bindings.hpp"

namespace cipherlane {

struct Batch {
  ResiduesPtr residues;
  std::shared_ptr<PublicContext> context;  // keeps the ring alive
};

class Public {
 public:
  Public(const LimbArray& modulus, const std::optional<LimbArray>& base, const std::string& backend,
         std::size_t window_bits, std::size_t exponent_bits);

  const std::shared_ptr<PublicContext>& context() const { return context_; }

  // The residues of a batch that belongs here: same backend, same modulus.
  const ResiduesPtr& own(const char* name, const Batch& batch) const;

  Batch wrap(ResiduesPtr residues) const { return {std::move(residues), context_}; }
  Batch upload(const LimbArray& ciphertexts) const;
  LimbArray download(const Batch& batch) const;
  Batch encrypt(const LimbArray& plaintexts) const;
  Batch encrypt_encoded(const Plaintexts& plaintexts) const;
  Batch encrypt_with_obfuscators(const LimbArray& plaintexts, const LimbArray& obfuscators) const;
  Batch encrypt_with_exponents(const LimbArray& plaintexts, const LimbArray& exponents) const;
  Batch encrypt_without_obfuscator(const LimbArray& plaintexts) const;
  Batch rerandomise(const Batch& batch) const;
  Batch add(const Batch& a, const Batch& b) const;
  Batch subtract(const Batch& a, const Batch& b) const;
  Batch negate(const Batch& a) const;
  Batch add_plaintexts(const Batch& a, const LimbArray& plaintexts) const;
  Batch add_encoded(const Batch& a, const Plaintexts& plaintexts) const;
  Batch multiply(const Batch& a, const LimbArray& factors, const BoolArray& negative) const;
  Batch segment_sum(const Batch& a, const IndexArray& indices, const IndexArray& offsets) const;
  Batch linear_combinations(const Batch& a, std::size_t columns, const LimbArray& weights,
                            const BoolArray& negative) const;
  Batch take(const Batch& a, const IndexArray& indices) const;
  Batch concatenate(const std::vector<Batch>& batches) const;
  std::int64_t first_not_invertible(const Batch& batch) const;

  // Ciphertexts in a device's memory, in canonical form.
  py::object values(const Batch& batch) const;
  Batch adopt(const py::object& view) const;
  std::size_t plaintext_rows(const LimbArray& plaintexts) const;

  // Plaintexts that belong here: below the same modulus, in memory that the backend reads.
  Numbers encoded(const Plaintexts& plaintexts) const;

 private:
  std::pair<ResiduesPtr, ResiduesPtr> pair(const Batch& a, const Batch& b) const;

  std::shared_ptr<PublicContext> context_;
};

}  // namespace cipherlane
