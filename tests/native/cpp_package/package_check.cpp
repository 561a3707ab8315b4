// The C++ package from outside, on a key that comes on standard input: "p q h_s" in hexadecimal, h_s 0 for none.
//   decrypt DATA        prints the values of a message, in the order of the array
//   operations DATA     the same after x + x, -x, x * i - x, x + i, and the sum of all; DATA has to hold floats
//   refusals DATA       the message cut, changed, and under another key: prints the errors
//   mutations DATA      the message and the key's JSON changed a thousand times: prints how many were taken for others
//   key FILE            reads the JSON of a public key and prints it again; no key on standard input
//   generate            makes a key pair of its own: prints p q h_s, and a message of some values
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "cipherlane/cipherlane.hpp"

using namespace cipherlane;

namespace {

SecretLimbs secret(const Limbs& number) { return {number.begin(), number.end()}; }

PrivateKey read_key() {
  std::string p, q, h_s;
  if (!(std::cin >> p >> q >> h_s)) throw std::invalid_argument("expected a key on standard input");
  return PrivateKey(secret(limbs_from_hex("p", p)), secret(limbs_from_hex("q", q)),
                    h_s == "0" ? Limbs() : limbs_from_hex("h_s", h_s));
}

Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

void print(const std::vector<double>& values) {
  for (const double value : values) std::printf("%a ", value);
  std::printf("\n");
}

template <class Call>
void refused(Call&& call) {
  try {
    call();
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
    return;
  }
  std::printf("not refused\n");
}

void operations(const PrivateKey& key, const CipherBatch& x) {
  std::vector<std::int64_t> indices(x.size());
  std::vector<double> values(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    indices[i] = static_cast<std::int64_t>(i) * (i % 2 == 0 ? 1 : -1);
    values[i] = static_cast<double>(i) - 0.5;
  }
  print(key.decrypt(x + x));
  print(key.decrypt(-x));
  print(key.decrypt(x * indices - x));
  print(key.decrypt(x + values));
  print(key.decrypt(x.sum()));
  print(key.decrypt(CipherBatch::concatenate({x, x.take({0})}).rerandomise()));
}

void refusals(const PrivateKey& key, const Bytes& data) {
  const PublicKey& open = key.public_key();
  refused([&] { open.from_bytes(Bytes(data.begin(), data.end() - 1)); });
  Bytes changed = data;
  changed[changed.size() / 2] ^= 1;
  refused([&] { open.from_bytes(changed); });
  refused([&] { generate_keys().public_key.from_bytes(data); });
  const CipherBatch x = open.from_bytes(data);
  refused([&] { x* std::vector<std::int64_t>{1, 2, 3}; });
  refused([&] { x + open.encrypt(std::vector<std::int64_t>(x.size(), 1)); });
  refused([&] {
    CipherBatch y = x;
    for (;;) y = y * (std::int64_t{1} << 62);
  });
  refused([&] { open.encrypt(std::vector<double>{0.0, 0.0 / 0.0}); });
  refused([&] { open.encrypt(std::vector<double>{1e30}); });
  refused([&] { open.from_limbs(Limbs(open.context().ciphertext_limbs(), 0), {}, 64); });
  refused([&] { PublicKey::from_json(open.to_json().substr(1)); });
  refused([&] { PublicKey(Limbs{15}); });
  refused([&] { generate_keys(1024); });
  const Limbs ciphertexts = x.to_limbs();
  refused([&] { open.encrypt(std::vector<double>{1.0}, {~std::size_t{0}, 1}); });
  refused([&] { open.from_limbs(ciphertexts, {70000, 1}, 64); });
  refused([&] { open.from_limbs(ciphertexts, {}, 70000); });
  refused([&] { open.encrypt(std::vector<std::int64_t>{1, 2}) + std::vector<double>{1.0, 0.5}; });
  refused([&] { PublicKey(open.n(), open.n()); });
  refused([&] { PublicKey(open.n(), open.context().square()); });
  refused([&] { PrivateKey(key.p(), key.q(), Limbs{2}); });
}

// One byte set, bytes taken out, or a piece repeated, by a generator whose numbers never change.
template <class Text>
Text mutated(Text text, std::uint64_t& state) {
  const auto next = [&](std::size_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>(state >> 33) % below;
  };
  const std::size_t at = next(text.size()), length = std::min(text.size() - at, next(40));
  const auto begin = text.begin() + static_cast<std::ptrdiff_t>(at), end = begin + static_cast<std::ptrdiff_t>(length);
  switch (next(3)) {
    case 0:
      text[at] = static_cast<typename Text::value_type>(next(256));
      break;
    case 1:
      text.erase(begin, end);
      break;
    default: {
      const Text piece(begin, end);
      text.insert(next(2) == 0 ? text.begin() : text.end(), piece.begin(), piece.end());
    }
  }
  return text;
}

void mutations(const PublicKey& key, const Bytes& data) {
  std::uint64_t state = 1;
  int messages = 0, keys = 0;
  const std::string json = key.to_json();
  for (int i = 0; i < 1000; ++i) {
    try {
      const Bytes changed = mutated(data, state);
      messages += changed != data && key.from_bytes(changed).size() > 0 ? 1 : 0;
    } catch (const std::invalid_argument&) {
    } catch (const std::overflow_error&) {
    }
    try {
      const std::string changed = mutated(json, state);
      // What differs in spaces alone is the same key.
      keys += PublicKey::from_json(changed).to_json() != json ? 1 : 0;
    } catch (const std::invalid_argument&) {
    }
  }
  std::printf("%d %d\n", messages, keys);
}

void generate() {
  const KeyPair pair = generate_keys();
  const PrivateKey& key = pair.private_key;
  std::printf("%s %s\n%s\n", hex_from_limbs(key.p().data(), key.p().size()).c_str(),
              hex_from_limbs(key.q().data(), key.q().size()).c_str(), pair.public_key.to_json().c_str());
  for (const std::uint8_t byte : pair.public_key.encrypt(std::vector<double>{1.5, -2.25, 0.0}).to_bytes())
    std::printf("%02x", byte);
  std::printf("\n");
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const std::string mode = count > 1 ? arguments[1] : "";
    if (mode == "generate") {
      generate();
      return 0;
    }
    if (count != 3) throw std::invalid_argument("usage: see the source's head");
    const Bytes data = read_file(arguments[2]);
    if (mode == "key") {
      std::printf("%s\n", PublicKey::from_json({data.begin(), data.end()}).to_json().c_str());
      return 0;
    }
    const PrivateKey key = read_key();
    if (mode == "mutations") {
      mutations(key.public_key(), data);
      return 0;
    }
    if (mode == "refusals") {
      refusals(key, data);
      return 0;
    }
    const CipherBatch x = key.public_key().from_bytes(data);
    if (mode == "operations")
      operations(key, x);
    else
      print(key.decrypt(x));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
