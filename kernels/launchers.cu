// The device code as kernels: one group of threads for each result, whole warps, results past `count` > 0 not stored.
// Residues are rows of 2 L limbs in Montgomery form (x0 then x1), 16-byte aligned; `constants` as kernels::Modulus.
#include "chacha20.cuh"
#include "power.cuh"

namespace cipherlane::kernels {

constexpr int kBlockThreads = 128;
constexpr int kPowerWindow = 4;

// Blocks which the registers of a multiprocessor (65,536) hold: 128, 170 or 255 registers a thread for 8, 12 or 16
// limbs. Without this number the compiler spills to fit one block more.
constexpr int blocks_at_once(int limbs) { return limbs <= 8 ? 4 : limbs <= 12 ? 3 : 2; }

// The place of this group in the batch; those past the end repeat the last.
template <class Lanes>
struct Place {
  CIPHERLANE_DEVICE explicit Place(std::size_t count)
      : stores(Lanes::group() < count), index(stores ? Lanes::group() : count - 1) {}
  bool stores;
  std::size_t index;
};

// r_i <- x_i y_i mod n^2
template <int T, int W>
__global__ void __launch_bounds__(kBlockThreads, blocks_at_once(W))
    multiply_pairs(std::uint32_t* r, const std::uint32_t* x, const std::uint32_t* y, std::size_t count,
                   const std::uint32_t* constants) {
  using Lanes = CudaLanes<T>;
  constexpr std::size_t kRow = 2 * T * W;
  const Modulus<Lanes, W> m(constants);
  const Place<Lanes> place(count);
  Pair<Lanes, W> a, b;
  load_pair(a, x + place.index * kRow);
  load_pair(b, y + place.index * kRow);
  multiply_pair(a, a, b, m);
  if (place.stores) store_pair(r + place.index * kRow, a);
}

// r_i <- x_i^2 mod n^2
template <int T, int W>
__global__ void __launch_bounds__(kBlockThreads, blocks_at_once(W))
    square_pairs(std::uint32_t* r, const std::uint32_t* x, std::size_t count, const std::uint32_t* constants) {
  using Lanes = CudaLanes<T>;
  constexpr std::size_t kRow = 2 * T * W;
  const Modulus<Lanes, W> m(constants);
  const Place<Lanes> place(count);
  Pair<Lanes, W> a;
  load_pair(a, x + place.index * kRow);
  square_pair(a, a, m);
  if (place.stores) store_pair(r + place.index * kRow, a);
}

// r_i <- (1 + a_i n) base^(e_i) mod n^2; a may be null.
template <int T, int W>
__global__ void __launch_bounds__(kBlockThreads, blocks_at_once(W))
    fixed_base_powers_vartime(std::uint32_t* r, FactoredTable table, const std::uint32_t* exponents,
                              std::uint32_t exponent_words, const std::uint32_t* a, std::size_t count,
                              const std::uint32_t* constants) {
  using Lanes = CudaLanes<T>;
  constexpr std::size_t kLimbs = T * W;
  const Modulus<Lanes, W> m(constants);
  const Place<Lanes> place(count);
  Pair<Lanes, W> x;
  fixed_base_power_vartime(x, table, exponents + place.index * exponent_words, exponent_words,
                           a == nullptr ? nullptr : a + place.index * kLimbs, m);
  if (place.stores) store_pair(r + place.index * 2 * kLimbs, x);
}

// r_i <- x_i^e mod n^2 for one secret e. scratch: 2^kPowerWindow rows for each group of the launch.
template <int T, int W>
__global__ void __launch_bounds__(kBlockThreads, blocks_at_once(W))
    fixed_window_powers(std::uint32_t* r, const std::uint32_t* x, const std::uint32_t* exponent,
                        std::uint32_t exponent_bits, std::uint32_t* scratch, std::size_t count,
                        const std::uint32_t* constants) {
  using Lanes = CudaLanes<T>;
  constexpr std::size_t kRow = 2 * T * W;
  const Modulus<Lanes, W> m(constants);
  const Place<Lanes> place(count);
  Pair<Lanes, W> a, power;
  load_pair(a, x + place.index * kRow);
  fixed_window_power<kPowerWindow>(power, a, exponent, exponent_bits, scratch + (Lanes::group() << kPowerWindow) * kRow,
                                   m);
  if (place.stores) store_pair(r + place.index * kRow, power);
}

// r_i <- the product of x_row over the rows [starts_i, starts_(i + 1)). A warp takes as many steps as its longest
// segment has rows: a launch deals out segments of like length.
template <int T, int W>
__global__ void __launch_bounds__(kBlockThreads, blocks_at_once(W))
    segment_products(std::uint32_t* r, const std::uint32_t* x, const std::uint32_t* rows, const std::uint32_t* starts,
                     std::size_t count, const std::uint32_t* constants) {
  using Lanes = CudaLanes<T>;
  constexpr std::size_t kRow = 2 * T * W;
  const Modulus<Lanes, W> m(constants);
  const Place<Lanes> place(count);
  const std::uint32_t begin = starts[place.index], length = starts[place.index + 1] - begin;
  Pair<Lanes, W> product;
  product_of_rows(product, x, rows + begin, length, Lanes::most_in_warp(length), m);
  if (place.stores) store_pair(r + place.index * kRow, product);
}

// r_i <- c_i in Montgomery form, for plain numbers c_i below B^2
template <int T, int W>
__global__ void __launch_bounds__(kBlockThreads, blocks_at_once(W))
    pairs_from_limbs(std::uint32_t* r, const std::uint32_t* c, std::size_t count, const std::uint32_t* constants) {
  using Lanes = CudaLanes<T>;
  constexpr std::size_t kRow = 2 * T * W;
  const Modulus<Lanes, W> m(constants);
  const Place<Lanes> place(count);
  Pair<Lanes, W> plain, x;
  load_pair(plain, c + place.index * kRow);
  from_limbs(x, plain.x0, plain.x1, m);
  if (place.stores) store_pair(r + place.index * kRow, x);
}

// c_i <- the number below n^2 that x_i stands for
template <int T, int W>
__global__ void __launch_bounds__(kBlockThreads, blocks_at_once(W))
    limbs_from_pairs(std::uint32_t* c, const std::uint32_t* x, std::size_t count, const std::uint32_t* constants) {
  using Lanes = CudaLanes<T>;
  constexpr std::size_t kRow = 2 * T * W;
  const Modulus<Lanes, W> m(constants);
  const Place<Lanes> place(count);
  Pair<Lanes, W> a, plain;
  load_pair(a, x + place.index * kRow);
  to_digits(a, a, m);
  join_digits(plain.x0, plain.x1, a, m);
  if (place.stores) store_pair(c + place.index * kRow, plain);
}

// exponents_i <- a uniform number below 2^bits, for the ciphertexts first, first + 1, ...
template <int T, int W>
__global__ void __launch_bounds__(kBlockThreads, blocks_at_once(W))
    random_exponents(std::uint32_t* exponents, std::uint32_t bits, const std::uint32_t* key, std::uint64_t first,
                     std::uint32_t domain, std::size_t count) {
  using Lanes = CudaLanes<T>;
  const std::size_t i = Lanes::group();
  if (i < count) random_exponent<Lanes>(exponents + i * ((bits + 31) / 32), bits, key, first + i, domain);
}

#define CIPHERLANE_SHAPE(T, W)                                                                                        \
  template __global__ void multiply_pairs<T, W>(std::uint32_t*, const std::uint32_t*, const std::uint32_t*,           \
                                                std::size_t, const std::uint32_t*);                                   \
  template __global__ void square_pairs<T, W>(std::uint32_t*, const std::uint32_t*, std::size_t,                      \
                                              const std::uint32_t*);                                                  \
  template __global__ void fixed_base_powers_vartime<T, W>(std::uint32_t*, FactoredTable, const std::uint32_t*,       \
                                                           std::uint32_t, const std::uint32_t*, std::size_t,          \
                                                           const std::uint32_t*);                                     \
  template __global__ void fixed_window_powers<T, W>(std::uint32_t*, const std::uint32_t*, const std::uint32_t*,      \
                                                     std::uint32_t, std::uint32_t*, std::size_t,                      \
                                                     const std::uint32_t*);                                           \
  template __global__ void segment_products<T, W>(std::uint32_t*, const std::uint32_t*, const std::uint32_t*,         \
                                                  const std::uint32_t*, std::size_t, const std::uint32_t*);           \
  template __global__ void pairs_from_limbs<T, W>(std::uint32_t*, const std::uint32_t*, std::size_t,                  \
                                                  const std::uint32_t*);                                              \
  template __global__ void limbs_from_pairs<T, W>(std::uint32_t*, const std::uint32_t*, std::size_t,                  \
                                                  const std::uint32_t*);                                              \
  template __global__ void random_exponents<T, W>(std::uint32_t*, std::uint32_t, const std::uint32_t*, std::uint64_t, \
                                                  std::uint32_t, std::size_t);

#ifdef CIPHERLANE_ONLY_THREADS
CIPHERLANE_SHAPE(CIPHERLANE_ONLY_THREADS, CIPHERLANE_ONLY_LIMBS)
#else
CIPHERLANE_SHAPE(2, 8)   // numbers of 512 bits
CIPHERLANE_SHAPE(4, 8)   // 1024
CIPHERLANE_SHAPE(4, 12)  // 1536
CIPHERLANE_SHAPE(8, 8)   // 2048
CIPHERLANE_SHAPE(8, 12)  // 3072
CIPHERLANE_SHAPE(16, 8)  // 4096
#endif
#undef CIPHERLANE_SHAPE

}  // namespace cipherlane::kernels
