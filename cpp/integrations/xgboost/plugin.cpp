// The symbols that XGBoost's federated learning looks for (plugin/federated/federated_plugin.h of XGBoost). Each
// returns 0, or 1 with a message in FederatedPluginErrorMsg; an exception never crosses them.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>

#include "paillier_plugin.hpp"

using cipherlane::xgboost::LocalPlugin;
using cipherlane::xgboost::PaillierPlugin;
using cipherlane::xgboost::Rows;
using cipherlane::xgboost::Settings;

namespace {

thread_local std::string last_error;

template <class Call>
int guarded(void* handle, Call&& call) {
  try {
    if (handle == nullptr) throw std::invalid_argument("handle: expected one of FederatedPluginCreate, got null");
    call(*static_cast<LocalPlugin*>(handle));
    return 0;
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "an unknown error";
  }
  return 1;
}

std::size_t bits(const std::string& name, const std::string& text, std::size_t most) {
  const bool digits = !text.empty() && text.size() < 6 && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoul(text) > most)
    throw std::invalid_argument(name + ": expected a number of bits up to " + std::to_string(most) + ", got '" + text +
                                "'");
  return std::stoul(text);
}

// What XGBoost says of its communicator, and what has FLARE's plugins print, which this one never does.
bool is_of_others(const std::string& key) {
  return key.rfind("federated_", 0) == 0 || key.rfind("dmlc_", 0) == 0 || key == "path" || key == "debug" ||
         key == "print_timing" || key == "dam_debug";
}

Settings settings_from(int count, char const** arguments) {
  Settings settings;
  for (int i = 0; i < count; ++i) {
    const std::string argument = arguments[i];
    const std::size_t split = argument.find('=');
    if (split == std::string::npos) throw std::invalid_argument("expected key=value, got '" + argument + "'");
    const std::string key = argument.substr(0, split), value = argument.substr(split + 1);
    if (key == "name") {
      if (value != "cipherlane")
        throw std::invalid_argument("name: expected 'cipherlane' for this library, got '" + value + "'");
    } else if (key == "key_bits") {
      settings.key_bits = bits(key, value, 4096);
    } else if (key == "scale_bits") {
      settings.scale_bits = bits(key, value, 512);
    } else if (key == "integer_bits") {
      settings.integer_bits = bits(key, value, 256);
    } else if (key == "backend") {
      settings.backend = value;
    } else if (!is_of_others(key)) {
      throw std::invalid_argument("expected name, key_bits, scale_bits, integer_bits or backend, got '" + key + "'");
    }
  }
  return settings;
}

template <class Bytes>
void hand_out(const Bytes& bytes, std::uint8_t** out, std::size_t* count) {
  // XGBoost reads it before the next call.
  *out = const_cast<std::uint8_t*>(bytes.data());
  *count = bytes.size();
}

[[noreturn]] void refuse_horizontal() {
  throw std::invalid_argument(
      "horizontal training: histograms would leave in the clear, for Paillier needs one key holder; use FLARE's plugin "
      "'nvflare', with its filters for homomorphic encryption");
}

}  // namespace

#define CIPHERLANE_EXPORT extern "C" __attribute__((visibility("default")))

CIPHERLANE_EXPORT const char* FederatedPluginErrorMsg() { return last_error.c_str(); }

CIPHERLANE_EXPORT void* FederatedPluginCreate(int argc, char const** argv) {
  try {
    // As the class that handles are used as.
    return static_cast<LocalPlugin*>(new PaillierPlugin(settings_from(argc, argv)));
  } catch (const std::exception& error) {
    last_error = error.what();
    // XGBoost says that there is no handle, and does not ask why.
    std::fprintf(stderr, "libcipherlane_xgboost: %s\n", error.what());
    return nullptr;
  }
}

CIPHERLANE_EXPORT int FederatedPluginClose(void* handle) {
  return guarded(handle, [](LocalPlugin& plugin) { delete &plugin; });
}

CIPHERLANE_EXPORT int FederatedPluginEncryptGPairs(void* handle, float const* in_gpair, std::size_t n_in,
                                                   std::uint8_t** out_gpair, std::size_t* n_out) {
  return guarded(handle,
                 [&](LocalPlugin& plugin) { hand_out(plugin.encrypt_pairs(in_gpair, n_in), out_gpair, n_out); });
}

CIPHERLANE_EXPORT int FederatedPluginSyncEncryptedGPairs(void* handle, std::uint8_t const* in_gpair,
                                                         std::size_t n_bytes, std::uint8_t** out_gpair,
                                                         std::size_t* n_out) {
  return guarded(handle, [&](LocalPlugin& plugin) {
    plugin.sync_pairs(in_gpair, n_bytes);
    *out_gpair = const_cast<std::uint8_t*>(in_gpair);
    *n_out = n_bytes;
  });
}

CIPHERLANE_EXPORT int FederatedPluginResetHistContextVert(void* handle, std::uint32_t const* cutptrs,
                                                          std::size_t cutptr_len, std::int32_t const* bin_idx,
                                                          std::size_t n_idx) {
  return guarded(handle, [&](LocalPlugin& plugin) { plugin.reset(cutptrs, cutptr_len, bin_idx, n_idx); });
}

CIPHERLANE_EXPORT int FederatedPluginBuildEncryptedHistVert(void* handle, std::uint64_t const** ridx,
                                                            std::size_t const* sizes, std::int32_t const*,
                                                            std::size_t len, std::uint8_t** out_hist,
                                                            std::size_t* out_len) {
  return guarded(handle, [&](LocalPlugin& plugin) {
    std::vector<Rows> nodes;
    for (std::size_t i = 0; i < len; ++i) nodes.push_back({ridx[i], sizes[i]});
    hand_out(plugin.build_histograms(nodes), out_hist, out_len);
  });
}

CIPHERLANE_EXPORT int FederatedPluginSyncEncryptedHistVert(void* handle, std::uint8_t* in_hist, std::size_t len,
                                                           double** out_hist, std::size_t* out_len) {
  return guarded(handle, [&](LocalPlugin& plugin) {
    std::vector<double>& histograms = plugin.sync_histograms(in_hist, len);
    *out_hist = histograms.empty() ? nullptr : histograms.data();
    *out_len = histograms.size();
  });
}

CIPHERLANE_EXPORT int FederatedPluginBuildEncryptedHistHori(void* handle, double const*, std::size_t, std::uint8_t**,
                                                            std::size_t*) {
  return guarded(handle, [](LocalPlugin&) { refuse_horizontal(); });
}

CIPHERLANE_EXPORT int FederatedPluginSyncEncryptedHistHori(void* handle, std::uint8_t const*, std::size_t, double**,
                                                           std::size_t*) {
  return guarded(handle, [](LocalPlugin&) { refuse_horizontal(); });
}
