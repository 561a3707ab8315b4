// What the module consists of; each of these adds a part.
#pragma once

#include <pybind11/pybind11.h>

namespace cipherlane {

void bind_codec(pybind11::module_& module);
void bind_device(pybind11::module_& module);
void bind_public_context(pybind11::module_& module);
void bind_private_context(pybind11::module_& module);

}  // namespace cipherlane
