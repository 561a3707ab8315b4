// A device that runs the kernels on the host, thread by thread in lockstep. For tests only: it is built in place of
// CUDA with CIPHERLANE_EMULATED_DEVICE.
//
// As on a real device, work of a thread is only queued, and done when it waits.
#include "emulated_device.hpp"

#include <chrono>
#include <cstring>

#include "device.hpp"
#include "device_fork.hpp"
#include "emulated_launch.hpp"

namespace cipherlane {
namespace {

class EmulatedDevice final : public Device {
 public:
  DeviceInfo info() const override { return {"emulated device", 0, memory_.limit(), 0, 0, 0, 0, true}; }
  std::size_t total_memory() const override { return memory_.limit(); }
  std::size_t free_memory() const override { return memory_.free(); }
  std::size_t groups_at_once(kernels::Shape) const override { return kGroupsAtOnce; }

  void* allocate(std::size_t bytes) override {
    fork_.check();
    try {
      return memory_.allocate(bytes);
    } catch (const DeviceOutOfMemory&) {
      // What this thread has given back is free in the order of its work.
      wait();
      return memory_.allocate(bytes);
    }
  }
  void release(void* memory, std::size_t bytes, bool wipe) noexcept override {
    if (fork_.forked()) return;
    if (queue().empty())
      memory_.release(memory, bytes, wipe);
    else
      queue().push_back({[=] { memory_.release(memory, bytes, wipe); }, true});
  }

  void upload(void* to, const void* from, std::size_t bytes) override {
    check();
    memory_.count([=](EmulatedCounts& counts) { counts.uploaded += bytes; });
    const auto* begin = static_cast<const std::uint8_t*>(from);
    const auto data = std::make_shared<std::vector<std::uint8_t>>(begin, begin + bytes);
    later([=] { std::memcpy(memory_.inside(to, bytes), data->data(), bytes); });
  }
  void download(void* to, const void* from, std::size_t bytes) override {
    wait();
    memory_.count([=](EmulatedCounts& counts) { counts.downloaded += bytes; });
    std::memcpy(to, memory_.inside(from, bytes), bytes);
  }
  void copy(void* to, const void* from, std::size_t bytes) override {
    later([=] { std::memcpy(memory_.inside(to, bytes), memory_.inside(from, bytes), bytes); });
  }
  void zero(void* memory, std::size_t bytes) override {
    later([=] { std::memset(memory_.inside(memory, bytes), 0, bytes); });
  }
  void wait() override {
    check();
    std::vector<Work> work;
    work.swap(queue());
    std::exception_ptr failure;
    for (const Work& each : work) {
      if (failure && !each.always) continue;
      try {
        each.run();
      } catch (...) {
        failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
  }
  // Nobody else works here: that they would be waited for is all there is to see.
  void wait_for_stream(std::uintptr_t) override {
    memory_.count([](EmulatedCounts& counts) { ++counts.stream_waits; });
  }
  void wait_for_everyone() override {
    memory_.count([](EmulatedCounts& counts) { ++counts.waits_for_all; });
  }
  void check_memory(const void* memory, std::size_t bytes) override {
    try {
      memory_.inside(memory, bytes);
    } catch (const DeviceError&) {
      throw std::invalid_argument("address: expected memory of cuda:0, got other memory");
    }
  }
  double seconds(const std::function<void()>& work) override {
    wait();
    const auto start = std::chrono::steady_clock::now();
    work();
    wait();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

#define CIPHERLANE_LAUNCH(Kernel)                                                                 \
  void launch(kernels::Shape shape, const kernels::Kernel& kernel, std::size_t groups) override { \
    start(kernel.count, groups, [=] { run(shape, kernel, groups); });                             \
  }
  CIPHERLANE_KERNELS(CIPHERLANE_LAUNCH)
#undef CIPHERLANE_LAUNCH
#define CIPHERLANE_LAUNCH(Kernel)                                   \
  void launch(const kernels::Kernel& kernel) override {             \
    start(kernel.count, kernel.count, [=] {                         \
      for (std::size_t i = 0; i < kernel.count; ++i) kernel.run(i); \
    });                                                             \
  }
  CIPHERLANE_ITEM_KERNELS(CIPHERLANE_LAUNCH)
#undef CIPHERLANE_LAUNCH

  EmulatedMemory& memory() { return memory_; }

 private:
  // Few, so that batches of a test come in several chunks.
  static constexpr std::size_t kGroupsAtOnce = 4;

  struct Work {
    std::function<void()> run;
    bool always;  // also when something before it failed
  };
  // Of this thread; at its end, memory that it gave back is free.
  static std::vector<Work>& queue() {
    struct Queue {
      std::vector<Work> work;
      ~Queue() {
        for (const Work& each : work)
          if (each.always) each.run();
      }
    };
    thread_local Queue queue;
    return queue.work;
  }

  void check() {
    fork_.check();
    const std::string fault = memory_.counts().fault;
    if (!fault.empty()) throw DeviceError("emulated device: " + fault);
  }
  void later(std::function<void()> work) {
    check();
    queue().push_back({std::move(work), false});
  }
  void start(std::size_t count, std::size_t groups, std::function<void()> work) {
    if (count == 0 || groups < count)
      throw DeviceError("emulated device: a launch of " + std::to_string(groups) + " groups for " +
                        std::to_string(count) + " results");
    memory_.count([](EmulatedCounts& counts) { ++counts.launches; });
    later(std::move(work));
  }

  template <class Kernel>
  static void run(kernels::Shape shape, const Kernel& kernel, std::size_t groups) {
    // A real launch has whole blocks: at least one group more.
    ++groups;
#define CIPHERLANE_CASE(T, W) \
  if (shape.threads == T && shape.limbs == W) return emulate_##T##x##W(kernel, groups);
    CIPHERLANE_SHAPES(CIPHERLANE_CASE)
#undef CIPHERLANE_CASE
    throw DeviceError("emulated device: no such shape");
  }

  ForkGuard fork_;
  EmulatedMemory memory_;
};

EmulatedDevice& emulated_device() {
  static auto* const device = [] {
    const ForkDelay delay;
    return new EmulatedDevice;  // for ever: batches may outlive static objects
  }();
  return *device;
}

}  // namespace

DeviceChoice choose_device() {
  static const ForkGuard fork;
  if (fork.forked()) return {nullptr, kForkedMessage};
  return {&emulated_device(), ""};
}

EmulatedCounts emulated_counts() { return emulated_device().memory().counts(); }
void set_emulated_memory(std::size_t bytes) { emulated_device().memory().set_limit(bytes); }
void watch_emulated_memory(std::vector<std::uint8_t> bytes) { emulated_device().memory().watch(std::move(bytes)); }

}  // namespace cipherlane
