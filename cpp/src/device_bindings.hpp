// Python's view of a device's memory.
#pragma once

#include <pybind11/pybind11.h>

#include "cipherlane/ring.hpp"

namespace cipherlane {

// Plaintexts below a modulus, in memory of a backend's choice.
struct Plaintexts {
  PlainPtr numbers;
  Limbs modulus;
};

// Residues of a backend in its device's memory, in canonical form.
pybind11::object device_memory_of(PlainPtr numbers, std::size_t limbs);
// The numbers that lie there; throws when the size is not `limbs` each.
Numbers device_rows(const char* name, const pybind11::object& memory, std::size_t limbs, std::size_t& count,
                    const Limbs& modulus);

}  // namespace cipherlane
