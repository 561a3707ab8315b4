// Records the path of instrumented code: every basic block entered and every address read or written.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cipherlane::tests {

struct Trace {
  std::uint64_t blocks = 0, accesses = 0, hash = 0xcbf29ce484222325;
};

// From here on memory comes from an arena, from its start, so that two runs that allocate alike get the same addresses.
// What was allocated since the call before must be gone.
void start_arena();
void stop_arena();

void start_trace();
Trace stop_trace();

}  // namespace cipherlane::tests
