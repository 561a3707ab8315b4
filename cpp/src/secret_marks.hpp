// Marks for the test of constant time, cpp/tests/constant_time.cpp; in every other build they do nothing.
//
// Under valgrind's memcheck a secret counts as uninitialised memory, and so does all that is computed from it; memcheck
// then reports every branch and every address that depends on one. What is public although it was computed from secrets
// is declassified, only here in the library:
//   bit_length      the lengths of primes and exponents are public, and sizes of buffers follow from them
//   random_below    whether a draw was accepted says nothing of the number accepted, and of the bound that
//                   acceptance has probability bound / 2^length
//   check_below,    whether an argument is in range is what the caller is told
//   check_not_zero
//   prime_search    the verdict on each draw: a rejected one has nothing in common with the one that is kept; lengths,
//                   and the power of two in m - 1
//   key_generation  n and h_s; whether the factors of both primes differ and the primes are far apart, which they are
//                   but for a negligible chance; whether a draw is a generator
//   keys            whether p and q are odd primes and differ is what the caller is told
//   PrivateContext  p q = n is public; whether a ciphertext can be decrypted is what the caller is told
#pragma once

#include <cstddef>

#ifdef CIPHERLANE_MARK_SECRETS
#include <valgrind/memcheck.h>
#endif

namespace cipherlane {

#ifdef CIPHERLANE_MARK_SECRETS
inline void classify(const void* memory, std::size_t bytes) { (void)VALGRIND_MAKE_MEM_UNDEFINED(memory, bytes); }
inline void declassify(const void* memory, std::size_t bytes) { (void)VALGRIND_MAKE_MEM_DEFINED(memory, bytes); }
#else
inline void classify(const void*, std::size_t) {}
inline void declassify(const void*, std::size_t) {}
#endif

// Returns a public number that was computed from secrets.
template <class Number>
Number declassified(Number number) {
  declassify(&number, sizeof number);
  return number;
}

}  // namespace cipherlane
