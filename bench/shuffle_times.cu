// Clocks that chains of shuffles take by pattern of source lanes, full warps, many warps.
#include <cstdio>
#include <cstdlib>
__global__ void time_shuffles(const int* sources, unsigned* sums, long long* clocks, int rounds) {
  int source = sources[threadIdx.x & 31];
  unsigned x[8];
  for (int k = 0; k < 8; ++k) x[k] = threadIdx.x * 77 + k;
  __syncthreads();
  long long start = clock64();
  for (int i = 0; i < rounds; ++i)
#pragma unroll
    for (int k = 0; k < 8; ++k) x[k] = __shfl_sync(~0u, x[k], source) + 1;
  long long end = clock64();
  unsigned s = 0;
  for (int k = 0; k < 8; ++k) s ^= x[k];
  sums[blockIdx.x * blockDim.x + threadIdx.x] = s;
  clocks[blockIdx.x * blockDim.x + threadIdx.x] = end - start;
}
int main() {
  const int blocks = 132 * 4, threads = 128, rounds = 4000;
  int* sources; unsigned* sums; long long* clocks;
  cudaMalloc(&sources, 128); cudaMalloc(&sums, blocks * threads * 4); cudaMalloc(&clocks, blocks * threads * 8);
  const char* names[] = {"own lane", "all lane 0", "reversed", "bank-like stride 4", "random A", "random B", "all lane 31", "groups of 4 at random"};
  static long long host[132 * 4 * 128];
  srand(1);
  for (int repeat = 0; repeat < 3; ++repeat)
    for (int p = 0; p < 8; ++p) {
      int s[32];
      for (int l = 0; l < 32; ++l)
        s[l] = p == 0 ? l : p == 1 ? 0 : p == 2 ? 31 - l : p == 3 ? (l * 4) % 32 : p == 6 ? 31 : p == 7 ? 0 : rand() % 32;
      if (p == 7) for (int g = 0; g < 8; ++g) { int r = rand() % 8; for (int t = 0; t < 4; ++t) s[4 * g + t] = 4 * r + t; }
      cudaMemcpy(sources, s, 128, cudaMemcpyHostToDevice);
      time_shuffles<<<blocks, threads>>>(sources, sums, clocks, rounds);
      if (cudaMemcpy(host, clocks, sizeof host, cudaMemcpyDeviceToHost) != cudaSuccess) return 1;
      double mean = 0;
      for (long long c : host) mean += c;
      printf("shuffle %-24s %.4f clocks a shuffle and warp\n", names[p], mean / (blocks * threads) / rounds / 8);
    }
}
