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
constexpr std::size_t kMostSteps = 7;
constexpr const char* kNoises[] = {"encrypt-djn", "encrypt-classic", "encrypt-exact"};  // by Noise

struct Step {
  const char* name = nullptr;
  Trace trace;
};

// Not inlined, and with a key of its own, so that both runs find their data at the same addresses.
__attribute__((noinline)) void run(const Key& given, const std::string& backend, Limb seed, Step* steps) {
  const Key key = given;
  const auto context = key.public_context(backend);
  const Limbs plaintexts = tests::plaintexts_for(*context, kCount, seed);
  std::unique_ptr<PrivateContext> holder;
  const auto step = [&](const char* name, const auto& body) {
    tests::start_trace();
    body();
    *steps++ = {name, tests::stop_trace()};
  };
  step("set-up", [&] {
    holder = std::make_unique<PrivateContext>(context, key.p, key.q, key.generator_p, key.generator_q, key.order_p,
                                              key.order_q);
  });
  ResiduesPtr x;
  for (const Noise noise : tests::noises_of(key))
    step(kNoises[static_cast<int>(noise)],
         [&] { x = holder->encrypt(context->plaintexts(plaintexts.data()), kCount, noise); });
  PlainPtr plain;
  step("decrypt", [&] { plain = holder->decrypt(*x); });
  SecretLimbs decrypted(plaintexts.size());
  plain->read(decrypted.data());
  if (!std::equal(plaintexts.begin(), plaintexts.end(), decrypted.begin()))
    throw std::runtime_error("a decrypted plaintext is not the one encrypted");
  // What follows is variable-time and must differ.
  const Ring& ring = context->ring();
  const std::size_t bits = key.p.size() * kLimbBits;
  step("public-power", [&] { ring.power_shared(*x, key.p.data(), bits, Exponent::kPublic); });
  Limbs exponents(kCount * limbs_for_bits(context->noise_exponent_bits()));
  random_bits(exponents.data(), kCount, context->noise_exponent_bits(), exponents.size() / kCount);
  step("public-table", [&] { context->encrypt_with_exponents(plaintexts.data(), exponents.data(), kCount); });
}

}  // namespace

int main(int count, char** arguments) {
  Key keys[2];
  if (count != 2 || !tests::read_key(std::cin, keys[0]) || !tests::read_key(std::cin, keys[1])) {
    std::cerr << "usage: path_trace BACKEND < two keys\n";
    return 2;
  }
  set_thread_count(1);
  Step steps[2][kMostSteps];
  const std::string backend = arguments[1];
  run(keys[0], backend, 0, steps[0]);  // what is set up once in a process
  for (int i = 0; i < 2; ++i) {
    tests::start_arena();
    run(keys[i], backend, static_cast<Limb>(i) + 1, steps[i]);
    tests::stop_arena();
  }
  for (std::size_t i = 0; i < kMostSteps && steps[0][i].name != nullptr; ++i) {
    const Trace &a = steps[0][i].trace, &b = steps[1][i].trace;
    const bool same = a.blocks == b.blocks && a.accesses == b.accesses && a.hash == b.hash;
    std::cout << steps[0][i].name << " " << a.blocks << " " << a.accesses << " " << (same ? "same" : "differs") << "\n";
  }
  return 0;
}
