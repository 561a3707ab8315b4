// Runs the device code on the host, all threads of a group in lockstep, on numbers from standard input. Each line: an
// operation, threads of a group, limbs of a thread, and words in hexadecimal (numbers without a prefix); answer:
// numbers in hexadecimal. `constants` are the 8 L limbs of kernels::Modulus as one number.
//
//   multiply constants x0 x1 y0 y1           square constants x0 x1          number constants x0 x1 t
//   add, subtract constants x0 x1 y0 y1      mod constants a b top           reduce constants a
//   digits constants x0 x1                   join constants x0 x1            from constants low high
//   plus constants x0 x1 a                   factored constants z c e overhang t s a
//   table constants entries w windows exponent words a          (a: or "none")
//   window constants x0 x1 exponent bits                        rows constants residues steps count row...
//   block key nonce counter                                     exponent key bits index domain
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "../../kernels/chacha20.cuh"
#include "../../kernels/power.cuh"

using namespace cipherlane::kernels;

namespace {

using Words = std::vector<std::uint32_t>;

Words words_from_hex(const std::string& text) {
  Words words((text.size() + 7) / 8, 0);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[text.size() - 1 - i];
    words[i / 8] |= static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10) << 4 * (i % 8);
  }
  return words;
}

class Line {
 public:
  explicit Line(const std::string& text) : fields_(text) {}
  std::string text() {
    std::string field;
    if (!(fields_ >> field)) {
      std::cerr << "a line ends too early\n";
      std::exit(2);
    }
    return field;
  }
  // A number that fills `count` words.
  Words number(std::size_t count) {
    Words words = words_from_hex(text());
    if (words.size() > count && std::any_of(words.begin() + count, words.end(), [](auto word) { return word != 0; })) {
      std::cerr << "a number is longer than " << count << " words\n";
      std::exit(2);
    }
    words.resize(count, 0);
    return words;
  }
  std::uint32_t small() { return number(1)[0]; }

 private:
  std::istringstream fields_;
};

void print(const Words& words) {
  for (std::size_t i = words.size(); i-- > 0;) std::printf("%08x", words[i]);
  std::printf(" ");
}

template <int T, int W>
struct Runner {
  using Lanes = HostLanes<T>;
  using Word = typename Lanes::Word;
  static constexpr std::size_t kLimbs = T * W;

  static void read(Word* r, Line& line) { Lanes::template load<W>(r, line.number(kLimbs).data()); }
  static Pair<Lanes, W> read_pair(Line& line) {
    Pair<Lanes, W> x;
    read(x.x0, line);
    read(x.x1, line);
    return x;
  }
  static void write(const Word* x) {
    Words words(kLimbs);
    Lanes::template store<W>(words.data(), x);
    print(words);
  }
  static void write_pair(const Pair<Lanes, W>& x) {
    write(x.x0);
    write(x.x1);
  }

  static void run(const std::string& operation, Line& line) {
    const Words constants = line.number(Modulus<Lanes, W>::kConstantParts * kLimbs);
    const Modulus<Lanes, W> m(constants.data());
    Word a[W], b[W];
    if (operation == "multiply") {
      const auto x = read_pair(line);
      auto y = read_pair(line);
      multiply_pair(y, x, y, m);
      write_pair(y);
    } else if (operation == "square") {
      auto x = read_pair(line);
      square_pair(x, x, m);
      write_pair(x);
    } else if (operation == "number") {
      auto x = read_pair(line);
      read(a, line);
      multiply_number(x, x, a, m);
      write_pair(x);
    } else if (operation == "add" || operation == "subtract") {
      auto x = read_pair(line);
      const auto y = read_pair(line);
      operation == "add" ? add_pair(x, x, y, m) : sub_pair(x, x, y, m);
      write_pair(x);
    } else if (operation == "mod") {
      read(a, line);
      read(b, line);
      multiply_mod(a, a, b, line.small(), m);
      write(a);
    } else if (operation == "reduce") {
      read(a, line);
      const std::uint32_t taken = reduce_once(a, m);
      write(a);
      print({taken});
    } else if (operation == "digits") {
      auto x = read_pair(line);
      to_digits(x, x, m);
      write_pair(x);
    } else if (operation == "join") {
      const auto x = read_pair(line);
      join_digits(a, b, x, m);
      write(a);
      write(b);
    } else if (operation == "from") {
      read(a, line);
      read(b, line);
      Pair<Lanes, W> x;
      from_limbs(x, a, b, m);
      write_pair(x);
    } else if (operation == "plus") {
      auto x = read_pair(line);
      read(a, line);
      multiply_one_plus(x, x, a, m);
      write_pair(x);
    } else if (operation == "factored") {
      factored(line, m);
    } else if (operation == "table") {
      table(line, m);
    } else if (operation == "window") {
      const auto x = read_pair(line);
      const std::string exponent = line.text();
      const std::uint32_t bits = line.small();
      Words words = words_from_hex(exponent);
      words.resize((bits + 31) / 32, 0);
      Words scratch(16 * 2 * kLimbs);
      Pair<Lanes, W> r;
      fixed_window_power<4>(r, x, words.data(), bits, scratch.data(), m);
      write_pair(r);
    } else if (operation == "rows") {
      const std::string text = line.text();
      const std::uint32_t steps = line.small();
      Words residues = words_from_hex(text), rows(line.small());
      residues.resize((residues.size() / (2 * kLimbs) + 1) * 2 * kLimbs, 0);
      for (auto& row : rows) row = line.small();
      Pair<Lanes, W> r;
      product_of_rows(r, residues.data(), rows.data(), static_cast<std::uint32_t>(rows.size()), steps, m);
      write_pair(r);
    } else {
      std::cerr << "unknown operation: " << operation << "\n";
      std::exit(2);
    }
  }

