// Two runs on different secrets take the same path: the same basic blocks in the same order, and the same addresses
// read and written. The compiler's instrumentation sees what valgrind does not know, AVX-512, except that it does not
// see the addresses of gathers.
//
// Two keys whose primes begin with 64 ones come on standard input, so that no draw below a prime is ever rejected; the
// argument is a backend. For each operation a line: its name, the blocks, the accesses, "same" or "differs".
#include <iostream>
#include <string>
#include <vector>

#include "cipherlane/parallel.hpp"
#include "cipherlane/random.hpp"
#include "hexadecimal.hpp"
#include "trace_runtime.hpp"

using namespace cipherlane;
using tests::Key;
using tests::Trace;

namespace {

constexpr std::size_t kCount = 9;  // more than one group of eight lanes
constexpr const char* kSteps[] = {"set-up",  "encrypt-djn",  "encrypt-classic", "encrypt-exact",
                                  "decrypt", "public-power", "public-table"};
constexpr std::size_t kStepCount = sizeof kSteps / sizeof *kSteps;

// Not inlined, and with a key of its own, so that both runs find their data at the same addresses.
__attribute__((noinline)) void run(const Key& given, const std::string& backend, Limb seed, Trace* traces) {
  const Key key = given;
  const auto context = key.public_context(backend);
  const Limbs plaintexts = tests::plaintexts_for(*context, kCount, seed);
  std::unique_ptr<PrivateContext> holder;
  const auto step = [&](const auto& body) {
    tests::start_trace();
    body();
    *traces++ = tests::stop_trace();
  };
  step([&] { holder = std::make_unique<PrivateContext>(context, key.p, key.q, key.generator_p, key.generator_q); });
  ResiduesPtr x;
  for (const Noise noise : {Noise::kDjn, Noise::kClassic, Noise::kExact})
    step([&] { x = holder->encrypt(plaintexts.data(), kCount, noise); });
  SecretLimbs decrypted;
  step([&] { decrypted = holder->decrypt(*x); });
  if (!std::equal(plaintexts.begin(), plaintexts.end(), decrypted.begin()))
    throw std::runtime_error("a decrypted plaintext is not the one encrypted");
  // What follows is variable-time and must differ.
  const Ring& ring = context->ring();
  const std::size_t bits = key.p.size() * kLimbBits;
  step([&] { ring.power_shared(*x, key.p.data(), bits, Exponent::kPublic); });
  Limbs exponents(kCount * limbs_for_bits(context->noise_exponent_bits()));
  random_bits(exponents.data(), kCount, context->noise_exponent_bits(), exponents.size() / kCount);
  step([&] { context->encrypt_with_exponents(plaintexts.data(), exponents.data(), kCount); });
}

}  // namespace

int main(int count, char** arguments) {
  Key keys[2];
  if (count != 2 || !tests::read_key(std::cin, keys[0]) || !tests::read_key(std::cin, keys[1])) {
    std::cerr << "usage: path_trace BACKEND < two keys\n";
    return 2;
  }
  set_thread_count(1);
  Trace traces[2][kStepCount];
  const std::string backend = arguments[1];
  run(keys[0], backend, 0, traces[0]);  // what is set up once in a process
  for (int i = 0; i < 2; ++i) {
    tests::start_arena();
    run(keys[i], backend, static_cast<Limb>(i) + 1, traces[i]);
    tests::stop_arena();
  }
  for (std::size_t i = 0; i < kStepCount; ++i) {
    const Trace &a = traces[0][i], &b = traces[1][i];
    const bool same = a.blocks == b.blocks && a.accesses == b.accesses && a.hash == b.hash;
    std::cout << kSteps[i] << " " << a.blocks << " " << a.accesses << " " << (same ? "same" : "differs") << "\n";
  }
  return 0;
}
