// Python's view of the codec: numbers to plaintexts and back, and limbs to bytes and back.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>

#include "binding_arrays.hpp"
#include "bindings.hpp"
#include "cipherlane/codec.hpp"
#include "cipherlane/parallel.hpp"

namespace cipherlane {
namespace {

Packing packing_of(std::size_t scale_bits, std::size_t slots, std::size_t slot_bits, const LimbArray& modulus) {
  constexpr std::size_t kMostScaleBits = 8192;
  check_modulus(modulus);
  const std::size_t bits = bit_length(modulus.data(), static_cast<std::size_t>(modulus.shape(0)));
  if (slots < 1 || (slots > 1 && (slot_bits < 2 || slots * slot_bits + 2 > bits)))
    throw py::value_error("slots, slot_bits: expected slots * slot_bits <= " + std::to_string(bits - 2) +
                          " and slot_bits >= 2, got " + std::to_string(slots) + " slots of " +
                          std::to_string(slot_bits) + " bits");
  if (scale_bits > kMostScaleBits)
    throw py::value_error("scale_bits: expected at most 8192, got " + std::to_string(scale_bits));
  return {scale_bits, slots, slots > 1 ? slot_bits : 0};
}

template <class Value>
LimbArray encode_array(const py::array_t<Value, py::array::c_style>& values, std::size_t scale_bits, std::size_t slots,
                       std::size_t slot_bits, const LimbArray& modulus) {
  const Packing packing = packing_of(scale_bits, slots, slot_bits, modulus);
  if (values.ndim() != 1) throw py::value_error("values: expected a 1-D array, got shape " + shape_text(values));
  const auto limbs = static_cast<std::size_t>(modulus.shape(0));
  const auto count = static_cast<std::size_t>(values.shape(0));
  LimbArray out = limb_array((count + slots - 1) / slots, limbs);
  Limb* to = out.mutable_data();
  const Value* from = values.data();
  const Limb* n = modulus.data();
  unlocked([&] { encode(to, from, count, packing, n, limbs); });
  return out;
}

template <class Value>
py::array_t<Value> decode_array(const LimbArray& plaintexts, std::size_t count, std::size_t scale_bits,
                                std::size_t slots, std::size_t slot_bits, const LimbArray& modulus) {
  const Packing packing = packing_of(scale_bits, slots, slot_bits, modulus);
  const auto limbs = static_cast<std::size_t>(modulus.shape(0));
  const std::size_t got = rows("plaintexts", plaintexts, limbs);
  if (got != (count + slots - 1) / slots)
    throw py::value_error("plaintexts: expected " + std::to_string((count + slots - 1) / slots) + " rows for " +
                          std::to_string(count) + " values, got " + std::to_string(got));
  py::array_t<Value> out(static_cast<py::ssize_t>(count));
  Value* to = out.mutable_data();
  const Limb* from = plaintexts.data();
  const Limb* n = modulus.data();
  unlocked([&] { decode(to, from, count, packing, n, limbs); });
  return out;
}

// Big-endian bytes of a fixed width <-> rows of limbs.
constexpr std::size_t kGrainBytes = 1024;

Limb load_big_endian(const unsigned char* from) {
  Limb limb = 0;
  for (std::size_t k = 0; k < sizeof(Limb); ++k) limb = limb << 8 | from[k];
  return limb;
}

void store_big_endian(char* to, Limb limb) {
  for (std::size_t k = 0; k < sizeof(Limb); ++k) to[k] = static_cast<char>(limb >> 8 * (sizeof(Limb) - 1 - k));
}

LimbArray limbs_from_bytes(const py::bytes& data, std::size_t count, std::size_t width, std::size_t limbs) {
  const std::string_view bytes(data);
  if (width == 0 || width > limbs * sizeof(Limb) || bytes.size() / width != count || bytes.size() % width != 0)
    throw py::value_error("data: expected " + std::to_string(count) + " numbers of " + std::to_string(width) +
                          " bytes each, at most " + std::to_string(limbs) + " limbs wide, got " +
                          std::to_string(bytes.size()) + " bytes");
  LimbArray out = limb_array(count, limbs);
  Limb* to = out.mutable_data();
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  unlocked([&] {
    parallel_for(count, kGrainBytes, [&](std::size_t begin, std::size_t end) {
      const std::size_t whole = width / sizeof(Limb);
      std::fill(to + begin * limbs, to + end * limbs, Limb{0});
      for (std::size_t i = begin; i < end; ++i) {
        const unsigned char* last = from + (i + 1) * width;
        for (std::size_t j = 0; j < whole; ++j) to[i * limbs + j] = load_big_endian(last - (j + 1) * sizeof(Limb));
        for (std::size_t j = whole * sizeof(Limb); j < width; ++j)
          to[i * limbs + j / sizeof(Limb)] |= Limb{*(last - 1 - j)} << 8 * (j % sizeof(Limb));
      }
    });
  });
  return out;
}

py::bytes limbs_to_bytes(const LimbArray& values, std::size_t width) {
  if (values.ndim() != 2) throw py::value_error("values: expected a 2-D array, got shape " + shape_text(values));
  const auto count = static_cast<std::size_t>(values.shape(0));
  const auto limbs = static_cast<std::size_t>(values.shape(1));
  // Python's own memory, which nobody else sees yet.
  py::bytes bytes(nullptr, count * width);
  char* to = PyBytes_AS_STRING(bytes.ptr());
  const Limb* data = values.data();
  unlocked([&] {
    parallel_for(count, kGrainBytes, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const Limb* from = data + i * limbs;
        const std::size_t whole = std::min(width / sizeof(Limb), limbs);
        for (std::size_t j = 0; j < whole; ++j)
          store_big_endian(to + (i + 1) * width - (j + 1) * sizeof(Limb), from[j]);
        for (std::size_t j = whole * sizeof(Limb); j < std::max(width, limbs * sizeof(Limb)); ++j) {
          const Limb limb = j / sizeof(Limb) < limbs ? from[j / sizeof(Limb)] : 0;
          const auto byte = static_cast<unsigned char>(limb >> 8 * (j % sizeof(Limb)));
          if (j < width)
            to[(i + 1) * width - 1 - j] = static_cast<char>(byte);
          else if (byte != 0)
            throw std::invalid_argument("values[" + std::to_string(i) + "]: does not fit " + std::to_string(width) +
                                        " bytes");
        }
      }
    });
  });
  return bytes;
}

}  // namespace

