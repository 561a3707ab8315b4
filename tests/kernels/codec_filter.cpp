// Runs the device's codec on the host, row after row, on what standard input says. Each line: an operation and numbers
// without a prefix, memory as bytes in hexadecimal (or "-" for none). Answer: the result's bytes, then the faults.
//
//   encode element axes length... stride... offset memory  ROWS negate value_bits encoded_bits modulus modulus_bits
//   count decode floats bounded bound slots_of_row  ROWS modulus plaintexts count check modulus rows count compact
//   element axes length... stride... offset memory log_bytes count
// ROWS: row_length row_plaintexts slots slot_bits scale_bits limbs
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "../../kernels/codec.cuh"

using namespace cipherlane::kernels;

namespace {

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
  long long number() { return std::stoll(text()); }
  unsigned long long unsigned_number() { return std::stoull(text()); }
  std::uint32_t small() { return static_cast<std::uint32_t>(unsigned_number()); }
  // Aligned like an allocation, and no byte longer than given: a sanitizer sees what is read past it.
  std::vector<unsigned char> memory() {
    const std::string hex = text();
    std::vector<unsigned char> bytes;
    if (hex == "-") return bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
      bytes.push_back(static_cast<unsigned char>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    return bytes;
  }
  std::vector<std::uint64_t> limbs() {
    const std::vector<unsigned char> bytes = memory();
    std::vector<std::uint64_t> result(bytes.size() / 8);
    if (!result.empty()) std::memcpy(result.data(), bytes.data(), bytes.size());
    return result;
  }
  Strided strided(std::vector<unsigned char>& memory_to_fill) {
    Strided result{};
    result.element = static_cast<Element>(small());
    result.axes = small();
    for (std::uint32_t axis = 0; axis < result.axes; ++axis) result.lengths[axis] = unsigned_number();
    for (std::uint32_t axis = 0; axis < result.axes; ++axis) result.strides[axis] = number();
    const long long offset = number();
    memory_to_fill = memory();
    result.first = DevicePointer<const unsigned char>(memory_to_fill.data() + offset);
    return result;
  }
  PackedRows rows() {
    PackedRows result{};
    result.row_length = unsigned_number();
    result.row_plaintexts = unsigned_number();
    result.slots = small();
    result.slot_bits = small();
    result.scale_bits = small();
    result.limbs = small();
    return result;
  }

 private:
  std::istringstream fields_;
};

template <class T>
void print(const std::vector<T>& values) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  for (std::size_t i = 0; i < values.size() * sizeof(T); ++i) std::printf("%02x", bytes[i]);
  if (values.empty()) std::printf("-");
}

template <class Kernel>
void run_all(Kernel& kernel, std::vector<std::uint64_t>& faults) {
  kernel.first = FaultPointer(faults.data());
  for (std::size_t i = 0; i < kernel.count; ++i) kernel.run(i);
}

void print_faults(const std::vector<std::uint64_t>& faults) {
  for (const std::uint64_t place : faults)
    if (place == kNowhere)
      std::printf(" -");
    else
      std::printf(" %llu", static_cast<unsigned long long>(place));
  std::printf("\n");
}

void answer(Line line) {
  const std::string operation = line.text();
  std::vector<std::uint64_t> faults(kFaults, kNowhere);
  if (operation == "encode") {
    std::vector<unsigned char> memory;
    EncodeRows kernel{};
    kernel.values = line.strided(memory);
    kernel.rows = line.rows();
    kernel.negate = line.small() != 0;
    kernel.value_bits = static_cast<std::int32_t>(line.number());
    kernel.encoded_bits = line.small();
    const auto modulus = line.limbs();
    kernel.modulus = DevicePointer<const std::uint64_t>(modulus.data());
    kernel.modulus_bits = line.small();
    kernel.count = line.unsigned_number();
    std::vector<std::uint64_t> out(kernel.count * kernel.rows.limbs, 0x5555555555555555);
    kernel.plaintexts = DevicePointer<std::uint64_t>(out.data());
    run_all(kernel, faults);
    print(out);
  } else if (operation == "decode") {
    DecodeRows kernel{};
    kernel.floats = line.small() != 0;
    kernel.bounded = line.small() != 0;
    kernel.bound = line.unsigned_number();
    kernel.slots_of_row = line.unsigned_number();
    kernel.rows = line.rows();
    const auto modulus = line.limbs();
    const auto plaintexts = line.limbs();
    kernel.modulus = DevicePointer<const std::uint64_t>(modulus.data());
    kernel.plaintexts = DevicePointer<const std::uint64_t>(plaintexts.data());
    kernel.count = line.unsigned_number();
    std::vector<std::uint64_t> out(
        kernel.count == 0 ? 0 : kernel.count / kernel.rows.row_plaintexts * kernel.rows.row_length);
    kernel.values = DevicePointer<std::uint64_t>(out.data());
    run_all(kernel, faults);
    print(out);
  } else if (operation == "check") {
    CheckRows kernel{};
    const auto modulus = line.limbs();
    const auto rows = line.limbs();
    kernel.modulus = DevicePointer<const std::uint64_t>(modulus.data());
    kernel.rows = DevicePointer<const std::uint64_t>(rows.data());
    kernel.limbs = static_cast<std::uint32_t>(modulus.size());
    kernel.count = line.unsigned_number();
    run_all(kernel, faults);
    std::printf("-");
  } else if (operation == "compact") {
    std::vector<unsigned char> memory;
    Compact kernel{};
    kernel.from = line.strided(memory);
    kernel.log_bytes = line.small();
    kernel.count = line.unsigned_number();
    std::vector<unsigned char> out(kernel.count << kernel.log_bytes);
    kernel.to = DevicePointer<unsigned char>(out.data());
    for (std::size_t i = 0; i < kernel.count; ++i) kernel.run(i);
    print(out);
  } else {
    std::cerr << operation << ": no such operation\n";
    std::exit(2);
  }
  print_faults(faults);
}

}  // namespace

int main() {
  std::string text;
  while (std::getline(std::cin, text)) answer(Line(text));
  return 0;
}
