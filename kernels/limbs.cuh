// One thread's limbs: carry chains, and what is built of them. The only file with PTX; its portable body beside it.
//
// An accumulator holds a thread's share V of a sum in two arrays, so that every 64-bit product a_j b lands on an
// aligned pair of registers, which is one instruction on the GPU: V = sum even_j 2^(32 j) + sum odd_j 2^(32 (j + 1)) +
// top 2^(32 (W + 1)). When V moves down one limb, odd becomes the new even, and even, two limbs down, the new odd.
#pragma once

#include "lanes.cuh"
#include "mutants.cuh"

namespace cipherlane::kernels {

// A carry from each operation to the next: _cc starts one, c_cc takes it and passes it on, c takes it.
template <class Lanes, bool Ptx = Lanes::kHasPtx>
class Chain {
 public:
  using Word = typename Lanes::Word;
  // a + b
  CIPHERLANE_DEVICE Word add_cc(Word a, Word b) { return start().addc_cc(a, b); }
  CIPHERLANE_DEVICE Word addc(Word a, Word b) { return addc_cc(a, b); }
  CIPHERLANE_DEVICE Word addc_cc(Word a, Word b) {
    Lanes::each(
        [](std::uint32_t& x, std::uint32_t y, std::uint32_t& carry) {
          const std::uint64_t sum = std::uint64_t{x} + y + carry;
          x = static_cast<std::uint32_t>(sum);
          carry = static_cast<std::uint32_t>(sum >> 32);
        },
        a, b, carry_);
    return a;
  }
  // a - b
  CIPHERLANE_DEVICE Word sub_cc(Word a, Word b) { return start().subc_cc(a, b); }
  CIPHERLANE_DEVICE Word subc(Word a, Word b) { return subc_cc(a, b); }
  CIPHERLANE_DEVICE Word subc_cc(Word a, Word b) {
    Lanes::each(
        [](std::uint32_t& x, std::uint32_t y, std::uint32_t& borrow) {
          const std::uint64_t difference = std::uint64_t{x} - y - borrow;
          x = static_cast<std::uint32_t>(difference);
          borrow = static_cast<std::uint32_t>(difference >> 63);
        },
        a, b, carry_);
    return a;
  }
  // low and high half of a b, plus c
  CIPHERLANE_DEVICE Word mad_lo_cc(Word a, std::uint32_t b, Word c) { return add_cc(a * Word(b), c); }
  CIPHERLANE_DEVICE Word madc_lo_cc(Word a, std::uint32_t b, Word c) { return addc_cc(a * Word(b), c); }
  CIPHERLANE_DEVICE Word madc_hi_cc(Word a, std::uint32_t b, Word c) {
    Lanes::each([b](std::uint32_t& x) { x = static_cast<std::uint32_t>(std::uint64_t{x} * b >> 32); }, a);
    return addc_cc(a, c);
  }
  // The bug of a carry that is lost here.
  CIPHERLANE_DEVICE void lose() { carry_ = Word(0); }

