#include "device_form.hpp"

#include <algorithm>
#include <stdexcept>

namespace cipherlane {

DeviceForm::DeviceForm(Device& device, const DeviceConstants& constants, kernels::Shape shape,
                       const std::vector<Term>& terms)
    : terms_(terms.size()) {
  if (terms.empty() || terms.size() > kernels::kMostNumbers)
    throw std::invalid_argument("linear_form: expected 1 or 2 terms, got " + std::to_string(terms.size()));
  const std::size_t step = 32 * static_cast<std::size_t>(shape.threads * shape.limbs);
  std::vector<kernels::LinearPart> parts;
  SecretWords rows;
  for (std::size_t k = 0; k < terms.size(); ++k) {
    std::vector<std::size_t> firsts;
    for (std::size_t first = 0; first < terms[k].bits; first += step) {
      firsts.push_back(first);
      parts.push_back({static_cast<std::uint32_t>(k), static_cast<std::uint32_t>(first),
                       static_cast<std::uint32_t>(std::min(step, terms[k].bits - first))});
    }
    const SecretWords lifted = constants.lifted(terms[k].coefficient, firsts);
    rows.insert(rows.end(), lifted.begin(), lifted.end());
  }
  parts_ = DeviceBuffer<kernels::LinearPart>(device, parts.size(), false);
  parts_.upload(parts.data());
  constants_ = DeviceBuffer<std::uint32_t>(device, rows.size(), true);
  constants_.upload(rows.data());
  device.wait();
}

void DeviceForm::fill(kernels::Evaluate& kernel) const {
  kernel.parts = parts_.get();
  kernel.part_count = static_cast<std::uint32_t>(parts_.elements());
  kernel.constants_of_parts = constants_.get();
}

}  // namespace cipherlane
