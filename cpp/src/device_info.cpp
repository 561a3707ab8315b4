#include "cipherlane/device_info.hpp"

namespace cipherlane {

DeviceOutOfMemory::DeviceOutOfMemory(std::size_t asked, std::size_t free, std::size_t total)
    : DeviceError("the device has no room for " + std::to_string(asked) + " bytes: " + std::to_string(free) + " of " +
                  std::to_string(total) +
                  " are free. Work on smaller batches, drop arrays that are no longer needed, or move some to the cpu"),
      asked_(asked) {}

}  // namespace cipherlane
