#include "cipherlane/ring.hpp"

#include <algorithm>

#include "cipherlane/parallel.hpp"
#include "cipherlane/random.hpp"

namespace cipherlane {
namespace {

constexpr std::size_t kGrainRandom = 256;

class HostNumbers final : public PlainNumbers {
 public:
  HostNumbers(std::size_t count, std::size_t limbs)
      : PlainNumbers(count), limbs_(limbs), limbs_of_all_(count * limbs) {}
  Limb* data() { return limbs_of_all_.data(); }
  Numbers view() const override { return {limbs_of_all_.data(), limbs_}; }
  void read(Limb* values) const override { std::copy(limbs_of_all_.begin(), limbs_of_all_.end(), values); }

 private:
  std::size_t limbs_;
  SecretLimbs limbs_of_all_;
};

}  // namespace

PlainPtr Ring::values(const Residues& x) const {
  auto numbers = std::make_shared<HostNumbers>(x.count(), limbs());
  download(x, numbers->data());
  return numbers;
}

std::pair<PlainPtr, PlainPtr> Ring::digits(const Residues& x) const {
  auto low = std::make_shared<HostNumbers>(x.count(), digit_limbs());
  auto high = std::make_shared<HostNumbers>(x.count(), digit_limbs());
  download_digits(x, low->data(), high->data());
  return {low, high};
}

PlainPtr Ring::random_numbers(std::size_t count, std::size_t bits) const {
  const std::size_t width = limbs_for_bits(bits);
  auto numbers = std::make_shared<HostNumbers>(count, width);
  parallel_for(count, kGrainRandom, [&](std::size_t begin, std::size_t end) {
    random_bits(numbers->data() + begin * width, end - begin, bits, width);
  });
  return numbers;
}

}  // namespace cipherlane
