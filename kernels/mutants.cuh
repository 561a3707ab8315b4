// Bugs that a test plants to see that the hard numbers find them. CIPHERLANE_MUTANT is 0, and all of this compiled out,
// in every other build.
#pragma once

#include "lanes.cuh"

#ifndef CIPHERLANE_MUTANT
#define CIPHERLANE_MUTANT 0
#endif

namespace cipherlane::kernels {

enum class Mutant {
  kNone,
  kEvenChainCarry,       // of the even limbs' chain into the limb above
  kOddChainCarry,        // of the odd limbs' chain into `top`
  kTopLimb,              // `top` when the accumulator moves down one limb
  kSecondLimbCarry,      // of the sum of the lowest limb, when the accumulator moves down
  kAddendCarry,          // of the word added at the lowest limb
  kIncomingLimb,         // the limb that comes from the thread above
  kOverhang,             // what one thread owes the next
  kCarryThroughThread,   // a carry that runs through a thread full of ones
  kCarryWithinThread,    // a carry past the first limb of a thread
  kCarryOutOfGroup,      // of the whole number
  kQuotientOfLow,        // the modulus taken from x0 and owed to x1
  kBorrowWithinThread,   // a borrow between limbs
  kBorrowAcross,         // a borrow between threads
  kBorrowThroughThread,  // a borrow that runs through a thread full of zeros
  kDoubledTopBit,        // the bit that leaves 2 x1 in a square
  kDoubledCrossBit,      // the bit of 2 x1 that goes to the next thread
  kSumCarry,             // of a running sum into its overhang
  kExtraStep,            // the quotient digit of the last step of a reduction, owed to x1
};

CIPHERLANE_DEVICE constexpr bool planted(Mutant mutant) {
  return CIPHERLANE_MUTANT != 0 && static_cast<int>(mutant) == CIPHERLANE_MUTANT;
}

}  // namespace cipherlane::kernels
