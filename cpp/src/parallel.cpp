#include "cipherlane/parallel.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>
#if defined(__linux__)
#include <sched.h>
#endif

namespace cipherlane {
namespace {

constexpr std::size_t kMostThreads = 1024;
constexpr std::chrono::milliseconds kPollInterval{50};
std::atomic<std::size_t> chosen_threads{0};
std::atomic<void (*)()> interrupt_check{nullptr};

std::size_t processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

std::size_t threads_from_environment() {
  const char* text = std::getenv("CIPHERLANE_THREADS");
  if (text == nullptr || *text == '\0') return processors();
  char* end = nullptr;
  const long count = std::strtol(text, &end, 10);
  if (*end != '\0' || count < 1 || count > static_cast<long>(kMostThreads))
    throw std::invalid_argument("CIPHERLANE_THREADS: expected a whole number from 1 to 1024, got '" +
                                std::string(text) + "'");
  return static_cast<std::size_t>(count);
}

// Shared by those who delay forks, exclusive for a fork: it is free in parent and child afterwards.
pthread_rwlock_t fork_lock = PTHREAD_RWLOCK_INITIALIZER;
std::atomic<std::uint64_t> forks{1};

const bool fork_handlers_installed = [] {
  const int status =
      ::pthread_atfork([] { ::pthread_rwlock_wrlock(&fork_lock); }, [] { ::pthread_rwlock_unlock(&fork_lock); },
                       [] {
                         forks.fetch_add(1, std::memory_order_relaxed);
                         fork_lock = PTHREAD_RWLOCK_INITIALIZER;  // threads that waited for it are not here
                       });
  if (status != 0) throw std::system_error(status, std::generic_category(), "pthread_atfork");
  return true;
}();

}  // namespace

std::uint64_t fork_generation() { return forks.load(std::memory_order_relaxed); }

ForkDelay::ForkDelay() { ::pthread_rwlock_rdlock(&fork_lock); }
ForkDelay::~ForkDelay() { ::pthread_rwlock_unlock(&fork_lock); }

std::size_t thread_count() {
  const std::size_t chosen = chosen_threads.load(std::memory_order_relaxed);
  return chosen != 0 ? chosen : threads_from_environment();
}

void set_thread_count(std::size_t count) {
  if (count > kMostThreads) throw std::invalid_argument("thread count: expected 0 (default) to 1024");
  chosen_threads.store(count, std::memory_order_relaxed);
}

void set_interrupt_check(void (*check)()) { interrupt_check.store(check); }

void check_interrupt() {
  thread_local std::chrono::steady_clock::time_point last_poll;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_poll < kPollInterval) return;
  last_poll = now;
  if (auto* check = interrupt_check.load()) check();
}

void parallel_for(std::size_t count, std::size_t grain, const std::function<void(std::size_t, std::size_t)>& body) {
  if (count == 0) return;
  const std::size_t pieces = (count + grain - 1) / grain;
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stop{false};
  std::exception_ptr failure;
  std::mutex failure_mutex;

  const auto work = [&](bool polls) noexcept {
    auto last_poll = std::chrono::steady_clock::now();
    try {
      while (!stop.load(std::memory_order_relaxed)) {
        const std::size_t piece = next.fetch_add(1, std::memory_order_relaxed);
        if (piece >= pieces) return;
        body(piece * grain, std::min(count, (piece + 1) * grain));
        if (!polls) continue;
        const auto now = std::chrono::steady_clock::now();
        if (now - last_poll < kPollInterval) continue;
        last_poll = now;
        if (auto* check = interrupt_check.load()) check();
      }
    } catch (...) {
      stop.store(true, std::memory_order_relaxed);
      const std::lock_guard<std::mutex> lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  };

  const std::size_t helpers = std::min(thread_count(), pieces) - 1;
  std::vector<std::thread> threads;
  threads.reserve(helpers);
  try {
    for (std::size_t i = 0; i < helpers; ++i) threads.emplace_back(work, false);
  } catch (const std::system_error&) {
    // No more threads to be had: those that started, and this one, finish the batch.
  }
  work(true);
  for (auto& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace cipherlane
