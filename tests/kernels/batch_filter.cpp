// Runs the batch kernels on the host, group after group, all threads of a group in lockstep. Each line: a kernel,
// threads of a group, limbs of a thread, how many groups, and the kernel's fields in order: a number in hexadecimal, or
// an array as its words and its value, "none" where null, "=1" for the second of the arrays before. Answer: the arrays
// which are not const, as they are at last. An array is exactly as long as the line says: a word written past it is an
// error.
#include <list>
#include <tuple>

#include "../../kernels/batch_kernels.cuh"
#include "filter_lines.hpp"

using namespace cipherlane::kernels;

namespace {

auto fields(MultiplyPairs& k) { return std::tie(k.r, k.x, k.y, k.x_step, k.y_step, k.count, k.constants); }
auto fields(MultiplyOnePlus& k) { return std::tie(k.r, k.x, k.x_step, k.a, k.a_words, k.count, k.constants); }
template <class Kernel>
auto fixed_base_fields(Kernel& k) {
  return std::tie(k.r, k.entries, k.window_bits, k.windows, k.exponents, k.exponent_words, k.a, k.a_words, k.count,
                  k.constants);
}
auto fields(FixedBasePowersVartime& k) { return fixed_base_fields(k); }
auto fields(FixedBasePowersMasked& k) { return fixed_base_fields(k); }
auto fields(FixedWindowPowers& k) {
  return std::tie(k.r, k.x, k.exponent, k.exponent_bits, k.scratch, k.count, k.constants);
}
auto fields(PowersEachVartime& k) {
  return std::tie(k.r, k.x, k.x_step, k.exponents, k.exponent_words, k.exponent_bits, k.scratch, k.count, k.constants);
}
auto fields(SegmentProducts& k) { return std::tie(k.r, k.x, k.rows, k.starts, k.count, k.constants); }
auto fields(Evaluate& k) {
  return std::tie(k.r, k.parts, k.part_count, k.constants_of_parts, k.numbers[0], k.numbers[1], k.number_words[0],
                  k.number_words[1], k.count, k.constants);
}
auto fields(Digits& k) { return std::tie(k.d0, k.d1, k.words, k.x, k.count, k.constants); }
auto fields(Values& k) { return std::tie(k.c, k.words, k.x, k.count, k.constants); }
auto fields(Gather& k) { return std::tie(k.r, k.x, k.rows, k.count); }
auto fields(SquareChains& k) { return std::tie(k.r, k.x, k.steps, k.count, k.constants); }
auto fields(TableLevel& k) { return std::tie(k.powers, k.chain, k.window_bits, k.level, k.count, k.constants); }
auto fields(FactorEntries& k) { return std::tie(k.entries, k.powers, k.inverses, k.count, k.constants); }
auto fields(BucketSums& k) { return std::tie(k.r, k.bucket_rows, k.buckets, k.count, k.constants); }
auto fields(JoinWindows& k) { return std::tie(k.r, k.x, k.windows, k.window_bits, k.count, k.constants); }
auto fields(RandomExponents& k) { return std::tie(k.exponents, k.words, k.bits, k.key, k.first, k.domain, k.count); }
auto fields(MultiplyPeak& k) { return std::tie(k.r, k.steps, k.count); }

constexpr std::uint32_t kGuard = 0x5afe5afe;

// Reads fields, and keeps the arrays they point to.
class Fields {
 public:
  explicit Fields(Line& line) : line_(line) {}
  void read(std::uint32_t& field) { field = line_.small(); }
  void read(std::uint64_t& field) {
    const Words words = line_.number(2);
    field = std::uint64_t{words[1]} << 32 | words[0];
  }
  void read(WordPointer& field) {
    if (Words* words = array()) {
      results_.push_back(words);
      field = WordPointer(words->data());
    }
  }
  void read(ConstWordPointer& field) {
    if (Words* words = array()) field = ConstWordPointer(words->data());
  }
  void read(DevicePointer<const LinearPart>& field) {
    const Words words = *array();
    for (std::size_t i = 0; i + 3 < words.size(); i += 3) parts_.push_back({words[i], words[i + 1], words[i + 2]});
    field = DevicePointer<const LinearPart>(parts_.data());
  }
  void print_results() {
    for (Words* words : results_) {
      if (words->back() != kGuard) {
        std::cerr << "a word past the end of an array was written\n";
        std::exit(3);
      }
      words->pop_back();
      print(*words);
    }
  }

 private:
  Words* array() {
    const std::string size = line_.text();
    if (size == "none") return nullptr;
    if (size[0] == '=') return &*std::next(arrays_.begin(), std::stol(size.substr(1)));
    arrays_.push_back(line_.number(std::stoul(size)));
    arrays_.back().push_back(kGuard);
    return &arrays_.back();
  }

  Line& line_;
  std::list<Words> arrays_;
  std::vector<Words*> results_;
  std::vector<LinearPart> parts_;
};

struct Filter {
  template <class Kernel, int T, int W>
  static void run_kernel(Line& line) {
    const std::size_t groups = line.small();
    Kernel kernel{};
    Fields reader(line);
    std::apply([&](auto&... field) { (reader.read(field), ...); }, fields(kernel));
    for (std::size_t group = 0; group < groups; ++group) kernel.template run<HostLanes<T>, W>(group);
    reader.print_results();
  }

  template <int T, int W>
  static void run(const std::string& operation, Line& line) {
#define CIPHERLANE_RUN(Kernel) \
  if (operation == #Kernel) return run_kernel<Kernel, T, W>(line);
    CIPHERLANE_KERNELS(CIPHERLANE_RUN)
#undef CIPHERLANE_RUN
    std::cerr << "no kernel " << operation << "\n";
    std::exit(2);
  }
};

}  // namespace

int main(int argc, char** argv) { return filter_lines<Filter>(argc, argv); }
