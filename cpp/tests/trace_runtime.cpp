// What the compiler calls from code built with -fsanitize=thread and -fsanitize-coverage=trace-pc, with a body of our
// own in place of the sanitizers'. This file itself is built without them. One thread only.
#include "trace_runtime.hpp"

#include <time.h>

#include <cstdlib>
#include <cstring>
#include <new>

#define CIPHERLANE_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr std::size_t kArenaBytes = std::size_t{1} << 28;

bool tracing = false, in_arena = false;
cipherlane::tests::Trace trace;
unsigned char* arena = nullptr;
std::size_t arena_used = 0;

void record(std::uint64_t what) { trace.hash = (trace.hash ^ what) * 0x100000001b3; }

void block(void* address) {
  if (!tracing) return;
  record(reinterpret_cast<std::uint64_t>(address));
  ++trace.blocks;
}

void access(const void* address, std::size_t bytes) {
  if (!tracing) return;
  record(reinterpret_cast<std::uint64_t>(address));
  record(bytes);
  ++trace.accesses;
}

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (!in_arena) {
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  arena_used = (arena_used + alignment - 1) / alignment * alignment;
  if (bytes > kArenaBytes - arena_used) throw std::bad_alloc();
  void* memory = arena + arena_used;
  arena_used += bytes;
  return memory;
}

void release(void* memory) {
  auto* bytes = static_cast<unsigned char*>(memory);
  if (arena == nullptr || bytes < arena || bytes >= arena + kArenaBytes) std::free(memory);
}

}  // namespace

namespace cipherlane::tests {

void start_arena() {
  if (arena == nullptr) arena = static_cast<unsigned char*>(std::aligned_alloc(4096, kArenaBytes));
  if (arena == nullptr) throw std::bad_alloc();
  arena_used = 0;
  in_arena = true;
}

void stop_arena() { in_arena = false; }

void start_trace() {
  trace = {};
  tracing = true;
}

Trace stop_trace() {
  tracing = false;
  return trace;
}

}  // namespace cipherlane::tests

void* operator new(std::size_t bytes) { return allocate(bytes, 16); }
void* operator new[](std::size_t bytes) { return allocate(bytes, 16); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }

// Time stands still, so that the pace of a run decides nothing (parallel_for polls for signals every 50 ms).
CIPHERLANE_EXPORT int clock_gettime(clockid_t, struct timespec* now) noexcept {
  *now = {};
  return 0;
}

CIPHERLANE_EXPORT void __sanitizer_cov_trace_pc() { block(__builtin_return_address(0)); }

CIPHERLANE_EXPORT void __tsan_init() {}
CIPHERLANE_EXPORT void __tsan_func_entry(void* address) { block(address); }
CIPHERLANE_EXPORT void __tsan_func_exit() {}
CIPHERLANE_EXPORT void __tsan_vptr_update(void** pointer, void*) { access(pointer, sizeof(void*)); }
CIPHERLANE_EXPORT void __tsan_read_range(void* address, std::size_t bytes) { access(address, bytes); }
CIPHERLANE_EXPORT void __tsan_write_range(void* address, std::size_t bytes) { access(address, bytes); }

#define CIPHERLANE_ACCESS(bytes)                                                                 \
  CIPHERLANE_EXPORT void __tsan_read##bytes(void* address) { access(address, bytes); }           \
  CIPHERLANE_EXPORT void __tsan_write##bytes(void* address) { access(address, bytes); }          \
  CIPHERLANE_EXPORT void __tsan_unaligned_read##bytes(void* address) { access(address, bytes); } \
  CIPHERLANE_EXPORT void __tsan_unaligned_write##bytes(void* address) { access(address, bytes); }
CIPHERLANE_ACCESS(1)
CIPHERLANE_ACCESS(2)
CIPHERLANE_ACCESS(4)
CIPHERLANE_ACCESS(8)
CIPHERLANE_ACCESS(16)

#define CIPHERLANE_ATOMIC(bits, type)                                                                                \
  CIPHERLANE_EXPORT type __tsan_atomic##bits##_load(const volatile type* from, int) {                                \
    return __atomic_load_n(from, __ATOMIC_SEQ_CST);                                                                  \
  }                                                                                                                  \
  CIPHERLANE_EXPORT void __tsan_atomic##bits##_store(volatile type* to, type value, int) {                           \
    __atomic_store_n(to, value, __ATOMIC_SEQ_CST);                                                                   \
  }                                                                                                                  \
  CIPHERLANE_EXPORT type __tsan_atomic##bits##_exchange(volatile type* to, type value, int) {                        \
    return __atomic_exchange_n(to, value, __ATOMIC_SEQ_CST);                                                         \
  }                                                                                                                  \
  CIPHERLANE_EXPORT type __tsan_atomic##bits##_fetch_add(volatile type* to, type value, int) {                       \
    return __atomic_fetch_add(to, value, __ATOMIC_SEQ_CST);                                                          \
  }                                                                                                                  \
  CIPHERLANE_EXPORT type __tsan_atomic##bits##_fetch_sub(volatile type* to, type value, int) {                       \
    return __atomic_fetch_sub(to, value, __ATOMIC_SEQ_CST);                                                          \
  }                                                                                                                  \
  CIPHERLANE_EXPORT int __tsan_atomic##bits##_compare_exchange_strong(volatile type* to, type* expected, type value, \
                                                                      int, int) {                                    \
    return __atomic_compare_exchange_n(to, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);              \
  }
CIPHERLANE_ATOMIC(8, std::uint8_t)
CIPHERLANE_ATOMIC(32, std::uint32_t)
CIPHERLANE_ATOMIC(64, std::uint64_t)

// Copies made by the C library are accesses like any other.
extern "C" {
void* __real_memcpy(void*, const void*, std::size_t);
void* __real_memmove(void*, const void*, std::size_t);
void* __real_memset(void*, int, std::size_t);

void* __wrap_memcpy(void* to, const void* from, std::size_t bytes) {
  access(to, bytes);
  access(from, bytes);
  return __real_memcpy(to, from, bytes);
}
void* __wrap_memmove(void* to, const void* from, std::size_t bytes) {
  access(to, bytes);
  access(from, bytes);
  return __real_memmove(to, from, bytes);
}
void* __wrap_memset(void* to, int value, std::size_t bytes) {
  access(to, bytes);
  return __real_memset(to, value, bytes);
}
}
