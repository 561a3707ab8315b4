#include "device_table.hpp"

#include <algorithm>
#include <string>

namespace cipherlane {

WindowCosts DeviceTable::costs(const DeviceModulus& modulus, Exponent kind) {
  WindowCosts costs{};
  costs.fewest_bits = 1;
  // The masked kernel reads all of a window for each warp.
  costs.most_bits = kind == Exponent::kPublic ? 16 : 8;
  // In products of 5 L^2: a power, its inverse, and 4 L^2 for the factored form; 4 L^2 for a step.
  costs.entry = 2.8;
  costs.step = 0.8;
  // An entry costs a thread its share of a row, L T / 16 shuffles and masks for the 4 L^2 / T multiply-adds of a
  // product. The factor is what windows of 6 and 7 bits took on an H200 at 2048 bits.
  costs.look_up =
      kind == Exponent::kPublic ? 0 : 0.033 * modulus.shape().threads / static_cast<double>(modulus.row_words());
  costs.entry_bytes = modulus.row_bytes();
  costs.most_bytes = std::min(std::size_t{1} << 30, temporary_bytes(modulus.device()));
  return costs;
}

DeviceTable::DeviceTable(const DeviceModulus& modulus, const DeviceBatch& bases, std::size_t exponent_bits,
                         std::size_t window_bits, Exponent kind)
    : windows_((exponent_bits + window_bits - 1) / window_bits), window_bits_(window_bits), kind_(kind) {
  const WindowCosts limits = costs(modulus, kind);
  if (window_bits < limits.fewest_bits || window_bits > limits.most_bits)
    throw std::invalid_argument("window_bits: expected " + std::to_string(limits.fewest_bits) + " to " +
                                std::to_string(limits.most_bits) + ", got " + std::to_string(window_bits));
  const bool secret = kind == Exponent::kSecret;
  entries_ = modulus.rows(windows_ << window_bits, secret);

  // base^(2^k) and its inverse for all k, one squaring after the other.
  const std::size_t steps = windows_ * window_bits;
  auto chains = modulus.rows(2 * steps, secret);
  kernels::SquareChains squarings{};
  squarings.r = chains.get();
  squarings.x = bases.row(0);
  squarings.steps = static_cast<std::uint32_t>(steps);
  squarings.count = 2;
  squarings.constants = modulus.constants();
  modulus.launch(squarings);

  // Some windows at a time, for the inverses are needed only until their entries are in factored form.
  const double products = limits.entry * static_cast<double>(std::size_t{1} << window_bits);
  const std::size_t bytes = modulus.row_bytes() << window_bits;
  modulus.in_chunks(windows_, {products, bytes}, [&](std::size_t first, std::size_t windows) {
    auto inverses = modulus.rows(windows << window_bits_, secret);
    const auto powers = entries_.get() + (first << window_bits_) * modulus.row_words();
    const auto chain = chains.get() + first * window_bits_ * modulus.row_words();
    fill(modulus, powers, chain, windows);
    fill(modulus, inverses.get(), chain + steps * modulus.row_words(), windows);
    kernels::FactorEntries factors{};
    factors.entries = powers;
    factors.powers = powers;
    factors.inverses = inverses.get();
    factors.count = windows << window_bits_;
    factors.constants = modulus.constants();
    modulus.launch(factors);
  });
}

// powers[j][d] <- base^(d 2^(w j)), by doublings.
void DeviceTable::fill(const DeviceModulus& modulus, kernels::WordPointer powers, kernels::ConstWordPointer chain,
                       std::size_t windows) const {
  for (std::size_t j = 0; j < windows; ++j)
    modulus.copy_rows(powers + (j << window_bits_) * modulus.row_words(), modulus.one(), 1);
  for (std::size_t level = 0; level < window_bits_; ++level) {
    kernels::TableLevel doubling{};
    doubling.powers = powers;
    doubling.chain = chain;
    doubling.window_bits = static_cast<std::uint32_t>(window_bits_);
    doubling.level = static_cast<std::uint32_t>(level);
    doubling.count = windows << level;
    doubling.constants = modulus.constants();
    modulus.launch(doubling);
  }
}

template <class Kernel>
void DeviceTable::launch_powers(DeviceBatch& result, const DeviceModulus& modulus, Numbers exponents, Numbers a) const {
  const WindowCosts each = costs(modulus, kind_);
  const auto entries = static_cast<double>(std::size_t{1} << window_bits_);
  const double products = static_cast<double>(windows_) * (each.step + entries * each.look_up);
  const std::size_t bytes = NumbersOnDevice::bytes(exponents) + NumbersOnDevice::bytes(a);
  modulus.in_chunks(result.count(), {products, bytes}, [&](std::size_t first, std::size_t count) {
    const NumbersOnDevice powers(modulus.device(), exponents, first, count);
    const NumbersOnDevice plain(modulus.device(), a, first, count);
    Kernel kernel{};
    kernel.r = result.row(first);
    kernel.entries = entries_.get();
    kernel.window_bits = static_cast<std::uint32_t>(window_bits_);
    kernel.windows = static_cast<std::uint32_t>(windows_);
    kernel.exponents = powers.rows();
    kernel.exponent_words = powers.words();
    kernel.a = plain.rows();
    kernel.a_words = plain.words();
    kernel.count = count;
    kernel.constants = modulus.constants();
    modulus.launch(kernel);
  });
}

void DeviceTable::power(DeviceBatch& result, const DeviceModulus& modulus, Numbers exponents, Numbers a) const {
  if (kind_ == Exponent::kPublic)
    launch_powers<kernels::FixedBasePowersVartime>(result, modulus, exponents, a);
  else
    launch_powers<kernels::FixedBasePowersMasked>(result, modulus, exponents, a);
}

}  // namespace cipherlane
