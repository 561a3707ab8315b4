#include <algorithm>

#include "cipherlane/ring.hpp"
#include "portable_ring.hpp"
#ifdef CIPHERLANE_WITH_DEVICE
#include "device_backend.hpp"
#endif
#ifdef CIPHERLANE_WITH_VECTORS
#include "vector_ring.hpp"
#endif

namespace cipherlane {
namespace {

struct Backend {
  const char* name;
  bool (*usable)();
  std::unique_ptr<Ring> (*make_ring)(const Limb*, std::size_t);
};

// Best first.
constexpr Backend kBackends[] = {
#ifdef CIPHERLANE_WITH_DEVICE
    {"cuda", is_device_usable, make_device_ring},
#endif
#ifdef CIPHERLANE_WITH_VECTORS
    {"ifma", is_usable<Ifma>, make_vector_ring<Ifma>},      {"avx512", is_usable<Avx512>, make_vector_ring<Avx512>},
    {"avx2", is_usable<Avx2>, make_vector_ring<Avx2>},
#endif
    {"portable", [] { return true; }, portable::make_ring},
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::vector<std::string> known_backends() {
  std::vector<std::string> names;
  for (const Backend& backend : kBackends) names.emplace_back(backend.name);
  return names;
}

std::vector<std::string> usable_backends() {
  std::vector<std::string> names;
  for (const Backend& backend : kBackends)
    if (backend.usable()) names.emplace_back(backend.name);
  return names;
}

std::unique_ptr<Ring> make_ring(const std::string& name, const Limb* modulus, std::size_t limbs) {
  for (const Backend& backend : kBackends)
    if (name == backend.name && backend.usable()) return backend.make_ring(modulus, limbs);
  std::string reason;
#ifdef CIPHERLANE_WITH_DEVICE
  if (name == "cuda") reason = " (" + why_no_device() + ")";
#endif
  throw BackendUnavailable("backend: '" + name + "' cannot be used on this machine" + reason +
                           "; usable here: " + joined(usable_backends()));
}

}  // namespace cipherlane
