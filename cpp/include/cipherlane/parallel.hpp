// Batches are cut into pieces that all threads share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace cipherlane {

// Threads that a batch uses: set_thread_count, else CIPHERLANE_THREADS, else all processors this process may run on.
std::size_t thread_count();
void set_thread_count(std::size_t count);

// Called on the thread that started a batch, about every 50 ms while it runs; an exception from it stops the batch.
void set_interrupt_check(void (*check)());
// Calls that check for a batch that runs elsewhere than in parallel_for: at most every 50 ms, whoever asks how often.
void check_interrupt();

// While one lives, a fork waits; otherwise a child could find a mutex locked by a thread that it does not have. For
// moments only: who forks may hold the GIL.
class ForkDelay {
 public:
  ForkDelay();
  ~ForkDelay();
  ForkDelay(const ForkDelay&) = delete;
  ForkDelay& operator=(const ForkDelay&) = delete;
};

// Not 0, and another number in a forked child than in its parent.
std::uint64_t fork_generation();

// Calls body(begin, end) for pieces of at most `grain` that cover [0, count), on all threads. Threads live only as long
// as the call, so a fork between calls finds none. The first exception is rethrown after all threads have stopped.
void parallel_for(std::size_t count, std::size_t grain, const std::function<void(std::size_t, std::size_t)>& body);

}  // namespace cipherlane
