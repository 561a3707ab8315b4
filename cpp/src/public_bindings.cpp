#include "public_bindings.hpp"

#include <pybind11/stl.h>

#include <algorithm>

#include "bindings.hpp"

namespace cipherlane {
namespace {

void same(const char* name, std::size_t got, std::size_t expected) {
  if (got != expected)
    throw py::value_error(std::string(name) + ": expected " + std::to_string(expected) + " rows, got " +
                          std::to_string(got));
}

void check_indices(const IndexArray& indices, std::size_t count) {
  if (indices.ndim() != 1) throw py::value_error("indices: expected a 1-D array, got shape " + shape_text(indices));
  const std::int64_t* data = indices.data();
  for (py::ssize_t i = 0; i < indices.shape(0); ++i)
    if (data[i] < 0 || static_cast<std::size_t>(data[i]) >= count)
      throw py::index_error("indices[" + std::to_string(i) + "]: expected 0 to " + std::to_string(count) +
                            " (exclusive), got " + std::to_string(data[i]));
}

}  // namespace

Public::Public(const LimbArray& modulus, const std::optional<LimbArray>& base, const std::string& backend,
               std::size_t window_bits, std::size_t exponent_bits) {
  auto n = number<Limbs>("modulus", modulus);
  auto h_s = optional_number<Limbs>("obfuscator_base", base);
  context_ = unlocked([&] {
    return std::make_shared<PublicContext>(std::move(n), std::move(h_s), backend, window_bits, exponent_bits);
  });
}

const ResiduesPtr& Public::own(const char* name, const Batch& batch) const {
  if (batch.context != context_ &&
      (batch.context->backend() != context_->backend() || batch.context->modulus() != context_->modulus()))
    throw py::value_error(std::string(name) + ": expected a batch of this modulus and of backend '" +
                          context_->backend() + "', got one of another modulus or backend");
  return batch.residues;
}

Batch Public::upload(const LimbArray& ciphertexts) const {
  const std::size_t count = rows("ciphertexts", ciphertexts, context_->ciphertext_limbs());
  const Limb* data = ciphertexts.data();
  return wrap(unlocked([&] { return context_->upload(data, count); }));
}

LimbArray Public::download(const Batch& batch) const {
  const ResiduesPtr x = own("batch", batch);
  LimbArray out = limb_array(x->count(), context_->ciphertext_limbs());
  Limb* data = out.mutable_data();
  unlocked([&] { context_->download(*x, data); });
  return out;
}

Batch Public::encrypt(const LimbArray& plaintexts) const {
  const std::size_t count = plaintext_rows(plaintexts);
  const Limb* data = plaintexts.data();
  return wrap(unlocked([&] { return context_->encrypt(context_->plaintexts(data), count); }));
}

Batch Public::encrypt_encoded(const Plaintexts& plaintexts) const {
  const Numbers numbers = encoded(plaintexts);
  return wrap(unlocked([&] { return context_->encrypt(numbers, plaintexts.numbers->count()); }));
}

Batch Public::encrypt_with_obfuscators(const LimbArray& plaintexts, const LimbArray& obfuscators) const {
  const std::size_t count = plaintext_rows(plaintexts);
  same("obfuscators", rows("obfuscators", obfuscators, context_->plaintext_limbs()), count);
  const Limb* m = plaintexts.data();
  const Limb* r = obfuscators.data();
  return wrap(unlocked([&] { return context_->encrypt_with_obfuscators(m, r, count); }));
}

Batch Public::encrypt_with_exponents(const LimbArray& plaintexts, const LimbArray& exponents) const {
  const std::size_t count = plaintext_rows(plaintexts);
  same("exponents", rows("exponents", exponents, limbs_for_bits(context_->noise_exponent_bits())), count);
  const Limb* m = plaintexts.data();
  const Limb* a = exponents.data();
  return wrap(unlocked([&] { return context_->encrypt_with_exponents(m, a, count); }));
}

Batch Public::encrypt_without_obfuscator(const LimbArray& plaintexts) const {
  const std::size_t count = plaintext_rows(plaintexts);
  const Limb* data = plaintexts.data();
  return wrap(unlocked([&] { return context_->encrypt_without_obfuscator(data, count); }));
}

Batch Public::rerandomise(const Batch& batch) const {
  const ResiduesPtr x = own("batch", batch);
  return wrap(unlocked([&] { return context_->rerandomise(*x); }));
}

Batch Public::add(const Batch& a, const Batch& b) const {
  const auto [x, y] = pair(a, b);
  return wrap(unlocked([&] { return context_->add(*x, *y); }));
}

Batch Public::subtract(const Batch& a, const Batch& b) const {
  const auto [x, y] = pair(a, b);
  return wrap(unlocked([&] { return context_->subtract(*x, y); }));
}

Batch Public::negate(const Batch& a) const {
  const ResiduesPtr x = own("a", a);
  return wrap(unlocked([&] { return context_->negate(x); }));
}

Batch Public::add_plaintexts(const Batch& a, const LimbArray& plaintexts) const {
  const ResiduesPtr x = own("a", a);
  const std::size_t count = plaintext_rows(plaintexts);
  if (x->count() != 1) same("plaintexts", count, x->count());
  const Numbers numbers = context_->plaintexts(plaintexts.data());
  return wrap(unlocked([&] { return context_->add_plaintexts(*x, numbers, count); }));
}

Batch Public::add_encoded(const Batch& a, const Plaintexts& plaintexts) const {
  const ResiduesPtr x = own("a", a);
  const Numbers numbers = encoded(plaintexts);
  const std::size_t count = plaintexts.numbers->count();
  if (x->count() != 1) same("plaintexts", count, x->count());
  return wrap(unlocked([&] { return context_->add_plaintexts(*x, numbers, count); }));
}

Batch Public::multiply(const Batch& a, const LimbArray& factors, const BoolArray& negative) const {
  const ResiduesPtr x = own("a", a);
  if (factors.ndim() != 2 || factors.shape(1) == 0)
    throw py::value_error("factors: expected an array of shape (count, limbs), got shape " + shape_text(factors));
  const auto given = static_cast<std::size_t>(factors.shape(0));
  const auto width = static_cast<std::size_t>(factors.shape(1));
  if (negative.ndim() != 1) throw py::value_error("negative: expected a 1-D array, got shape " + shape_text(negative));
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

Batch Public::segment_sum(const Batch& a, const IndexArray& indices, const IndexArray& offsets) const {
  const ResiduesPtr x = own("a", a);
  check_indices(indices, x->count());
  if (offsets.ndim() != 1 || offsets.shape(0) < 1)
    throw py::value_error("offsets: expected a 1-D array with at least one element, got shape " + shape_text(offsets));
  const auto segments = static_cast<std::size_t>(offsets.shape(0)) - 1;
  const std::int64_t* bounds = offsets.data();
  if (bounds[0] != 0 || bounds[segments] != indices.shape(0) || !std::is_sorted(bounds, bounds + segments + 1))
    throw py::value_error("offsets: expected to rise from 0 to the number of indices, " +
                          std::to_string(indices.shape(0)));
  const std::int64_t* data = indices.data();
  return wrap(unlocked([&] { return context_->segment_sum(*x, data, bounds, segments); }));
}

Batch Public::linear_combinations(const Batch& a, std::size_t columns, const LimbArray& weights,
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

Batch Public::take(const Batch& a, const IndexArray& indices) const {
  const ResiduesPtr x = own("a", a);
  check_indices(indices, x->count());
  const std::int64_t* data = indices.data();
  const auto count = static_cast<std::size_t>(indices.shape(0));
  return wrap(unlocked([&] { return context_->ring().take(*x, data, count); }));
}

Batch Public::concatenate(const std::vector<Batch>& batches) const {
  std::vector<ResiduesPtr> parts;
  for (const Batch& batch : batches) parts.push_back(own("batches", batch));
  return wrap(unlocked([&] { return context_->ring().concatenate(parts); }));
}

std::int64_t Public::first_not_invertible(const Batch& batch) const {
  const ResiduesPtr x = own("batch", batch);
  return unlocked([&] { return context_->first_not_invertible(*x); });
}

py::object Public::values(const Batch& batch) const {
  const ResiduesPtr x = own("batch", batch);
  return device_memory_of(unlocked([&] { return context_->ring().values(*x); }), context_->ciphertext_limbs());
}

Batch Public::adopt(const py::object& view) const {
  std::size_t count = 0;
  const Numbers rows = device_rows("ciphertexts", view, context_->ciphertext_limbs(), count, context_->square());
  return wrap(unlocked([&] { return context_->adopt(rows, count); }));
}

std::size_t Public::plaintext_rows(const LimbArray& plaintexts) const {
  return rows("plaintexts", plaintexts, context_->plaintext_limbs());
}

Numbers Public::encoded(const Plaintexts& plaintexts) const {
  const Numbers numbers = plaintexts.numbers->view();
  if (plaintexts.modulus != context_->modulus() ||
      (numbers.memory == Memory::kBackend && context_->ring().device() == "cpu"))
    throw py::value_error("plaintexts: expected some of this modulus, in memory that backend '" + context_->backend() +
                          "' reads, got others");
  return numbers;
}

std::pair<ResiduesPtr, ResiduesPtr> Public::pair(const Batch& a, const Batch& b) const {
  std::pair<ResiduesPtr, ResiduesPtr> both{own("a", a), own("b", b)};
  if (both.first->count() != 1 && both.second->count() != 1) same("b", both.second->count(), both.first->count());
  return both;
}

void bind_public_context(py::module_& module) {
  using py::arg;
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
}

}  // namespace cipherlane
