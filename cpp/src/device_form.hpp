// Linear forms on a device: each number cut into parts of L limbs, with a constant for each part.
#pragma once

#include <vector>

#include "device_batch.hpp"
#include "device_constants.hpp"

namespace cipherlane {

class DeviceForm final : public LinearForm {
 public:
  DeviceForm(Device& device, const DeviceConstants& constants, kernels::Shape shape, const std::vector<Term>& terms);
  std::size_t terms() const { return terms_; }
  std::size_t parts() const { return parts_.elements(); }
  // parts, part_count and constants_of_parts of a kernel
  void fill(kernels::Evaluate& kernel) const;

 private:
  std::size_t terms_;
  DeviceBuffer<kernels::LinearPart> parts_;
  DeviceBuffer<std::uint32_t> constants_;
};

}  // namespace cipherlane
