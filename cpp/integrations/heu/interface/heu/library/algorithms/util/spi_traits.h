// Stands in for HEU's header of this name in tests of the adapter: a span of the vector interface holds pointers.
#pragma once

#include "absl/types/span.h"

namespace yacl {
enum class Endian { native, big, little };
}  // namespace yacl

namespace heu::lib::algorithms {

template <typename T>
using Span = absl::Span<T* const>;

template <typename T>
using ConstSpan = absl::Span<const T* const>;

using yacl::Endian;

}  // namespace heu::lib::algorithms
