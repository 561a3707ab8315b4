// Runs the device code on the host, all threads of a group in lockstep, on numbers from standard input. Each line: an
// operation, threads of a group, limbs of a thread, and words in hexadecimal (numbers without a prefix); answer:
// numbers in hexadecimal. `constants` are the 8 L limbs of kernels::Modulus as one number.
//
//   multiply constants x0 x1 y0 y1           square constants x0 x1          number constants x0 x1 t
//   add, subtract constants x0 x1 y0 y1      mod constants a b top           reduce constants a
//   digits constants x0 x1                   join constants x0 x1            plus constants x0 x1 a
//   factored constants z c e overhang t s a  block key nonce counter
#include "../../kernels/chacha20.cuh"
#include "../../kernels/power.cuh"
#include "filter_lines.hpp"

using namespace cipherlane::kernels;

namespace {

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
    } else if (operation == "plus") {
      auto x = read_pair(line);
      read(a, line);
      multiply_one_plus(x, x, a, m);
      write_pair(x);
    } else if (operation == "factored") {
      factored(line, m);
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
    const auto entry = read_pair(line);
    multiply_factored(state, entry, m);
    write_pair(state.product);
    const Words a = line.number(kLimbs);
    Pair<Lanes, W> r;
    finish_factored(r, state, true, a.data(), kLimbs, m);
    write_pair(r);
  }
};

template <int T>
void run_block(Line& line) {
  using Lanes = HostLanes<T>;
  const Words key = line.number(8), nonce = line.number(3);
  typename Lanes::Word block[kBlockWords];
  chacha20_block<Lanes>(block, key.data(), Lanes::lanes() + typename Lanes::Word(line.small()), nonce.data());
  for (int l = 0; l < T; ++l) {
    Words words(kBlockWords);
    for (int i = 0; i < kBlockWords; ++i) words[i] = block[i].lane[l];
    print(words);
  }
}

struct Filter {
  template <int T, int W>
  static void run(const std::string& operation, Line& line) {
    if (operation == "block")
      run_block<T>(line);
    else
      Runner<T, W>::run(operation, line);
  }
};

}  // namespace

int main(int argc, char** argv) { return filter_lines<Filter>(argc, argv); }
