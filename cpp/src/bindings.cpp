// Python's view of the core: numpy arrays of limbs in and out, the GIL released while a batch runs.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "cipherlane/codec.hpp"
#include "cipherlane/device_info.hpp"
#include "cipherlane/multiply_peak.hpp"
#include "cipherlane/paillier.hpp"
#include "cipherlane/parallel.hpp"
#include "cipherlane/random.hpp"
#include "device_bindings.hpp"
#ifdef CIPHERLANE_EMULATED_DEVICE
#include "emulated_device.hpp"
#endif

namespace py = pybind11;

namespace cipherlane {
namespace {

using LimbArray = py::array_t<Limb, py::array::c_style>;
using IndexArray = py::array_t<std::int64_t, py::array::c_style>;
using BoolArray = py::array_t<bool, py::array::c_style>;

void check_python_signals() {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

std::string shape_text(const py::array& array) { return py::str(array.attr("shape")).cast<std::string>(); }

// A (count, limbs) array; returns count.
std::size_t rows(const char* name, const LimbArray& array, std::size_t limbs) {
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

LimbArray limb_array(std::size_t count, std::size_t limbs) {
  return LimbArray({static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(limbs)});
}

// Runs without the GIL.
template <class Function>
auto unlocked(Function&& function) {
  const py::gil_scoped_release release;
  return function();
}

struct Batch {
  ResiduesPtr residues;
  std::shared_ptr<PublicContext> context;  // keeps the ring alive
};

class Public {
 public:
  Public(const LimbArray& modulus, const std::optional<LimbArray>& base, const std::string& backend,
         std::size_t window_bits, std::size_t exponent_bits) {
    auto n = number<Limbs>("modulus", modulus);
    auto h_s = optional_number<Limbs>("obfuscator_base", base);
    context_ = unlocked([&] {
      return std::make_shared<PublicContext>(std::move(n), std::move(h_s), backend, window_bits, exponent_bits);
    });
  }

  const std::shared_ptr<PublicContext>& context() const { return context_; }

  // The residues of a batch that belongs here: same backend, same modulus.
  const ResiduesPtr& own(const char* name, const Batch& batch) const {
    if (batch.context != context_ &&
        (batch.context->backend() != context_->backend() || batch.context->modulus() != context_->modulus()))
      throw py::value_error(std::string(name) + ": expected a batch of this modulus and of backend '" +
                            context_->backend() + "', got one of another modulus or backend");
    return batch.residues;
  }

  Batch wrap(ResiduesPtr residues) const { return {std::move(residues), context_}; }

  Batch upload(const LimbArray& ciphertexts) const {
    const std::size_t count = rows("ciphertexts", ciphertexts, context_->ciphertext_limbs());
    const Limb* data = ciphertexts.data();
    return wrap(unlocked([&] { return context_->upload(data, count); }));
  }

  LimbArray download(const Batch& batch) const {
    const ResiduesPtr x = own("batch", batch);
    LimbArray out = limb_array(x->count(), context_->ciphertext_limbs());
    Limb* data = out.mutable_data();
    unlocked([&] { context_->download(*x, data); });
    return out;
  }

  Batch encrypt(const LimbArray& plaintexts) const {
    const std::size_t count = plaintext_rows(plaintexts);
    const Limb* data = plaintexts.data();
    return wrap(unlocked([&] { return context_->encrypt(context_->plaintexts(data), count); }));
  }

  Batch encrypt_encoded(const Plaintexts& plaintexts) const {
    const Numbers numbers = encoded(plaintexts);
    return wrap(unlocked([&] { return context_->encrypt(numbers, plaintexts.numbers->count()); }));
  }

  Batch encrypt_with_obfuscators(const LimbArray& plaintexts, const LimbArray& obfuscators) const {
    const std::size_t count = plaintext_rows(plaintexts);
    same("obfuscators", rows("obfuscators", obfuscators, context_->plaintext_limbs()), count);
    const Limb* m = plaintexts.data();
    const Limb* r = obfuscators.data();
    return wrap(unlocked([&] { return context_->encrypt_with_obfuscators(m, r, count); }));
  }

  Batch encrypt_with_exponents(const LimbArray& plaintexts, const LimbArray& exponents) const {
    const std::size_t count = plaintext_rows(plaintexts);
    same("exponents", rows("exponents", exponents, limbs_for_bits(context_->noise_exponent_bits())), count);
    const Limb* m = plaintexts.data();
    const Limb* a = exponents.data();
    return wrap(unlocked([&] { return context_->encrypt_with_exponents(m, a, count); }));
  }

  Batch encrypt_without_obfuscator(const LimbArray& plaintexts) const {
    const std::size_t count = plaintext_rows(plaintexts);
    const Limb* data = plaintexts.data();
    return wrap(unlocked([&] { return context_->encrypt_without_obfuscator(data, count); }));
  }

  Batch rerandomise(const Batch& batch) const {
    const ResiduesPtr x = own("batch", batch);
    return wrap(unlocked([&] { return context_->rerandomise(*x); }));
  }

  Batch add(const Batch& a, const Batch& b) const {
    const auto [x, y] = pair(a, b);
    return wrap(unlocked([&] { return context_->add(*x, *y); }));
  }

  Batch subtract(const Batch& a, const Batch& b) const {
    const auto [x, y] = pair(a, b);
    return wrap(unlocked([&] { return context_->subtract(*x, y); }));
  }

  Batch negate(const Batch& a) const {
    const ResiduesPtr x = own("a", a);
    return wrap(unlocked([&] { return context_->negate(x); }));
  }

  Batch add_plaintexts(const Batch& a, const LimbArray& plaintexts) const {
    const ResiduesPtr x = own("a", a);
    const std::size_t count = plaintext_rows(plaintexts);
    if (x->count() != 1) same("plaintexts", count, x->count());
    const Numbers numbers = context_->plaintexts(plaintexts.data());
    return wrap(unlocked([&] { return context_->add_plaintexts(*x, numbers, count); }));
  }

  Batch add_encoded(const Batch& a, const Plaintexts& plaintexts) const {
    const ResiduesPtr x = own("a", a);
    const Numbers numbers = encoded(plaintexts);
    const std::size_t count = plaintexts.numbers->count();
    if (x->count() != 1) same("plaintexts", count, x->count());
    return wrap(unlocked([&] { return context_->add_plaintexts(*x, numbers, count); }));
  }

  Batch multiply(const Batch& a, const LimbArray& factors, const BoolArray& negative) const {
    const ResiduesPtr x = own("a", a);
    if (factors.ndim() != 2 || factors.shape(1) == 0)
      throw py::value_error("factors: expected an array of shape (count, limbs), got shape " + shape_text(factors));
    const auto given = static_cast<std::size_t>(factors.shape(0));
    const auto width = static_cast<std::size_t>(factors.shape(1));
    if (negative.ndim() != 1)
      throw py::value_error("negative: expected a 1-D array, got shape " + shape_text(negative));
    same("negative", static_cast<std::size_t>(negative.shape(0)), given);
    const std::size_t count = given == 1 ? x->count() : given;
    if (x->count() != 1) same("factors", count, x->count());
    if (given == count) {
      const Limb* data = factors.data();
      const bool* signs = negative.data();
      return wrap(unlocked([&] { return context_->multiply(x, {data, width}, signs, count); }));
    }
    // one factor for all
    Limbs repeated(count * width);
    for (std::size_t i = 0; i < count; ++i) std::copy_n(factors.data(), width, repeated.data() + i * width);
    const std::unique_ptr<bool[]> signs(new bool[count]);
    std::fill_n(signs.get(), count, *negative.data());
    return wrap(unlocked([&] { return context_->multiply(x, {repeated.data(), width}, signs.get(), count); }));
  }

  Batch segment_sum(const Batch& a, const IndexArray& indices, const IndexArray& offsets) const {
    const ResiduesPtr x = own("a", a);
    check_indices(indices, x->count());
    if (offsets.ndim() != 1 || offsets.shape(0) < 1)
      throw py::value_error("offsets: expected a 1-D array with at least one element, got shape " +
                            shape_text(offsets));
    const auto segments = static_cast<std::size_t>(offsets.shape(0)) - 1;
    const std::int64_t* bounds = offsets.data();
    if (bounds[0] != 0 || bounds[segments] != indices.shape(0) || !std::is_sorted(bounds, bounds + segments + 1))
      throw py::value_error("offsets: expected to rise from 0 to the number of indices, " +
                            std::to_string(indices.shape(0)));
    const std::int64_t* data = indices.data();
    return wrap(unlocked([&] { return context_->segment_sum(*x, data, bounds, segments); }));
  }

  Batch linear_combinations(const Batch& a, std::size_t columns, const LimbArray& weights,
                            const BoolArray& negative) const {
    const ResiduesPtr x = own("a", a);
    if (weights.ndim() != 3 || negative.ndim() != 2 || weights.shape(2) == 0 || weights.shape(0) != negative.shape(0) ||
        weights.shape(1) != negative.shape(1))
      throw py::value_error("weights, negative: expected shapes (rows, inner, limbs) and (rows, inner), got " +
                            shape_text(weights) + " and " + shape_text(negative));
    const auto out_rows = static_cast<std::size_t>(weights.shape(0));
    const auto inner = static_cast<std::size_t>(weights.shape(1));
    const auto width = static_cast<std::size_t>(weights.shape(2));
    if (columns == 0 || inner * columns != x->count())
      throw py::value_error("a: expected " + std::to_string(inner) + " x " + std::to_string(columns) +
                            " ciphertexts, got " + std::to_string(x->count()));
    const Limb* data = weights.data();
    const bool* signs = negative.data();
    return wrap(unlocked([&] { return context_->linear_combinations(x, columns, {data, width}, signs, out_rows); }));
  }

  Batch take(const Batch& a, const IndexArray& indices) const {
    const ResiduesPtr x = own("a", a);
    check_indices(indices, x->count());
    const std::int64_t* data = indices.data();
    const auto count = static_cast<std::size_t>(indices.shape(0));
    return wrap(unlocked([&] { return context_->ring().take(*x, data, count); }));
  }

  Batch concatenate(const std::vector<Batch>& batches) const {
    std::vector<ResiduesPtr> parts;
    for (const Batch& batch : batches) parts.push_back(own("batches", batch));
    return wrap(unlocked([&] { return context_->ring().concatenate(parts); }));
  }

  std::int64_t first_not_invertible(const Batch& batch) const {
    const ResiduesPtr x = own("batch", batch);
    return unlocked([&] { return context_->first_not_invertible(*x); });
  }

  // Ciphertexts in a device's memory, in canonical form.
  py::object values(const Batch& batch) const {
    const ResiduesPtr x = own("batch", batch);
    return device_memory_of(unlocked([&] { return context_->ring().values(*x); }), context_->ciphertext_limbs());
  }

  Batch adopt(const py::object& view) const {
    std::size_t count = 0;
    const Numbers rows = device_rows("ciphertexts", view, context_->ciphertext_limbs(), count, context_->square());
    return wrap(unlocked([&] { return context_->adopt(rows, count); }));
  }

  std::size_t plaintext_rows(const LimbArray& plaintexts) const {
    return rows("plaintexts", plaintexts, context_->plaintext_limbs());
  }

  // Plaintexts that belong here: below the same modulus, in memory that the backend reads.
  Numbers encoded(const Plaintexts& plaintexts) const {
    const Numbers numbers = plaintexts.numbers->view();
    if (plaintexts.modulus != context_->modulus() ||
        (numbers.memory == Memory::kBackend && context_->ring().device() == "cpu"))
      throw py::value_error("plaintexts: expected some of this modulus, in memory that backend '" +
                            context_->backend() + "' reads, got others");
    return numbers;
  }

 private:
  static void same(const char* name, std::size_t got, std::size_t expected) {
    if (got != expected)
      throw py::value_error(std::string(name) + ": expected " + std::to_string(expected) + " rows, got " +
                            std::to_string(got));
  }

  std::pair<ResiduesPtr, ResiduesPtr> pair(const Batch& a, const Batch& b) const {
    std::pair<ResiduesPtr, ResiduesPtr> both{own("a", a), own("b", b)};
    if (both.first->count() != 1 && both.second->count() != 1) same("b", both.second->count(), both.first->count());
    return both;
  }

  static void check_indices(const IndexArray& indices, std::size_t count) {
    if (indices.ndim() != 1) throw py::value_error("indices: expected a 1-D array, got shape " + shape_text(indices));
    const std::int64_t* data = indices.data();
    for (py::ssize_t i = 0; i < indices.shape(0); ++i)
      if (data[i] < 0 || static_cast<std::size_t>(data[i]) >= count)
        throw py::index_error("indices[" + std::to_string(i) + "]: expected 0 to " + std::to_string(count) +
                              " (exclusive), got " + std::to_string(data[i]));
  }

  std::shared_ptr<PublicContext> context_;
};

Noise noise_by_name(const std::string& name) {
  if (name == "djn") return Noise::kDjn;
  if (name == "classic") return Noise::kClassic;
  if (name == "exact") return Noise::kExact;
  throw py::value_error("noise: expected 'djn', 'classic' or 'exact', got '" + name + "'");
}

class Private {
 public:
  Private(const Public& public_context, const LimbArray& p, const LimbArray& q,
          const std::optional<LimbArray>& generator_p, const std::optional<LimbArray>& generator_q,
          const std::optional<LimbArray>& order_p, const std::optional<LimbArray>& order_q)
      : public_(public_context) {
    if (generator_p.has_value() != generator_q.has_value())
      throw py::value_error("generator_p, generator_q: expected both or neither");
    if (order_p.has_value() != order_q.has_value()) throw py::value_error("order_p, order_q: expected both or neither");
    auto p_limbs = number<SecretLimbs>("p", p);
    auto q_limbs = number<SecretLimbs>("q", q);
    auto g_p = optional_number<SecretLimbs>("generator_p", generator_p);
    auto g_q = optional_number<SecretLimbs>("generator_q", generator_q);
    auto s_p = optional_number<SecretLimbs>("order_p", order_p);
    auto s_q = optional_number<SecretLimbs>("order_q", order_q);
    context_ = unlocked([&] {
      return std::make_unique<PrivateContext>(public_.context(), std::move(p_limbs), std::move(q_limbs), std::move(g_p),
                                              std::move(g_q), std::move(s_p), std::move(s_q));
    });
  }

  LimbArray decrypt(const Batch& batch) const {
    const ResiduesPtr x = public_.own("batch", batch);
    const PlainPtr plaintexts = unlocked([&] { return context_->decrypt(*x); });
    LimbArray out = limb_array(x->count(), public_.context()->plaintext_limbs());
    Limb* data = out.mutable_data();
    unlocked([&] { plaintexts->read(data); });
    return out;
  }

  // The plaintexts stay where the backend keeps them.
  Plaintexts decrypt_there(const Batch& batch) const {
    const ResiduesPtr x = public_.own("batch", batch);
    return {unlocked([&] { return context_->decrypt(*x); }), public_.context()->modulus()};
  }

  Batch encrypt_encoded(const Plaintexts& plaintexts, const std::string& noise) const {
    const Numbers numbers = public_.encoded(plaintexts);
    const Noise kind = noise_by_name(noise);
    return public_.wrap(unlocked([&] { return context_->encrypt(numbers, plaintexts.numbers->count(), kind); }));
  }

  Batch encrypt(const LimbArray& plaintexts, const std::string& noise) const {
    const std::size_t count = public_.plaintext_rows(plaintexts);
    const Noise kind = noise_by_name(noise);
    const Limb* data = plaintexts.data();
    return public_.wrap(unlocked([&] { return context_->encrypt(public_.context()->plaintexts(data), count, kind); }));
  }

  Batch rerandomise(const Batch& batch, const std::string& noise) const {
    const ResiduesPtr x = public_.own("batch", batch);
    const Noise kind = noise_by_name(noise);
    return public_.wrap(unlocked([&] { return context_->rerandomise(*x, kind); }));
  }

  std::size_t window_bits(const std::string& noise) const { return context_->window_bits(noise_by_name(noise)); }

 private:
  Public public_;
  std::unique_ptr<PrivateContext> context_;
};

Packing packing_of(std::size_t scale_bits, std::size_t slots, std::size_t slot_bits, const LimbArray& modulus) {
  constexpr std::size_t kMostScaleBits = 8192;
  if (modulus.ndim() != 1 || modulus.shape(0) == 0 || modulus.data()[modulus.shape(0) - 1] == 0)
    throw py::value_error("modulus: expected a 1-D array of limbs whose top limb is not zero");
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

py::bytes python_chacha20_block(const py::bytes& key, std::uint32_t counter, const py::bytes& nonce) {
  const std::string_view k(key), n(nonce);
  std::array<std::uint8_t, 32> key_bytes;
  std::array<std::uint8_t, 12> nonce_bytes;
  if (k.size() != key_bytes.size() || n.size() != nonce_bytes.size())
    throw py::value_error("key, nonce: expected 32 and 12 bytes, got " + std::to_string(k.size()) + " and " +
                          std::to_string(n.size()));
  std::memcpy(key_bytes.data(), k.data(), k.size());
  std::memcpy(nonce_bytes.data(), n.data(), n.size());
  const auto block = chacha20_block(key_bytes, counter, nonce_bytes);
  return py::bytes(reinterpret_cast<const char*>(block.data()), block.size());
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

py::object python_device_info() {
  const auto info = unlocked([] { return device_info(); });
  if (!info) return py::none();
  py::dict fields;
  fields["name"] = info->name;
  fields["device"] = "cuda:" + std::to_string(info->index);
  fields["total_memory"] = info->total_memory;
  fields["compute_capability"] = std::to_string(info->compute_major) + "." + std::to_string(info->compute_minor);
  fields["driver_version"] = version_text(info->driver_version);
  fields["runtime_version"] = version_text(info->runtime_version);
  fields["emulated"] = info->emulated;
  return fields;
}

#ifdef CIPHERLANE_EMULATED_DEVICE
py::dict python_emulated_counts() {
  const EmulatedCounts counts = emulated_counts();
  py::dict fields;
  fields["live_bytes"] = counts.live_bytes;
  fields["peak_bytes"] = counts.peak_bytes;
  fields["allocations"] = counts.allocations;
  fields["refused"] = counts.refused;
  fields["wiped"] = counts.wiped;
  fields["launches"] = counts.launches;
  fields["uploaded"] = counts.uploaded;
  fields["downloaded"] = counts.downloaded;
  fields["stream_waits"] = counts.stream_waits;
  fields["waits_for_all"] = counts.waits_for_all;
  fields["found"] = counts.found;
  fields["fault"] = counts.fault;
  return fields;
}
#endif

py::bytes python_random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  random_bytes(bytes.data(), count);
  return py::bytes(bytes);
}

}  // namespace
}  // namespace cipherlane

PYBIND11_MODULE(_native, module) {
  using namespace cipherlane;
  using py::arg;
  module.doc() = "The compiled core: batches of Paillier ciphertexts and the generator that randomises them.";
  module.attr("__version__") = CIPHERLANE_VERSION;
  set_interrupt_check(check_python_signals);

  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const BackendUnavailable& unavailable) {
      const auto type = py::module_::import("cipherlane.errors").attr("BackendUnavailableError");
      PyErr_SetString(type.ptr(), unavailable.what());
    } catch (const DeviceOutOfMemory& memory) {
      PyErr_SetString(PyExc_MemoryError, memory.what());
    } catch (const std::domain_error& domain) {
      PyErr_SetString(PyExc_ValueError, domain.what());
    }
  });

