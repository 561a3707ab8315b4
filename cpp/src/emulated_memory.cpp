#include "emulated_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "../../kernels/batch_kernels.cuh"
#include "cipherlane/device_info.hpp"

namespace cipherlane {

namespace kernels {
std::ptrdiff_t emulated_distance = 0;
}

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAlignment = 256;
constexpr std::size_t kSpan = std::size_t{1} << 40;  // of addresses, none of which is used twice
constexpr std::size_t kDefaultLimit = std::size_t{1} << 30;
constexpr std::uint8_t kMark = 0xa5;

std::size_t rounded(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

bool is_all(const std::uint8_t* from, const std::uint8_t* to, std::uint8_t value) {
  return std::all_of(from, to, [value](std::uint8_t byte) { return byte == value; });
}

}  // namespace

EmulatedMemory::EmulatedMemory() {
  const char* text = std::getenv("CIPHERLANE_EMULATED_MEMORY");
  limit_ = text == nullptr ? kDefaultLimit : std::strtoull(text, nullptr, 10);
  void* region = ::mmap(nullptr, 2 * kSpan, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) throw DeviceError("emulated device: no room for its addresses");
  base_ = static_cast<std::uint8_t*>(region);
  kernels::emulated_distance = static_cast<std::ptrdiff_t>(kSpan);
}

void* EmulatedMemory::allocate(std::size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (bytes > limit_ - std::min(limit_, used_)) {
    ++counts_.refused;
    throw DeviceOutOfMemory(bytes, limit_ - std::min(limit_, used_), limit_);
  }
  const std::size_t inner = rounded(bytes, kAlignment), page_bytes = rounded(inner, kPage);
  if (next_ + page_bytes + kPage > kSpan) throw DeviceError("emulated device: no more addresses");
  std::uint8_t* const pages = base_ + next_ + kSpan;
  if (::mprotect(pages, page_bytes, PROT_READ | PROT_WRITE) != 0)
    throw DeviceError("emulated device: no memory of this machine");
  std::uint8_t* const memory = pages + page_bytes - inner;
  std::fill(pages, memory, kMark);
  for (std::size_t i = 0; i < bytes; ++i) memory[i] = static_cast<std::uint8_t>(0xd1 + 0x3b * i + counts_.allocations);
  std::fill(memory + bytes, pages + page_bytes, kMark);
  next_ += page_bytes + kPage;
  used_ += bytes;
  counts_.live_bytes = used_;
  counts_.peak_bytes = std::max(counts_.peak_bytes, used_);
  ++counts_.allocations;
  std::uint8_t* const address = memory - kSpan;
  live_[reinterpret_cast<std::uintptr_t>(address)] = {bytes, pages, page_bytes};
  return address;
}

void EmulatedMemory::release(void* memory, std::size_t bytes, bool wipe) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = live_.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == live_.end() || found->second.bytes != bytes) {
    note("memory was given back that was not given out");
    return;
  }
  const Allocation& allocation = found->second;
  std::uint8_t* const begin = static_cast<std::uint8_t*>(memory) + kSpan;
  if (!is_all(allocation.pages, begin, kMark) ||
      !is_all(begin + bytes, allocation.pages + allocation.page_bytes, kMark))
    note("something was written beside an allocation of " + std::to_string(bytes) + " bytes");
  if (wipe) {
    std::memset(begin, 0, bytes);
    ++counts_.wiped;
  }
  if (!watched_.empty() && std::search(begin, begin + bytes, watched_.begin(), watched_.end()) != begin + bytes)
    ++counts_.found;
  ::mmap(allocation.pages, allocation.page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
         -1, 0);
  used_ -= bytes;
  counts_.live_bytes = used_;
  live_.erase(found);
}

std::uint8_t* EmulatedMemory::inside(const void* address, std::size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto from = reinterpret_cast<std::uintptr_t>(address);
  auto after = live_.upper_bound(from);
  if (after == live_.begin() || bytes > std::prev(after)->second.bytes ||
      from - std::prev(after)->first > std::prev(after)->second.bytes - bytes)
    throw DeviceError("emulated device: " + std::to_string(bytes) + " bytes that lie in no allocation");
  return reinterpret_cast<std::uint8_t*>(from + kSpan);
}

std::size_t EmulatedMemory::limit() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return limit_;
}

std::size_t EmulatedMemory::free() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return limit_ - std::min(limit_, used_);
}

void EmulatedMemory::set_limit(std::size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  limit_ = bytes;
}

void EmulatedMemory::watch(std::vector<std::uint8_t> bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  watched_ = std::move(bytes);
  counts_.found = 0;
}

EmulatedCounts EmulatedMemory::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

void EmulatedMemory::note(const std::string& fault) {
  if (counts_.fault.empty()) counts_.fault = fault;
}

}  // namespace cipherlane
