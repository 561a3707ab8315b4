// The ring mod m^2 on a device: the backend "cuda".
#pragma once

#include <optional>

#include "device_form.hpp"
#include "device_modulus.hpp"

namespace cipherlane {

// Every function returns when the device is done, so that another thread may go on with its result.
class DeviceRing final : public Ring {
 public:
  // m odd, its top limb not zero, 256 <= bits <= 4096.
  DeviceRing(Device& device, const Limb* modulus, std::size_t limbs);

  std::string device() const override;
  std::size_t modulus_bits() const override { return bits_; }

  std::shared_ptr<const LinearForm> linear_form(const std::vector<Term>& terms) const override;
  ResiduesPtr evaluate(const LinearForm& form, const std::vector<Numbers>& numbers, std::size_t count) const override;
  ResiduesPtr upload(const Limb* values, std::size_t count) const override;
  void download(const Residues& x, Limb* values) const override;
  void download_digits(const Residues& x, Limb* d0, Limb* d1) const override;
  PlainPtr values(const Residues& x) const override;
  std::pair<PlainPtr, PlainPtr> digits(const Residues& x) const override;
  PlainPtr random_numbers(std::size_t count, std::size_t bits) const override;

  ResiduesPtr multiply(const Residues& x, const Residues& y) const override;
  ResiduesPtr multiply_one_plus(const Residues& x, Numbers a, std::size_t count) const override;
  ResiduesPtr segment_product(const Residues& x, const std::int64_t* indices, const std::int64_t* offsets,
                              std::size_t segments) const override;

  ResiduesPtr power_shared(const Residues& x, const Limb* exponent, std::size_t exponent_bits,
                           Exponent kind) const override;
  ResiduesPtr power_each_vartime(const Residues& x, Numbers exponents, std::size_t count) const override;
  std::shared_ptr<const FixedBaseTable> fixed_base_table(const Limb* base, const Limb* inverse,
                                                         std::size_t exponent_bits, std::size_t window_bits,
                                                         Exponent kind) const override;
  WindowCosts window_costs(Exponent kind) const override;
  ResiduesPtr fixed_base_power(const FixedBaseTable& table, Numbers exponents, Numbers a,
                               std::size_t count) const override;
  ResiduesPtr multi_power_vartime(const Residues& x, const Residues* inverse, std::size_t columns, Numbers weights,
                                  const bool* negative, std::size_t rows, std::size_t inner) const override;

  ResiduesPtr take(const Residues& x, const std::int64_t* indices, std::size_t count) const override;
  ResiduesPtr concatenate(const std::vector<ResiduesPtr>& parts) const override;

 private:
  enum class Secrecy { kPublic, kSecret };
  std::shared_ptr<DeviceBatch> make_batch(std::size_t count, Secrecy secrecy) const;
  const DeviceBatch& own(const Residues& x) const;
  const DeviceBatch& own_with_ids(const Residues& x) const;
  void launch_values(kernels::WordPointer to, const DeviceBatch& x, std::size_t first, std::size_t count) const;
  void launch_digits(kernels::WordPointer d0, kernels::WordPointer d1, const DeviceBatch& x, std::size_t first,
                     std::size_t count) const;

  Device& device_;
  std::size_t bits_;
  DeviceConstants constants_;
  DeviceModulus modulus_;
  std::optional<DeviceForm> plain_;  // of upload
};

}  // namespace cipherlane
