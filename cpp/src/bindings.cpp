// The module: what its parts are, what it says of this machine, and its exceptions.
#include "bindings.hpp"

#include <pybind11/stl.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "binding_arrays.hpp"
#include "cipherlane/device_info.hpp"
#include "cipherlane/multiply_peak.hpp"
#include "cipherlane/parallel.hpp"
#include "cipherlane/random.hpp"
#include "cipherlane/ring.hpp"
#ifdef CIPHERLANE_EMULATED_DEVICE
#include "emulated_device.hpp"
#endif

namespace cipherlane {
namespace {

void check_python_signals() {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
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
  bind_codec(module);
  bind_device(module);
  bind_public_context(module);
  bind_private_context(module);
}