void bind_codec(py::module_& module) {
  using py::arg;
  module.def("encode", &encode_array<double>, arg("values").noconvert(), arg("scale_bits"), arg("slots"),
             arg("slot_bits"), arg("modulus"));
  module.def("encode", &encode_array<std::int64_t>, arg("values").noconvert(), arg("scale_bits"), arg("slots"),
             arg("slot_bits"), arg("modulus"));
  module.def("encode", &encode_array<std::uint64_t>, arg("values").noconvert(), arg("scale_bits"), arg("slots"),
             arg("slot_bits"), arg("modulus"));
  module.def("decode_float64", &decode_array<double>, arg("plaintexts"), arg("count"), arg("scale_bits"), arg("slots"),
             arg("slot_bits"), arg("modulus"));
  module.def(
      "decode_int64",
      [](const LimbArray& plaintexts, std::size_t count, std::size_t slots, std::size_t slot_bits,
         const LimbArray& modulus) {
        return decode_array<std::int64_t>(plaintexts, count, 0, slots, slot_bits, modulus);
      },
      arg("plaintexts"), arg("count"), arg("slots"), arg("slot_bits"), arg("modulus"));
  module.def("limbs_from_bytes", &limbs_from_bytes, arg("data"), arg("count"), arg("width"), arg("limbs"));
  module.def("limbs_to_bytes", &limbs_to_bytes, arg("values"), arg("width"));
}

}  // namespace cipherlane
