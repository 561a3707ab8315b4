// No device survives a fork.
#pragma once

#include "cipherlane/device_info.hpp"
#include "cipherlane/parallel.hpp"

namespace cipherlane {

constexpr const char* kForkedMessage =
    "the device was in use when this process was forked, and no device survives a fork: start workers by spawn "
    "(multiprocessing.set_start_method(\"spawn\")), or let them work on another backend "
    "(CIPHERLANE_BACKEND=ifma or portable)";

// Remembers the process in which it was made.
class ForkGuard {
 public:
  bool forked() const { return fork_generation() != generation_; }
  void check() const {
    if (forked()) throw DeviceError(kForkedMessage);
  }

 private:
  std::uint64_t generation_ = fork_generation();
};

}  // namespace cipherlane
