// The search for secret primes: independent draws, each tested in constant time.
//
// A candidate that is rejected is thrown away and has nothing in common with the one that is accepted, so it does not
// matter what of it shows. The accepted one passes through every test on the path that passing takes. Hence there is no
// sieve, which would step from candidate to candidate. What shows is how many draws it took.
#pragma once

#include "cipherlane/limbs.hpp"

namespace cipherlane {

constexpr std::size_t kPrimeRounds = 40;

// Whether an odd number of 256 to 4096 bits passes Miller's and Rabin's test to that many random bases, in constant
// time if it does. A round passes a composite with probability 1/4 at most (Rabin 1980). Shows the k of m = 2^k d + 1.
bool is_probable_prime(const SecretLimbs& candidate, std::size_t rounds = kPrimeRounds);

// Whether one of the odd primes below 2^14 divides the number.
bool has_small_factor(const SecretLimbs& number);

// A uniform prime = 3 (mod 4) with its top bit set.
SecretLimbs random_prime(std::size_t bits);

// A prime t = 3 (mod 4) for which 2 known t + 1 is a prime of `bits` bits, its top two bits set; t is uniform among
// those in an interval of 2^(bits - known_bits - 3) numbers. known: odd, below 2^known_bits.
SecretLimbs random_cofactor(const SecretLimbs& known, std::size_t known_bits, std::size_t bits);

// 2 a b + 1
SecretLimbs twice_product_plus_one(const SecretLimbs& a, const SecretLimbs& b);

}  // namespace cipherlane
