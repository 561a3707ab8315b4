// Python's view of a private key's context.
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "public_bindings.hpp"

namespace cipherlane {
namespace {

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

}  // namespace

void bind_private_context(py::module_& module) {
  using py::arg;
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

}  // namespace cipherlane