  module.def("known_backends", &known_backends);
  module.def("usable_backends", [] { return unlocked(usable_backends); });
  module.def("device_info", &python_device_info);
#ifdef CIPHERLANE_EMULATED_DEVICE
  module.def("emulated_counts", &python_emulated_counts);
  module.def("set_emulated_memory", &set_emulated_memory, arg("bytes"));
  module.def(
      "watch_emulated_memory", [](const std::string& bytes) { watch_emulated_memory({bytes.begin(), bytes.end()}); },
      arg("bytes"));
#endif
  module.def("thread_count", &thread_count);
  module.def("set_thread_count", &set_thread_count, arg("count"));
  module.def(
      "multiply_peak", [](const std::string& backend) { return unlocked([&] { return multiply_peak(backend); }); },
      arg("backend"));
  module.def("random_bytes", &python_random_bytes, arg("count"));
  module.def("chacha20_block", &python_chacha20_block, arg("key"), arg("counter"), arg("nonce"));
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

  bind_device(module);

  py::class_<Batch>(module, "Batch", py::is_final())
      .def("__len__", [](const Batch& batch) { return batch.residues->count(); })
      .def_property_readonly("backend", [](const Batch& batch) { return batch.context->backend(); })
      .def_property_readonly("device", [](const Batch& batch) { return batch.context->ring().device(); });

