// Bugs that a test plants to see that the hard numbers find them. They are there only where CIPHERLANE_MUTANTS is
// defined, in a test's program, which chooses one when it starts; compiled out in every other build.
#pragma once

#include "lanes.cuh"

namespace cipherlane::kernels {

enum class Mutant {
  kNone,
  // Found by single operations:
  kEvenChainCarry,       // of the even limbs' chain into the limb above
  kShiftedEvenCarry,     // the same where the accumulator moves down
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
  // Found by whole kernels:
  kPartAcrossWords,  // the bits of a part that lie in the next word
  kPartLength,       // where a part of a number ends
  kPartSum,          // what the parts before the last gave
  kNumberOfPart,     // which number a part is taken from
  kMaskedEntry,      // the mask of the entries above the first
  kMaskedWindow,     // the window whose entries are read
  kTableWindow,      // the window whose entry is read by its address
  kWindowShift,      // the squarings between two windows
  kDigitOfGroup,     // the exponent of this group, where each has its own
  kStepOfBase,       // the one base for all
  kSecondDigit,      // the second half of a result's words
  kLevelOfTable,     // the power by which a level of the table goes up
  kRunningBucket,    // the product of the buckets so far
  kClearedWords,     // words past the end of an exponent
  kPastTheEnd,       // that a group past the end does not store
};

#ifdef CIPHERLANE_MUTANTS
inline Mutant planted_mutant = Mutant::kNone;
inline bool planted(Mutant mutant) { return planted_mutant == mutant; }
inline bool any_planted() { return planted_mutant != Mutant::kNone; }
#else
CIPHERLANE_DEVICE constexpr bool planted(Mutant) { return false; }
CIPHERLANE_DEVICE constexpr bool any_planted() { return false; }
#endif

}  // namespace cipherlane::kernels
