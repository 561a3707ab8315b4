#include "device_ring.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "cipherlane/random.hpp"
#include "device_multi_power.hpp"
#include "device_products.hpp"
#include "device_table.hpp"

namespace cipherlane {
namespace {

// Row numbers on the device have 32 bits.
constexpr std::size_t kMostRows = std::numeric_limits<std::uint32_t>::max();

std::size_t step_of(const Residues& x, std::size_t count) {
  if (x.count() != count && x.count() != 1)
    throw std::invalid_argument("expected batches of equal length, or one of length 1");
  return x.count() == 1 ? 0 : 1;
}

SecretLimbs one_of(std::size_t limbs) {
  SecretLimbs one(limbs, 0);
  one[0] = 1;
  return one;
}

}  // namespace

DeviceRing::DeviceRing(Device& device, const Limb* modulus, std::size_t limbs)
    : device_(device),
      bits_(bit_length(modulus, limbs)),
      constants_(modulus, limbs_for_bits(bits_),
                 static_cast<std::size_t>(shape_for_bits(bits_).threads * shape_for_bits(bits_).limbs)),
      modulus_(device, constants_, shape_for_bits(bits_)) {
  plain_.emplace(device_, constants_, modulus_.shape(),
                 std::vector<Term>{{one_of(this->limbs()), this->limbs() * kLimbBits}});
}

std::string DeviceRing::device() const { return "cuda:" + std::to_string(device_.info().index); }

std::shared_ptr<DeviceBatch> DeviceRing::make_batch(std::size_t count, Secrecy secrecy) const {
  return std::make_shared<DeviceBatch>(device_, count, modulus_.row_words(), secrecy == Secrecy::kSecret);
}

const DeviceBatch& DeviceRing::own(const Residues& x) const {
  const auto* batch = dynamic_cast<const DeviceBatch*>(&x);
  if (batch == nullptr || batch->row_words() != modulus_.row_words())
    throw std::invalid_argument("a batch of another backend or another modulus");
  return *batch;
}

const DeviceBatch& DeviceRing::own_with_ids(const Residues& x) const {
  if (x.count() > kMostRows)
    throw std::invalid_argument("expected at most " + std::to_string(kMostRows) +
                                " ciphertexts to choose from on a device, got " + std::to_string(x.count()));
  return own(x);
}

std::shared_ptr<const LinearForm> DeviceRing::linear_form(const std::vector<Term>& terms) const {
  for (const Term& term : terms)
    if (term.coefficient.size() != limbs()) throw std::invalid_argument("linear_form: coefficient of the wrong width");
  return std::make_shared<DeviceForm>(device_, constants_, modulus_.shape(), terms);
}

ResiduesPtr DeviceRing::evaluate(const LinearForm& form, const std::vector<Numbers>& numbers, std::size_t count) const {
  const auto& exact = static_cast<const DeviceForm&>(form);
  if (numbers.size() != exact.terms()) throw std::invalid_argument("evaluate: one set of numbers for each term");
  auto result = make_batch(count, Secrecy::kSecret);
  std::size_t bytes = 0;
  for (const Numbers& each : numbers) bytes += NumbersOnDevice::bytes(each);
  modulus_.in_chunks(count, {static_cast<double>(exact.parts()), bytes}, [&](std::size_t first, std::size_t size) {
    std::vector<NumbersOnDevice> there;
    kernels::Evaluate kernel{};
    exact.fill(kernel);
    for (std::size_t k = 0; k < numbers.size(); ++k) {
      there.emplace_back(device_, numbers[k], first, size);
      kernel.numbers[k] = there.back().rows();
      kernel.number_words[k] = there.back().words();
    }
    kernel.r = result->row(first);
    kernel.count = size;
    kernel.constants = modulus_.constants();
    modulus_.launch(kernel);
  });
  return result;
}

ResiduesPtr DeviceRing::upload(const Limb* values, std::size_t count) const {
  return evaluate(*plain_, {{values, limbs()}}, count);
}

void DeviceRing::launch_values(kernels::WordPointer to, const DeviceBatch& x, std::size_t first,
                               std::size_t count) const {
  kernels::Values kernel{};
  kernel.c = to;
  kernel.words = static_cast<std::uint32_t>(limbs() * kWordsOfLimb);
  kernel.x = x.row(first);
  kernel.count = count;
  kernel.constants = modulus_.constants();
  modulus_.launch(kernel);
}

void DeviceRing::launch_digits(kernels::WordPointer d0, kernels::WordPointer d1, const DeviceBatch& x,
                               std::size_t first, std::size_t count) const {
  kernels::Digits kernel{};
  kernel.d0 = d0;
  kernel.d1 = d1;
  kernel.words = static_cast<std::uint32_t>(digit_limbs() * kWordsOfLimb);
  kernel.x = x.row(first);
  kernel.count = count;
  kernel.constants = modulus_.constants();
  modulus_.launch(kernel);
}

void DeviceRing::download(const Residues& x, Limb* values) const {
  const DeviceBatch& batch = own(x);
  modulus_.in_chunks(x.count(), {1, limbs() * sizeof(Limb)}, [&](std::size_t first, std::size_t count) {
    DeviceNumbers numbers(device_, count, limbs());
    launch_values(numbers.row(0), batch, first, count);
    numbers.read(values + first * limbs());
  });
}

void DeviceRing::download_digits(const Residues& x, Limb* d0, Limb* d1) const {
  const DeviceBatch& batch = own(x);
  modulus_.in_chunks(x.count(), {1, 2 * digit_limbs() * sizeof(Limb)}, [&](std::size_t first, std::size_t count) {
    DeviceNumbers low(device_, d0 == nullptr ? 0 : count, digit_limbs()), high(device_, count, digit_limbs());
    launch_digits(low.row(0), high.row(0), batch, first, count);
    if (d0 != nullptr) low.read(d0 + first * digit_limbs());
    high.read(d1 + first * digit_limbs());
  });
}

PlainPtr DeviceRing::values(const Residues& x) const {
  const DeviceBatch& batch = own(x);
  auto numbers = std::make_shared<DeviceNumbers>(device_, x.count(), limbs());
  modulus_.in_chunks(x.count(), {1}, [&](std::size_t first, std::size_t count) {
    launch_values(numbers->row(first), batch, first, count);
  });
  return numbers;
}

std::pair<PlainPtr, PlainPtr> DeviceRing::digits(const Residues& x) const {
  const DeviceBatch& batch = own(x);
  auto low = std::make_shared<DeviceNumbers>(device_, x.count(), digit_limbs());
  auto high = std::make_shared<DeviceNumbers>(device_, x.count(), digit_limbs());
  modulus_.in_chunks(x.count(), {1}, [&](std::size_t first, std::size_t count) {
    launch_digits(low->row(first), high->row(first), batch, first, count);
  });
  return {low, high};
}

PlainPtr DeviceRing::random_numbers(std::size_t count, std::size_t bits) const {
  constexpr std::size_t kKeyWords = 8;
  auto numbers = std::make_shared<DeviceNumbers>(device_, count, limbs_for_bits(bits));
  if (count == 0 || bits == 0) return numbers;
  // A new key for every call, so that no index is ever used twice under one: not by threads, nor after a fork, nor when
  // a call failed and is made again.
  SecretWords key(kKeyWords);
  random_bytes(key.data(), kKeyWords * sizeof(std::uint32_t));
  DeviceBuffer<std::uint32_t> key_there(device_, kKeyWords, true);
  key_there.upload(key.data());
  modulus_.in_chunks(count, {0.1}, [&](std::size_t first, std::size_t size) {
    kernels::RandomExponents kernel{};
    kernel.exponents = numbers->row(first);
    kernel.words = static_cast<std::uint32_t>(numbers->row_words());
    kernel.bits = static_cast<std::uint32_t>(bits);
    kernel.key = key_there.get();
    kernel.first = first;
    kernel.count = size;
    modulus_.launch(kernel);
  });
  return numbers;
}

ResiduesPtr DeviceRing::multiply(const Residues& x, const Residues& y) const {
  const std::size_t count = x.count() == 1 ? y.count() : x.count();
  const DeviceBatch &a = own(x), &b = own(y);
  const std::size_t a_step = step_of(x, count), b_step = step_of(y, count);
  auto result = make_batch(count, Secrecy::kPublic);
  modulus_.in_chunks(count, {1}, [&](std::size_t first, std::size_t size) {
    kernels::MultiplyPairs kernel{};
    kernel.r = result->row(first);
    kernel.x = a.row(first * a_step);
    kernel.y = b.row(first * b_step);
    kernel.x_step = static_cast<std::uint32_t>(a_step);
    kernel.y_step = static_cast<std::uint32_t>(b_step);
    kernel.count = size;
    kernel.constants = modulus_.constants();
    modulus_.launch(kernel);
  });
  return result;
}

ResiduesPtr DeviceRing::multiply_one_plus(const Residues& x, Numbers a, std::size_t count) const {
  const DeviceBatch& batch = own(x);
  const std::size_t step = step_of(x, count);
  auto result = make_batch(count, Secrecy::kPublic);
  modulus_.in_chunks(count, {0.8, NumbersOnDevice::bytes(a)}, [&](std::size_t first, std::size_t size) {
    const NumbersOnDevice plain(device_, a, first, size);
    kernels::MultiplyOnePlus kernel{};
    kernel.r = result->row(first);
    kernel.x = batch.row(first * step);
    kernel.x_step = static_cast<std::uint32_t>(step);
    kernel.a = plain.rows();
    kernel.a_words = plain.words();
    kernel.count = size;
    kernel.constants = modulus_.constants();
    modulus_.launch(kernel);
  });
  return result;
}

ResiduesPtr DeviceRing::segment_product(const Residues& x, const std::int64_t* indices, const std::int64_t* offsets,
                                        std::size_t segments) const {
  const DeviceBatch& batch = own_with_ids(x);
  auto result = make_batch(segments, Secrecy::kPublic);
  DeviceProducts(modulus_).segments(result->row(0), batch.row(0), indices, offsets, segments);
  return result;
}

ResiduesPtr DeviceRing::power_shared(const Residues& x, const Limb* exponent, std::size_t exponent_bits,
                                     Exponent) const {
  const DeviceBatch& batch = own(x);
  auto result = make_batch(x.count(), Secrecy::kSecret);
  const std::size_t limbs = limbs_for_bits(exponent_bits);
  DeviceBuffer<std::uint32_t> exponent_there(device_, limbs * kWordsOfLimb, true);
  exponent_there.upload(words_of(exponent));
  // Squarings, a product a window, and the table.
  const double products = 1.25 * static_cast<double>(exponent_bits) + (1 << kernels::kPowerWindow);
  const std::size_t scratch_bytes = modulus_.row_bytes() << kernels::kPowerWindow;
  modulus_.in_chunks(x.count(), {products, scratch_bytes}, [&](std::size_t first, std::size_t count) {
    auto scratch = modulus_.rows(count << kernels::kPowerWindow, true);
    kernels::FixedWindowPowers kernel{};
    kernel.r = result->row(first);
    kernel.x = batch.row(first);
    kernel.exponent = exponent_there.get();
    kernel.exponent_bits = static_cast<std::uint32_t>(exponent_bits);
    kernel.scratch = scratch.get();
    kernel.count = count;
    kernel.constants = modulus_.constants();
    modulus_.launch(kernel);
  });
  return result;
}

ResiduesPtr DeviceRing::power_each_vartime(const Residues& x, Numbers exponents, std::size_t count) const {
  const DeviceBatch& batch = own(x);
  const std::size_t step = step_of(x, count);
  auto result = make_batch(count, Secrecy::kPublic);
  const auto longest = [&](std::size_t first, std::size_t size) {
    if (exponents.memory == Memory::kBackend) return exponents.limbs * kLimbBits;
    std::size_t bits = 0;
    for (std::size_t i = first; i < first + size; ++i)
      bits = std::max(bits, bit_length(exponents.values + i * exponents.limbs, exponents.limbs));
    return bits;
  };
  const double products = 1.25 * static_cast<double>(longest(0, count)) + (1 << kernels::kPowerWindow);
  const std::size_t bytes = (modulus_.row_bytes() << kernels::kPowerWindow) + NumbersOnDevice::bytes(exponents);
  modulus_.in_chunks(count, {products, bytes}, [&](std::size_t first, std::size_t size) {
    const NumbersOnDevice powers(device_, exponents, first, size);
    auto scratch = modulus_.rows(size << kernels::kPowerWindow, false);
    kernels::PowersEachVartime kernel{};
    kernel.r = result->row(first);
    kernel.x = batch.row(first * step);
    kernel.x_step = static_cast<std::uint32_t>(step);
    kernel.exponents = powers.rows();
    kernel.exponent_words = powers.words();
    kernel.exponent_bits = static_cast<std::uint32_t>(longest(first, size));
    kernel.scratch = scratch.get();
    kernel.count = size;
    kernel.constants = modulus_.constants();
    modulus_.launch(kernel);
  });
  return result;
}

std::shared_ptr<const FixedBaseTable> DeviceRing::fixed_base_table(const Limb* base, const Limb* inverse,
                                                                   std::size_t exponent_bits, std::size_t window_bits,
                                                                   Exponent kind) const {
  SecretLimbs both(base, base + limbs());
  both.insert(both.end(), inverse, inverse + limbs());
  const ResiduesPtr bases = upload(both.data(), 2);
  return std::make_shared<DeviceTable>(modulus_, own(*bases), exponent_bits, window_bits, kind);
}

WindowCosts DeviceRing::window_costs(Exponent kind) const { return DeviceTable::costs(modulus_, kind); }

ResiduesPtr DeviceRing::fixed_base_power(const FixedBaseTable& table, Numbers exponents, Numbers a,
                                         std::size_t count) const {
  // Without a, what comes out is an obfuscator.
  auto result = make_batch(count, a.values == nullptr ? Secrecy::kSecret : Secrecy::kPublic);
  dynamic_cast<const DeviceTable&>(table).power(*result, modulus_, exponents, a);
  return result;
}

ResiduesPtr DeviceRing::multi_power_vartime(const Residues& x, const Residues* inverse, std::size_t columns,
                                            Numbers weights, const bool* negative, std::size_t rows,
                                            std::size_t inner) const {
  const DeviceBatch& batch = own_with_ids(x);
  auto result = make_batch(rows * columns, Secrecy::kPublic);
  multi_power(*result, modulus_,
              {batch, inverse == nullptr ? nullptr : &own(*inverse), columns, weights, negative, rows, inner});
  return result;
}

ResiduesPtr DeviceRing::take(const Residues& x, const std::int64_t* indices, std::size_t count) const {
  const DeviceBatch& batch = own_with_ids(x);
  auto result = make_batch(count, Secrecy::kPublic);
  DeviceProducts(modulus_).gather(result->row(0), batch.row(0), indices, count);
  device_.wait();
  return result;
}

ResiduesPtr DeviceRing::concatenate(const std::vector<ResiduesPtr>& parts) const {
  std::size_t count = 0;
  for (const auto& part : parts) count += part->count();
  auto result = make_batch(count, Secrecy::kPublic);
  std::size_t next = 0;
  for (const auto& part : parts) {
    modulus_.copy_rows(result->row(next), own(*part).row(0), part->count());
    next += part->count();
  }
  device_.wait();
  return result;
}

}  // namespace cipherlane
