// HEU's vector interface on the adapter: Encrypt, Decrypt and Evaluate over spans of pointers, both plaintext bounds
// and one past, operands of one element, results in place, serialisation. Key on standard input, "p q h_s" in
// hexadecimal.
#include <iostream>
#include <string>

#include "cipherlane_paillier.hpp"

namespace algorithm = heu::lib::algorithms::cipherlane_paillier;
using algorithm::Ciphertext;
using algorithm::Plaintext;

namespace {

template <class T>
std::vector<const T*> constant(const std::vector<T>& values) {
  std::vector<const T*> found;
  for (const T& value : values) found.push_back(&value);
  return found;
}

template <class T>
std::vector<T*> mutable_pointers(std::vector<T>& values) {
  std::vector<T*> found;
  for (T& value : values) found.push_back(&value);
  return found;
}

template <class Call>
bool refuses(Call&& call) {
  try {
    call();
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

class Check {
 public:
  Check(const algorithm::PublicKey& pk, const algorithm::SecretKey& sk)
      : public_key_(pk), encryptor_(pk), decryptor_(pk, sk), evaluator_(pk) {}

  void run() {
    const Plaintext bound = public_key_.PlaintextBound();
    const std::vector<Plaintext> a = {Plaintext(0), Plaintext(7), Plaintext(-5), Plaintext(INT64_MIN), bound, -bound};
    const std::vector<Plaintext> b = {Plaintext(3),  Plaintext(-9),    Plaintext(0),
                                      Plaintext(-1), Plaintext(-1000), bound - Plaintext(1)};
    const std::vector<Plaintext> factors = {Plaintext(5), Plaintext(0), Plaintext(-3),
                                            Plaintext(2), Plaintext(1), Plaintext(-1)};
    const auto pa = constant(a), pb = constant(b), pf = constant(factors);
    const std::vector<Ciphertext> x = encryptor_.Encrypt(pa), y = encryptor_.Encrypt(pb);
    const auto px = constant(x), py = constant(y);
    const auto add = evaluator_.Add(pa, pb), sub = evaluator_.Sub(pa, pb), mul = evaluator_.Mul(pa, pf);
    const auto back = evaluator_.Sub(pb, pa);
    expect("Encrypt", x, a);
    expect("Add", evaluator_.Add(px, py), add);
    expect("Add plaintext", evaluator_.Add(px, pb), add);
    expect("Add to plaintext", evaluator_.Add(pa, py), add);
    expect("Sub", evaluator_.Sub(px, py), sub);
    expect("Sub plaintext", evaluator_.Sub(px, pb), sub);
    expect("Sub from plaintext", evaluator_.Sub(pb, px), back);
    expect("Mul", evaluator_.Mul(px, pf), mul);
    expect("Mul plaintext", evaluator_.Mul(pf, px), mul);
    const std::vector<Plaintext> zero = {Plaintext(0)};
    expect("Negate", evaluator_.Negate(px), evaluator_.Sub(constant(zero), pa));

    std::vector<Ciphertext> z = x;
    evaluator_.AddInplace(mutable_pointers(z), py);
    evaluator_.SubInplace(mutable_pointers(z), py);
    evaluator_.SubInplace(mutable_pointers(z), pb);
    evaluator_.AddInplace(mutable_pointers(z), pb);
    evaluator_.MulInplace(mutable_pointers(z), pf);
    expect("in place", z, mul);
    const std::vector<Ciphertext> before = z;
    evaluator_.Randomize(mutable_pointers(z));
    expect("Randomize", z, mul);
    for (std::size_t i = 0; i < z.size(); ++i)
      if (z[i] == before[i]) fail("Randomize: a ciphertext is as it was");

    const std::vector<Plaintext> one = {Plaintext(-2)};
    expect("one for all", evaluator_.Mul(px, constant(one)), evaluator_.Mul(pa, constant(one)));
    std::vector<Plaintext> out(a.size());
    decryptor_.Decrypt(px, mutable_pointers(out));
    if (out != a) fail("Decrypt in place is wrong");
    expect("EncryptZero", encryptor_.EncryptZero(3), std::vector<Plaintext>(3, Plaintext(0)));
    const auto [audited, audit] = encryptor_.EncryptWithAudit(pb);
    expect("EncryptWithAudit", audited, b);
    if (audit.size() != b.size() || audit[1].rfind("p:-9,c:", 0) != 0) fail("EncryptWithAudit: " + audit[1]);
    for (std::size_t i = 0; i < x.size(); ++i) {
      Ciphertext copy;
      copy.Deserialize(x[i].Serialize());
      if (copy != x[i]) fail("a ciphertext comes back changed");
    }

    const std::vector<Plaintext> beyond = {bound + Plaintext(1)}, two = {Plaintext(1), Plaintext(2)};
    const std::vector<Ciphertext> empty(1);
    if (!refuses([&] { encryptor_.Encrypt(constant(beyond)); })) fail("one past the bound is accepted");
    if (!refuses([&] { evaluator_.Add(px, constant(two)); })) fail("spans of different sizes are accepted");
    if (!refuses([&] { decryptor_.Decrypt(constant(empty)); })) fail("an empty ciphertext is accepted");
    const std::vector<Ciphertext> shared = {x[0], Ciphertext(public_key_.key().n())};
    if (!refuses([&] { decryptor_.Decrypt(constant(shared)); })) fail("a multiple of the primes is decrypted");
    if (!refuses([&] { algorithm::Encryptor(algorithm::PublicKey{}).EncryptZero(1); })) fail("no key is accepted");
  }

 private:
  [[noreturn]] static void fail(const std::string& what) { throw std::runtime_error(what); }

  // Modulo n, as sums that leave the range wrap.
  void expect(const std::string& what, const std::vector<Ciphertext>& cts, std::vector<Plaintext> expected) const {
    const Plaintext bound = public_key_.PlaintextBound(), n = bound + bound + Plaintext(1);
    for (Plaintext& value : expected)
      while (value.CompareAbs(bound) > 0) value = value.IsNegative() ? value + n : value - n;
    const std::vector<Plaintext> found = decryptor_.Decrypt(constant(cts));
    for (std::size_t i = 0; i < expected.size(); ++i)
      if (found.size() != expected.size() || found[i] != expected[i])
        fail(what + " is wrong at " + std::to_string(i) + ": " + found[i].ToHexString() + ", expected " +
             expected[i].ToHexString());
  }

  algorithm::PublicKey public_key_;
  algorithm::Encryptor encryptor_;
  algorithm::Decryptor decryptor_;
  algorithm::Evaluator evaluator_;
};

}  // namespace

int main() {
  try {
    std::string text;
    std::getline(std::cin, text);
    algorithm::SecretKey sk, again;
    sk.Deserialize({text.data(), text.size()});
    again.Deserialize(sk.Serialize());
    algorithm::PublicKey pk(sk.key().public_key()), copy;
    copy.Deserialize(pk.Serialize());
    if (copy != pk || again != sk) throw std::runtime_error("a key comes back changed");
    if (sk.ToString().find(text.substr(0, 16)) != std::string::npos)
      throw std::runtime_error("ToString tells a secret");
    Check(copy, again).run();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
