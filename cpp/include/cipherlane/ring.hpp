// The seam between Paillier and the arithmetic backends: batches of residues mod m^2, for an odd modulus m.
//
// Above this line nobody knows a radix, a lane layout or a Montgomery form; below it nobody knows a key. Numbers cross
// it in canonical form: little-endian 64-bit limbs, C-contiguous (count, limbs), below their modulus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cipherlane/limbs.hpp"

namespace cipherlane {

// A batch of residues in a backend's own form. Immutable once made.
class Residues {
 public:
  explicit Residues(std::size_t count) : count_(count) {}
  virtual ~Residues() = default;
  Residues(const Residues&) = delete;
  Residues& operator=(const Residues&) = delete;
  std::size_t count() const { return count_; }

 private:
  std::size_t count_;
};
using ResiduesPtr = std::shared_ptr<const Residues>;

// Powers of one base, computed once: T[j][d] = base^(d 2^(w j)).
class FixedBaseTable {
 public:
  virtual ~FixedBaseTable() = default;
  virtual std::size_t window_bits() const = 0;
  virtual std::size_t bytes() const = 0;
};

// What windows of a fixed-base table cost on a backend, in products mod m^2.
struct WindowCosts {
  std::size_t fewest_bits, most_bits;  // that a window may have
  double entry;                        // to compute an entry of the table
  double step;                         // to multiply by the entry of one window
  double look_up;                      // to read past one entry, where all are read
  std::size_t entry_bytes;             // memory of an entry
  std::size_t most_bytes;              // of a table, unless the user says otherwise
};

// Constants c_k of x_1, x_2, ... -> sum_k c_k x_k mod m^2, for plain numbers x_k.
class LinearForm {
 public:
  virtual ~LinearForm() = default;
};

struct Term {
  SecretLimbs coefficient;  // canonical, below m^2
  std::size_t bits;         // x_k < 2^bits
};

// Plain numbers lie in the host's memory, or where a backend keeps its batches.
enum class Memory { kHost, kBackend };

// Plain numbers in canonical form, (count, limbs); values may be null for none.
struct Numbers {
  const Limb* values = nullptr;
  std::size_t limbs = 0;
  Memory memory = Memory::kHost;
};

// Plain numbers that a ring made, in memory of its backend's choice. They are overwritten before it is given back.
class PlainNumbers {
 public:
  explicit PlainNumbers(std::size_t count) : count_(count) {}
  virtual ~PlainNumbers() = default;
  PlainNumbers(const PlainNumbers&) = delete;
  PlainNumbers& operator=(const PlainNumbers&) = delete;
  std::size_t count() const { return count_; }
  virtual Numbers view() const = 0;
  virtual void read(Limb* values) const = 0;  // to the host, (count, limbs)

 private:
  std::size_t count_;
};
using PlainPtr = std::shared_ptr<const PlainNumbers>;

// Whether an exponent may show in timing or in the addresses of memory that is read.
enum class Exponent { kPublic, kSecret };

class Ring {
 public:
  virtual ~Ring() = default;

  // Where its batches lie: "cpu", or a device's name.
  virtual std::string device() const { return "cpu"; }

  virtual std::size_t modulus_bits() const = 0;
  std::size_t digit_limbs() const { return limbs_for_bits(modulus_bits()); }
  std::size_t limbs() const { return limbs_for_bits(2 * modulus_bits()); }

  // Conversion. evaluate: r_i <- sum_k c_k x_{k,i}. digits: x = d0 + d1 m, both below m; d0 may be null.
  virtual std::shared_ptr<const LinearForm> linear_form(const std::vector<Term>& terms) const = 0;
  virtual ResiduesPtr evaluate(const LinearForm& form, const std::vector<Numbers>& numbers,
                               std::size_t count) const = 0;
  virtual ResiduesPtr upload(const Limb* values, std::size_t count) const = 0;
  virtual void download(const Residues& x, Limb* values) const = 0;
  virtual void download_digits(const Residues& x, Limb* d0, Limb* d1) const = 0;
  // The same for numbers that another ring of this backend takes up again.
  virtual PlainPtr values(const Residues& x) const;
  virtual std::pair<PlainPtr, PlainPtr> digits(const Residues& x) const;
  // Uniform in [0, 2^bits), from a generator seeded by the operating system.
  virtual PlainPtr random_numbers(std::size_t count, std::size_t bits) const;

  // Products. Either operand of multiply may hold a single residue that serves all.
  virtual ResiduesPtr multiply(const Residues& x, const Residues& y) const = 0;
  // r_i <- (1 + a_i m) x_i; x may hold a single residue. a: (count, digit_limbs), below m.
  virtual ResiduesPtr multiply_one_plus(const Residues& x, Numbers a, std::size_t count) const = 0;
  // r_s <- product of x[indices[i]], offsets[s] <= i < offsets[s+1]; 1 for an empty segment.
  virtual ResiduesPtr segment_product(const Residues& x, const std::int64_t* indices, const std::int64_t* offsets,
                                      std::size_t segments) const = 0;

  // Powers. One exponent for all (exponents.limbs limbs), or one each.
  virtual ResiduesPtr power_shared(const Residues& x, const Limb* exponent, std::size_t exponent_bits,
                                   Exponent kind) const = 0;
  virtual ResiduesPtr power_each_vartime(const Residues& x, Numbers exponents, std::size_t count) const = 0;
  // A table for one base, given with its inverse; both canonical, below m^2.
  virtual std::shared_ptr<const FixedBaseTable> fixed_base_table(const Limb* base, const Limb* inverse,
                                                                 std::size_t exponent_bits, std::size_t window_bits,
                                                                 Exponent kind) const = 0;
  virtual WindowCosts window_costs(Exponent kind) const = 0;
  // r_i <- (1 + a_i m) base^(exponent_i). a: (count, digit_limbs), below m; none for zeros.
  virtual ResiduesPtr fixed_base_power(const FixedBaseTable& table, Numbers exponents, Numbers a,
                                       std::size_t count) const = 0;
  // r[i, c] <- prod_j x[j, c]^weights[i, j], with inverse[j, c] in place of x[j, c] where negative[i, j].
  virtual ResiduesPtr multi_power_vartime(const Residues& x, const Residues* inverse, std::size_t columns,
                                          Numbers weights, const bool* negative, std::size_t rows,
                                          std::size_t inner) const = 0;

  // Rearrangement.
  virtual ResiduesPtr take(const Residues& x, const std::int64_t* indices, std::size_t count) const = 0;
  virtual ResiduesPtr concatenate(const std::vector<ResiduesPtr>& parts) const = 0;
};

// x_i^-1 for all i from one inversion and about three multiplications each (a product tree; Montgomery 1987,
// section 10.3.1). Throws std::domain_error when some x_i has a factor in common with m.
ResiduesPtr invert(const Ring& ring, const Limb* modulus, const ResiduesPtr& x);

// Raised when a backend asked for by name cannot be used; the message names those that can.
class BackendUnavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// All backends of this build, and those that this machine can run, best first.
std::vector<std::string> known_backends();
std::vector<std::string> usable_backends();

// The ring mod m^2; m odd, its top limb not zero, 256 <= bits <= 4096.
std::unique_ptr<Ring> make_ring(const std::string& backend, const Limb* modulus, std::size_t limbs);

}  // namespace cipherlane
