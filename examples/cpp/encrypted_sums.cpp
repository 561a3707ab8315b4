// Two parties: a guest holds labels and the keys, a host holds a feature. The host counts, in each bin of its feature,
// rows and positive labels without seeing a label.
//
//   encrypted_sums                               both parties in one process
//   encrypted_sums host KEY LABELS SUMS          the host's part, on files: KEY is the JSON of a public key, LABELS an
//                                                encrypted array of either language, SUMS what it answers
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "cipherlane/cipherlane.hpp"

namespace {

constexpr std::size_t kBins = 4;

cipherlane::Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const cipherlane::Bytes& data) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
  if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

// The host's feature of row i lies in bin i mod 7 mod 4, but for every tenth row, where it is missing.
std::vector<std::int64_t> bins_of_rows(std::size_t rows) {
  std::vector<std::int64_t> bins(rows);
  for (std::size_t i = 0; i < rows; ++i) bins[i] = i % 10 == 9 ? -1 : static_cast<std::int64_t>(i % 7 % kBins);
  return bins;
}

// What the host answers: one ciphertext a bin, under fresh randomness.
cipherlane::Bytes answer(const cipherlane::PublicKey& key, const cipherlane::Bytes& labels) {
  const cipherlane::CipherBatch encrypted = key.from_bytes(labels);
  return encrypted.segment_sum(bins_of_rows(encrypted.size()), kBins).to_bytes();
}

int both_parties() {
  const auto [public_key, private_key] = cipherlane::generate_keys();
  std::vector<std::int64_t> labels(1000);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = i % 3 == 0 ? 1 : 0;
  const cipherlane::Bytes message = private_key.encrypt(labels).to_bytes();
  const cipherlane::Bytes sums = answer(cipherlane::PublicKey::from_json(public_key.to_json()), message);
  std::printf("%zu labels in %zu bytes, %zu sums in %zu bytes\n", labels.size(), message.size(), kBins, sums.size());
  for (const std::int64_t sum : private_key.decrypt_integers(public_key.from_bytes(sums)))
    std::printf("%lld positive\n", static_cast<long long>(sum));
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count == 1) return both_parties();
    if (count != 5 || std::string(arguments[1]) != "host") throw std::invalid_argument("usage: see the source's head");
    const cipherlane::Bytes key = read_file(arguments[2]);
    write_file(arguments[4],
               answer(cipherlane::PublicKey::from_json({key.begin(), key.end()}), read_file(arguments[3])));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