 private:
  CIPHERLANE_DEVICE Chain& start() {
    carry_ = Word(0);
    return *this;
  }
  Word carry_ = Word(0);
};

#ifdef __CUDACC__

// The carry is the processor's flag; volatile keeps the order.
template <class Lanes>
class Chain<Lanes, true> {
 public:
  using Word = std::uint32_t;
#define CIPHERLANE_PTX_2(name, instruction)                                  \
  CIPHERLANE_DEVICE Word name(Word a, Word b) {                              \
    Word r;                                                                  \
    asm volatile(instruction ".u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); \
    return r;                                                                \
  }
#define CIPHERLANE_PTX_3(name, instruction)                                              \
  CIPHERLANE_DEVICE Word name(Word a, Word b, Word c) {                                  \
    Word r;                                                                              \
    asm volatile(instruction ".u32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c)); \
    return r;                                                                            \
  }
  CIPHERLANE_PTX_2(add_cc, "add.cc")
  CIPHERLANE_PTX_2(addc, "addc")
  CIPHERLANE_PTX_2(addc_cc, "addc.cc")
  CIPHERLANE_PTX_2(sub_cc, "sub.cc")
  CIPHERLANE_PTX_2(subc, "subc")
  CIPHERLANE_PTX_2(subc_cc, "subc.cc")
  CIPHERLANE_PTX_3(mad_lo_cc, "mad.lo.cc")
  CIPHERLANE_PTX_3(madc_lo_cc, "madc.lo.cc")
  CIPHERLANE_PTX_3(madc_hi_cc, "madc.hi.cc")
#undef CIPHERLANE_PTX_2
#undef CIPHERLANE_PTX_3
  CIPHERLANE_DEVICE void lose() { add_cc(0, 0); }
};

#endif

// Brings a row of 2 L words nearer, to the cache that all multiprocessors share: each thread its own parts.
template <class Lanes, int W>
CIPHERLANE_DEVICE void prefetch_row(const std::uint32_t* row) {
#ifdef __CUDA_ARCH__
  const std::uint32_t* part = row + Lanes::lane() * W;
  asm volatile("prefetch.global.L2 [%0];" : : "l"(part));
  asm volatile("prefetch.global.L2 [%0];" : : "l"(part + Lanes::kThreads * W));
#else
  (void)row;
#endif
}

// even + 2^32 odd + 2^(32 (W + 1)) top += a b, and then one carry: the even chain ends below odd's last limb.
template <class Lanes, int W>
CIPHERLANE_DEVICE void add_even_products(typename Lanes::Word* even, typename Lanes::Word* odd,
                                         typename Lanes::Word& top, const typename Lanes::Word* a, std::uint32_t b) {
  Chain<Lanes> chain;
  even[0] = chain.mad_lo_cc(a[0], b, even[0]);
  even[1] = chain.madc_hi_cc(a[0], b, even[1]);
  CIPHERLANE_UNROLL
  for (int j = 2; j < W; j += 2) {
    even[j] = chain.madc_lo_cc(a[j], b, even[j]);
    even[j + 1] = chain.madc_hi_cc(a[j], b, even[j + 1]);
  }
  if (planted(Mutant::kEvenChainCarry)) chain.lose();
  odd[W - 1] = chain.addc_cc(odd[W - 1], 0);
  top = chain.addc(top, 0);
}

// V <- V + a b. Requires V + a b < 2^(32 (W + 2)).
template <class Lanes, int W>
CIPHERLANE_DEVICE void multiply_add(typename Lanes::Word* even, typename Lanes::Word* odd, typename Lanes::Word& top,
                                    const typename Lanes::Word* a, std::uint32_t b) {
  static_assert(W % 2 == 0 && W >= 4);
  Chain<Lanes> chain;
  odd[0] = chain.mad_lo_cc(a[1], b, odd[0]);
  odd[1] = chain.madc_hi_cc(a[1], b, odd[1]);
  CIPHERLANE_UNROLL
  for (int j = 2; j < W; j += 2) {
    odd[j] = chain.madc_lo_cc(a[j + 1], b, odd[j]);
    odd[j + 1] = chain.madc_hi_cc(a[j + 1], b, odd[j + 1]);
  }
  if (planted(Mutant::kOddChainCarry)) chain.lose();
  top = chain.addc(top, 0);
  add_even_products<Lanes, W>(even, odd, top, a, b);
}

// V <- V + a b + addend. Requires the sum < 2^(32 (W + 2)). The addend's carry goes to limb 1, where odd starts.
template <class Lanes, int W>
CIPHERLANE_DEVICE void multiply_add_with(typename Lanes::Word* even, typename Lanes::Word* odd,
                                         typename Lanes::Word& top, const typename Lanes::Word* a, std::uint32_t b,
                                         typename Lanes::Word addend) {
  Chain<Lanes> chain;
  even[0] = chain.add_cc(even[0], addend);
  if (planted(Mutant::kAddendCarry)) chain.lose();
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; j += 2) {
    odd[j] = chain.madc_lo_cc(a[j + 1], b, odd[j]);
    odd[j + 1] = chain.madc_hi_cc(a[j + 1], b, odd[j + 1]);
  }
  top = chain.addc(top, 0);
  add_even_products<Lanes, W>(even, odd, top, a, b);
}

// V <- (V - V mod 2^32)/2^32 + incoming 2^(32 (W - 1)) + a b. V is given with its two arrays already exchanged: `even`
// is what was odd, `odd` what was even. Requires top < 2^32 - 1.
template <class Lanes, int W>
CIPHERLANE_DEVICE void shift_multiply_add(typename Lanes::Word* even, typename Lanes::Word* odd,
                                          typename Lanes::Word& top, typename Lanes::Word incoming,
                                          const typename Lanes::Word* a, std::uint32_t b) {
  static_assert(W % 2 == 0 && W >= 4);
  // The even chain ends at limb W, where top is to go.
  Chain<Lanes> chain;
  even[0] = chain.mad_lo_cc(a[0], b, even[0]);
  even[1] = chain.madc_hi_cc(a[0], b, even[1]);
  CIPHERLANE_UNROLL
  for (int j = 2; j < W; j += 2) {
    even[j] = chain.madc_lo_cc(a[j], b, even[j]);
    even[j + 1] = chain.madc_hi_cc(a[j], b, even[j + 1]);
  }
  if (planted(Mutant::kShiftedEvenCarry)) chain.lose();
  const typename Lanes::Word last = chain.addc(planted(Mutant::kTopLimb) ? typename Lanes::Word(0) : top, 0);
  Chain<Lanes> second;
  even[0] = second.add_cc(even[0], odd[1]);
  if (planted(Mutant::kSecondLimbCarry)) second.lose();
  CIPHERLANE_UNROLL
  for (int j = 0; j + 2 < W; j += 2) {
    odd[j] = second.madc_lo_cc(a[j + 1], b, odd[j + 2]);
    odd[j + 1] = second.madc_hi_cc(a[j + 1], b, odd[j + 3]);
  }
  odd[W - 2] = second.madc_lo_cc(a[W - 1], b, planted(Mutant::kIncomingLimb) ? typename Lanes::Word(0) : incoming);
  odd[W - 1] = second.madc_hi_cc(a[W - 1], b, last);
  top = second.addc(0, 0);
}

// V <- (V - V mod 2^32)/2^32 + incoming 2^(32 (W - 1)) + addend, arrays exchanged as above.
template <class Lanes, int W>
CIPHERLANE_DEVICE void shift_add(typename Lanes::Word* even, typename Lanes::Word* odd, typename Lanes::Word& top,
                                 typename Lanes::Word incoming, typename Lanes::Word addend) {
  Chain<Lanes> chain;
  even[0] = chain.add_cc(even[0], odd[1]);
  CIPHERLANE_UNROLL
  for (int j = 0; j + 2 < W; ++j) odd[j] = chain.addc_cc(odd[j + 2], 0);
  odd[W - 2] = chain.addc_cc(incoming, 0);
  odd[W - 1] = chain.addc_cc(top, 0);
  top = chain.addc(0, 0);
  Chain<Lanes> second;
  even[0] = second.add_cc(even[0], addend);
  CIPHERLANE_UNROLL
  for (int j = 0; j < W; ++j) odd[j] = second.addc_cc(odd[j], 0);
  top = second.addc(top, 0);
}

// r + 2^(32 W) overhang <- (V - V mod 2^32)/2^32 + incoming 2^(32 (W - 1)), arrays exchanged as above.
template <class Lanes, int W>
CIPHERLANE_DEVICE typename Lanes::Word shift_out(typename Lanes::Word* r, const typename Lanes::Word* even,
                                                 const typename Lanes::Word* odd, typename Lanes::Word top,
                                                 typename Lanes::Word incoming) {
  Chain<Lanes> chain;
  r[0] = chain.add_cc(even[0], odd[1]);
  CIPHERLANE_UNROLL
  for (int j = 1; j + 1 < W; ++j) r[j] = chain.addc_cc(even[j], odd[j + 1]);
  r[W - 1] = chain.addc_cc(even[W - 1], incoming);
  return chain.addc(top, 0);
}

// r + 2^(32 W) carry <- a + b
template <class Lanes, int W>
CIPHERLANE_DEVICE typename Lanes::Word add_limbs(typename Lanes::Word* r, const typename Lanes::Word* a,
                                                 const typename Lanes::Word* b) {
  Chain<Lanes> chain;
  r[0] = chain.add_cc(a[0], b[0]);
  CIPHERLANE_UNROLL
  for (int j = 1; j < W; ++j) r[j] = chain.addc_cc(a[j], b[j]);
  return chain.addc(0, 0);
}

// r + 2^(32 W) carry <- r + word
template <class Lanes, int W>
CIPHERLANE_DEVICE typename Lanes::Word add_word(typename Lanes::Word* r, typename Lanes::Word word) {
  Chain<Lanes> chain;
  r[0] = chain.add_cc(r[0], word);
  if (planted(Mutant::kCarryWithinThread)) chain.lose();
  CIPHERLANE_UNROLL
  for (int j = 1; j < W; ++j) r[j] = chain.addc_cc(r[j], 0);
  return chain.addc(0, 0);
}

// r - 2^(32 W) borrow <- a - b; the borrow is 0 or 1.
template <class Lanes, int W>
CIPHERLANE_DEVICE typename Lanes::Word subtract_limbs(typename Lanes::Word* r, const typename Lanes::Word* a,
                                                      const typename Lanes::Word* b) {
  Chain<Lanes> chain;
  r[0] = chain.sub_cc(a[0], b[0]);
  if (planted(Mutant::kBorrowWithinThread)) chain.lose();
  CIPHERLANE_UNROLL
  for (int j = 1; j < W; ++j) r[j] = chain.subc_cc(a[j], b[j]);
  return typename Lanes::Word(0) - chain.subc(0, 0);
}

// r - 2^(32 W) borrow <- r - word
template <class Lanes, int W>
CIPHERLANE_DEVICE typename Lanes::Word subtract_word(typename Lanes::Word* r, typename Lanes::Word word) {
  Chain<Lanes> chain;
  r[0] = chain.sub_cc(r[0], word);
  CIPHERLANE_UNROLL
  for (int j = 1; j < W; ++j) r[j] = chain.subc_cc(r[j], 0);
  return typename Lanes::Word(0) - chain.subc(0, 0);
}

}  // namespace cipherlane::kernels