  py::class_<Public>(module, "PublicContext", py::is_final())
      .def(py::init<const LimbArray&, const std::optional<LimbArray>&, const std::string&, std::size_t, std::size_t>(),
           arg("modulus"), arg("obfuscator_base"), arg("backend"), arg("window_bits") = 0, arg("exponent_bits") = 0)
      .def_property_readonly("backend", [](const Public& self) { return self.context()->backend(); })
      .def_property_readonly("plaintext_limbs", [](const Public& self) { return self.context()->plaintext_limbs(); })
      .def_property_readonly("ciphertext_limbs", [](const Public& self) { return self.context()->ciphertext_limbs(); })
      .def_property_readonly("noise_exponent_bits",
                             [](const Public& self) { return self.context()->noise_exponent_bits(); })
      .def_property_readonly("window_bits", [](const Public& self) { return self.context()->window_bits(); })
      .def("upload", &Public::upload, arg("ciphertexts"))
      .def("download", &Public::download, arg("batch"))
      .def("encrypt", &Public::encrypt, arg("plaintexts"))
      .def("encrypt", &Public::encrypt_encoded, arg("plaintexts"))
      .def("encrypt_with_obfuscators", &Public::encrypt_with_obfuscators, arg("plaintexts"), arg("obfuscators"))
      .def("encrypt_with_exponents", &Public::encrypt_with_exponents, arg("plaintexts"), arg("exponents"))
      .def("encrypt_without_obfuscator", &Public::encrypt_without_obfuscator, arg("plaintexts"))
      .def("rerandomise", &Public::rerandomise, arg("batch"))
      .def("add", &Public::add, arg("a"), arg("b"))
      .def("subtract", &Public::subtract, arg("a"), arg("b"))
      .def("negate", &Public::negate, arg("a"))
      .def("add_plaintexts", &Public::add_plaintexts, arg("a"), arg("plaintexts"))
      .def("add_plaintexts", &Public::add_encoded, arg("a"), arg("plaintexts"))
      .def("values", &Public::values, arg("batch"))
      .def("adopt", &Public::adopt, arg("view"))
      .def("multiply", &Public::multiply, arg("a"), arg("factors"), arg("negative"))
      .def("segment_sum", &Public::segment_sum, arg("a"), arg("indices"), arg("offsets"))
      .def("linear_combinations", &Public::linear_combinations, arg("a"), arg("columns"), arg("weights"),
           arg("negative"))
      .def("take", &Public::take, arg("a"), arg("indices"))
      .def("concatenate", &Public::concatenate, arg("batches"))
      .def("first_not_invertible", &Public::first_not_invertible, arg("batch"));

  py::class_<Private>(module, "PrivateContext", py::is_final())
      .def(
          py::init<const Public&, const LimbArray&, const LimbArray&, const std::optional<LimbArray>&,
                   const std::optional<LimbArray>&, const std::optional<LimbArray>&, const std::optional<LimbArray>&>(),
          arg("public_context"), arg("p"), arg("q"), arg("generator_p"), arg("generator_q"),
          arg("order_p") = py::none(), arg("order_q") = py::none())
      .def("decrypt", &Private::decrypt, arg("batch"))
      .def("decrypt_there", &Private::decrypt_there, arg("batch"))
      .def("encrypt", &Private::encrypt, arg("plaintexts"), arg("noise"))
      .def("encrypt", &Private::encrypt_encoded, arg("plaintexts"), arg("noise"))
      .def("rerandomise", &Private::rerandomise, arg("batch"), arg("noise"))
      .def("window_bits", &Private::window_bits, arg("noise"));
}
