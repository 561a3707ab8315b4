// The emulated device's memory, which finds what a real device lets pass. For tests only.
//
// Host code cannot look into it: what is given out are addresses of pages without access, and the memory itself lies
// kernels::emulated_distance beyond, where only the emulated device and the kernels (DevicePointer::get) look. An
// allocation ends at a page without access, is filled with garbage, has marks around it, and is never given out again:
// a row past the end or of freed memory stops the process, a write beside the end is found when the memory is given
// back, and what was never written shows in the results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace cipherlane {

struct EmulatedCounts {
  std::size_t live_bytes, peak_bytes, allocations, refused, wiped, launches;
  std::size_t uploaded, downloaded;  // bytes
  std::size_t stream_waits, waits_for_all;
  std::size_t found;  // allocations given back, not wiped, that held what was watched for
  std::string fault;  // the first error that could not be thrown where it was found
};

class EmulatedMemory {
 public:
  EmulatedMemory();

  void* allocate(std::size_t bytes);
  void release(void* memory, std::size_t bytes, bool wipe) noexcept;
  // The memory behind [address, address + bytes), which lies in one allocation; else throws DeviceError.
  std::uint8_t* inside(const void* address, std::size_t bytes);

  std::size_t limit() const;
  std::size_t free() const;
  void set_limit(std::size_t bytes);
  // Bytes that no allocation may hold when it is given back without being wiped; empty to stop.
  void watch(std::vector<std::uint8_t> bytes);
  template <class Function>
  void count(Function&& function) {
    const std::lock_guard<std::mutex> lock(mutex_);
    function(counts_);
  }
  EmulatedCounts counts() const;

 private:
  struct Allocation {
    std::size_t bytes;
    std::uint8_t* pages;  // the first, in memory
    std::size_t page_bytes;
  };
  void note(const std::string& fault);

  mutable std::mutex mutex_;
  std::map<std::uintptr_t, Allocation> live_;
  std::vector<std::uint8_t> watched_;
  std::size_t limit_, used_ = 0, next_ = 0;
  EmulatedCounts counts_{};
  std::uint8_t* base_;  // of the addresses given out
};

}  // namespace cipherlane
