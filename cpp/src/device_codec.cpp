#include "device_codec.hpp"

namespace cipherlane {
namespace {

class DevicePlaintexts final : public PlainNumbers {
 public:
  DevicePlaintexts(Device& device, std::size_t count, std::size_t limbs)
      : PlainNumbers(count), device_(device), limbs_(limbs), rows_(device, count * limbs, true) {}
  kernels::DevicePointer<Limb> rows() { return rows_.get(); }
  Numbers view() const override { return {rows_.get().address(), limbs_, Memory::kBackend}; }
  void read(Limb* values) const override {
    if (count() != 0) device_.download(values, rows_.get().address(), count() * limbs_ * sizeof(Limb));
  }

 private:
  Device& device_;
  std::size_t limbs_;
  DeviceBuffer<Limb> rows_;
};

DeviceBuffer<Limb> uploaded(Device& device, const Limb* from, std::size_t limbs) {
  DeviceBuffer<Limb> there(device, limbs, false);
  there.upload(from);
  return there;
}

// Launches a kernel that notes faults, and waits for them.
template <class Kernel>
Faults run(Device& device, Kernel& kernel) {
  Faults faults;
  faults.fill(kernels::kNowhere);
  DeviceBuffer<Limb> first = uploaded(device, faults.data(), faults.size());
  kernel.first = first.get();
  device.launch(kernel);
  device.download(faults.data(), first.get().address(), sizeof faults);
  return faults;
}

}  // namespace

DeviceMemory::DeviceMemory(Device& device, std::size_t bytes)
    : device_(device), bytes_(bytes), own_(device, bytes, true), address_(own_.get().address()) {}

DeviceMemory::DeviceMemory(Device& device, PlainPtr numbers, std::size_t bytes)
    : device_(device),
      bytes_(bytes),
      numbers_(std::move(numbers)),
      // Whoever is handed it may write to it: these numbers are nobody else's.
      address_(bytes == 0 ? nullptr : const_cast<Limb*>(numbers_->view().values)) {}

DeviceMemory::~DeviceMemory() {
  if (!lent_ || bytes_ == 0) return;
  try {
    device_.wait_for_everyone();
  } catch (const std::exception&) {
    // The device has failed, which shows at the next wait, or stayed behind in a fork: nobody works on it any more.
  }
}

std::pair<PlainPtr, Faults> encode_rows(Device& device, kernels::EncodeRows kernel, const Limbs& modulus) {
  const DeviceBuffer<Limb> n = uploaded(device, modulus.data(), modulus.size());
  auto plaintexts = std::make_shared<DevicePlaintexts>(device, kernel.count, modulus.size());
  kernel.plaintexts = plaintexts->rows();
  kernel.modulus = n.get();
  kernel.modulus_bits = static_cast<std::uint32_t>(bit_length(modulus.data(), modulus.size()));
  const Faults faults = run(device, kernel);
  return {std::move(plaintexts), faults};
}

std::pair<DeviceMemoryPtr, Faults> decode_rows(Device& device, kernels::DecodeRows kernel, Numbers plaintexts,
                                               std::size_t values, const Limbs& modulus) {
  const DeviceBuffer<Limb> n = uploaded(device, modulus.data(), modulus.size());
  auto decoded = std::make_shared<DeviceMemory>(device, values * sizeof(std::uint64_t));
  kernel.values = kernels::DevicePointer<std::uint64_t>(static_cast<std::uint64_t*>(decoded->address()));
  kernel.plaintexts = kernels::DevicePointer<const std::uint64_t>(plaintexts.values);
  kernel.modulus = n.get();
  const Faults faults = run(device, kernel);
  return {std::move(decoded), faults};
}

std::uint64_t first_out_of_range(Device& device, const Limb* rows, std::size_t count, const Limbs& modulus) {
  const DeviceBuffer<Limb> m = uploaded(device, modulus.data(), modulus.size());
  kernels::CheckRows kernel{};
  kernel.rows = kernels::DevicePointer<const std::uint64_t>(rows);
  kernel.limbs = static_cast<std::uint32_t>(modulus.size());
  kernel.modulus = m.get();
  kernel.count = count;
  return run(device, kernel)[kernels::kNotInRange];
}

DeviceMemoryPtr compact(Device& device, const kernels::Strided& from, std::uint32_t log_bytes, std::size_t count) {
  auto copy = std::make_shared<DeviceMemory>(device, count << log_bytes);
  if (count == 0) return copy;
  device.launch(kernels::Compact{kernels::DevicePointer<unsigned char>(static_cast<unsigned char*>(copy->address())),
                                 from, log_bytes, count});
  device.wait();
  return copy;
}

}  // namespace cipherlane
