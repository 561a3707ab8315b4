// numpy arrays of limbs as they come from Python and go there, and work on them without the GIL.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string>

#include "cipherlane/limbs.hpp"

namespace cipherlane {

namespace py = pybind11;

using LimbArray = py::array_t<Limb, py::array::c_style>;
using IndexArray = py::array_t<std::int64_t, py::array::c_style>;
using BoolArray = py::array_t<bool, py::array::c_style>;

inline std::string shape_text(const py::array& array) { return py::str(array.attr("shape")).cast<std::string>(); }

// A (count, limbs) array; returns count.
inline std::size_t rows(const char* name, const LimbArray& array, std::size_t limbs) {
  if (array.ndim() != 2 || static_cast<std::size_t>(array.shape(1)) != limbs)
    throw py::value_error(std::string(name) + ": expected an array of shape (count, " + std::to_string(limbs) +
                          "), got shape " + shape_text(array));
  return static_cast<std::size_t>(array.shape(0));
}

template <class Vector>
Vector number(const char* name, const LimbArray& array) {
  if (array.ndim() != 1 || array.shape(0) == 0)
    throw py::value_error(std::string(name) + ": expected a number as a 1-D array of limbs, got shape " +
                          shape_text(array));
  return Vector(array.data(), array.data() + array.shape(0));
}

template <class Vector>
Vector optional_number(const char* name, const std::optional<LimbArray>& array) {
  return array ? number<Vector>(name, *array) : Vector();
}

inline LimbArray limb_array(std::size_t count, std::size_t limbs) {
  return LimbArray({static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(limbs)});
}

inline void check_modulus(const LimbArray& modulus) {
  if (modulus.ndim() != 1 || modulus.shape(0) == 0 || modulus.data()[modulus.shape(0) - 1] == 0)
    throw py::value_error("modulus: expected a 1-D array of limbs whose top limb is not zero");
}

// Runs without the GIL.
template <class Function>
auto unlocked(Function&& function) {
  const py::gil_scoped_release release;
  return function();
}

}  // namespace cipherlane
