// What the filters have in common: lines of words in hexadecimal, and the choice of a shape.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "../../kernels/mutants.cuh"

using Words = std::vector<std::uint32_t>;

inline Words words_from_hex(const std::string& text) {
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

inline void print(const Words& words) {
  for (std::size_t i = words.size(); i-- > 0;) std::printf("%08x", words[i]);
  std::printf(" ");
}

// The program: Filter::run<T, W>(operation, line) for each line's shape.
template <class Filter, int T, int W>
bool try_shape(int threads, int limbs, const std::string& operation, Line& line) {
  if (threads != T || limbs != W) return false;
  Filter::template run<T, W>(operation, line);
  return true;
}

template <class Filter>
bool dispatch(int threads, int limbs, const std::string& operation, Line& line) {
#define CIPHERLANE_TRY(T, W) || try_shape<Filter, T, W>(threads, limbs, operation, line)
  return false CIPHERLANE_TEST_SHAPES(CIPHERLANE_TRY);
#undef CIPHERLANE_TRY
}

// In a program with planted bugs, the first argument is the number of the one to plant.
template <class Filter>
int filter_lines(int argc, char** argv) {
#ifdef CIPHERLANE_MUTANTS
  if (argc > 1) cipherlane::kernels::planted_mutant = static_cast<cipherlane::kernels::Mutant>(std::atoi(argv[1]));
#else
  (void)argc, (void)argv;
#endif
  std::string text;
  while (std::getline(std::cin, text)) {
    Line line(text);
    const std::string operation = line.text();
    const int threads = std::stoi(line.text()), limbs = std::stoi(line.text());
    if (!dispatch<Filter>(threads, limbs, operation, line)) {
      std::cerr << "no shape of " << threads << " threads with " << limbs << " limbs\n";
      return 2;
    }
    std::printf("\n");
  }
  return 0;
}
