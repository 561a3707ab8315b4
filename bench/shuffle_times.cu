// Clocks that a shuffle of a whole warp takes, by the lanes that it takes from: whether they could be told from its
// time.
//
//   nvcc -O3 -arch=native -o build/shuffle_times bench/shuffle_times.cu && build/shuffle_times
#include <cstdio>
#include <cstdlib>
#include <vector>

constexpr int kWarp = 32, kThreads = 128, kBlocks = 528, kChains = 8, kRounds = 4000, kRepeats = 3;

__global__ void time_shuffles(const int* sources, unsigned* sums, long long* clocks) {
  const int source = sources[threadIdx.x % kWarp];
  unsigned x[kChains];
  for (int k = 0; k < kChains; ++k) x[k] = threadIdx.x * 77 + k;
  __syncthreads();
  const long long start = clock64();
  for (int i = 0; i < kRounds; ++i)
#pragma unroll
    for (int k = 0; k < kChains; ++k) x[k] = __shfl_sync(~0u, x[k], source) + 1;
  const long long end = clock64();
  unsigned sum = 0;
  for (int k = 0; k < kChains; ++k) sum ^= x[k];
  const int thread = blockIdx.x * kThreads + threadIdx.x;
  sums[thread] = sum;
  clocks[thread] = end - start;
}

void check(cudaError_t status) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s\n", cudaGetErrorString(status));
  std::exit(1);
}

struct Pattern {
  const char* name;
  int (*source)(int lane);
};

// Lanes of a group of four take from the same lanes of another group, as look-ups do.
int other_group(int lane) { return (lane / 4 * 5 + 3) % 8 * 4 + lane % 4; }

int main() {
  const Pattern patterns[] = {
      {"its own lane", [](int lane) { return lane; }},
      {"the first lane", [](int) { return 0; }},
      {"the last lane", [](int) { return kWarp - 1; }},
      {"reversed", [](int lane) { return kWarp - 1 - lane; }},
      {"every fourth", [](int lane) { return lane * 4 % kWarp; }},
      {"another group of four", other_group},
      {"at random", [](int) { return std::rand() % kWarp; }},
      {"at random again", [](int) { return std::rand() % kWarp; }},
  };
  int* sources = nullptr;
  unsigned* sums = nullptr;
  long long* clocks = nullptr;
  check(cudaMalloc(&sources, kWarp * sizeof(int)));
  check(cudaMalloc(&sums, kBlocks * kThreads * sizeof(unsigned)));
  check(cudaMalloc(&clocks, kBlocks * kThreads * sizeof(long long)));
  std::vector<long long> taken(kBlocks * kThreads);
  for (int repeat = 0; repeat < kRepeats; ++repeat)
    for (const Pattern& pattern : patterns) {
      int lanes[kWarp];
      for (int lane = 0; lane < kWarp; ++lane) lanes[lane] = pattern.source(lane);
      check(cudaMemcpy(sources, lanes, sizeof lanes, cudaMemcpyHostToDevice));
      time_shuffles<<<kBlocks, kThreads>>>(sources, sums, clocks);
      check(cudaGetLastError());
      check(cudaMemcpy(taken.data(), clocks, taken.size() * sizeof(long long), cudaMemcpyDeviceToHost));
      double total = 0;
      for (const long long each : taken) total += static_cast<double>(each);
      std::printf("%-22s %.4f clocks a shuffle\n", pattern.name, total / taken.size() / kRounds / kChains);
    }
}