  // One step; then the sum as it was after the step, and the residue of the whole.
  static void factored(Line& line, const Modulus<Lanes, W>& m) {
    FactoredState<Lanes, W> state;
    state.product = read_pair(line);
    read(state.sum, line);
    const Words owed = line.number(T);
    for (int l = 0; l < T; ++l) state.overhang.lane[l] = owed[l];
    Words entry = line.number(kLimbs);
    const Words s = line.number(kLimbs);
    entry.insert(entry.end(), s.begin(), s.end());
    multiply_factored(state, entry.data(), m);
    write_pair(state.product);
    const Words a = line.number(kLimbs);
    Pair<Lanes, W> r;
    finish_factored(r, state, a.data(), m);
    write_pair(r);
  }

  static void table(Line& line, const Modulus<Lanes, W>& m) {
    const std::string entries = line.text();
    const std::uint32_t window = line.small(), windows = line.small();
    Words words = words_from_hex(entries);
    words.resize((std::size_t{windows} << window) * 2 * kLimbs, 0);
    const std::string text = line.text();
    Words exponent = words_from_hex(text);
    exponent.resize(line.small(), 0);
    const std::string plaintext = line.text();
    Words a = plaintext == "none" ? Words() : words_from_hex(plaintext);
    if (!a.empty()) a.resize(kLimbs, 0);
    Pair<Lanes, W> r;
    fixed_base_power_vartime(r, FactoredTable{words.data(), window, windows}, exponent.data(),
                             static_cast<std::uint32_t>(exponent.size()), a.empty() ? nullptr : a.data(), m);
    write_pair(r);
  }
};

template <int T>
void run_chacha(const std::string& operation, Line& line) {
  using Lanes = HostLanes<T>;
  const Words key = line.number(8);
  if (operation == "block") {
    const Words nonce = line.number(3);
    typename Lanes::Word block[kBlockWords];
    chacha20_block<Lanes>(block, key.data(), Lanes::lanes() + typename Lanes::Word(line.small()), nonce.data());
    for (int l = 0; l < T; ++l) {
      Words words(kBlockWords);
      for (int i = 0; i < kBlockWords; ++i) words[i] = block[i].lane[l];
      print(words);
    }
  } else {
    const std::uint32_t bits = line.small();
    const Words index = line.number(2);
    Words to((bits + 31) / 32 + 1, 0xa5a5a5a5u);
    random_exponent<Lanes>(to.data(), bits, key.data(), std::uint64_t{index[1]} << 32 | index[0], line.small());
    if (to.back() != 0xa5a5a5a5u) std::exit(3);  // written past the end
    to.pop_back();
    print(to);
  }
}

template <int T, int W>
bool try_shape(int threads, int limbs, const std::string& operation, Line& line) {
  if (threads != T || limbs != W) return false;
  if (operation == "block" || operation == "exponent")
    run_chacha<T>(operation, line);
  else
    Runner<T, W>::run(operation, line);
  return true;
}

bool dispatch(int threads, int limbs, const std::string& operation, Line& line) {
#ifdef CIPHERLANE_TEST_SHAPE
  return try_shape<CIPHERLANE_TEST_SHAPE>(threads, limbs, operation, line);
#else
  return try_shape<2, 8>(threads, limbs, operation, line) || try_shape<4, 8>(threads, limbs, operation, line) ||
         try_shape<8, 8>(threads, limbs, operation, line) || try_shape<2, 16>(threads, limbs, operation, line) ||
         try_shape<4, 16>(threads, limbs, operation, line) || try_shape<8, 16>(threads, limbs, operation, line) ||
         try_shape<4, 12>(threads, limbs, operation, line) || try_shape<8, 12>(threads, limbs, operation, line) ||
         try_shape<16, 8>(threads, limbs, operation, line) || try_shape<32, 4>(threads, limbs, operation, line);
#endif
}

}  // namespace

int main() {
  std::string text;
  while (std::getline(std::cin, text)) {
    Line line(text);
    const std::string operation = line.text();
    const int threads = std::stoi(line.text()), limbs = std::stoi(line.text());
    if (!dispatch(threads, limbs, operation, line)) {
      std::cerr << "no shape of " << threads << " threads with " << limbs << " limbs\n";
      return 2;
    }
    std::printf("\n");
  }
  return 0;
}
