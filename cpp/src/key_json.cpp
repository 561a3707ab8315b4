#include "key_json.hpp"

#include <map>
#include <stdexcept>

namespace cipherlane {
namespace {

constexpr char kFormat[] = "cipherlane-paillier-public-key";
constexpr std::size_t kMostCharacters = 65536;

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("public key: " + what + "; pass what to_json wrote");
}

// A flat object whose values are strings without escapes, numbers without sign, and null; texts keep their quote.
class FlatObject {
 public:
  explicit FlatObject(const std::string& text) : text_(text) {
    if (text.size() > kMostCharacters) refuse("expected at most 65536 characters, got " + std::to_string(text.size()));
    expect('{');
    do {
      const std::string name = value();
      expect(':');
      if (name[0] != '"' || !fields_.emplace(name.substr(1), value()).second)
        refuse("expected JSON with each field once");
    } while (next_is(','));
    expect('}');
    if (peek() != '\0') refuse("expected nothing after the JSON object");
  }

  std::string text(const std::string& name) { return tagged(name, '"').substr(1); }
  std::size_t number(const std::string& name) {
    const std::string digits = tagged(name, '#').substr(1);
    if (digits.size() > 9) refuse("expected a smaller " + name);
    return std::stoul(digits);
  }
  bool take_null(const std::string& name) {
    const auto at = fields_.find(name);
    if (at == fields_.end() || at->second != "null") return false;
    fields_.erase(at);
    return true;
  }
  void expect_no_more() const {
    if (!fields_.empty()) refuse("unknown field '" + fields_.begin()->first + "'");
  }

 private:
  std::string tagged(const std::string& name, char tag) {
    const auto at = fields_.find(name);
    if (at == fields_.end()) refuse("no field '" + name + "'");
    const std::string found = at->second;
    if (found[0] != tag) refuse("expected " + std::string(tag == '"' ? "a text" : "a number") + " as " + name);
    fields_.erase(at);
    return found;
  }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool next_is(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!next_is(c)) refuse("not valid JSON of one flat object");
  }
  std::string value() {
    if (next_is('"')) {
      const std::size_t end = text_.find_first_of("\"\\", at_);
      if (end == std::string::npos || text_[end] != '"') refuse("not valid JSON of plain texts");
      const std::string found = text_.substr(at_, end - at_);
      at_ = end + 1;
      return '"' + found;
    }
    if (peek() == 'n' && text_.compare(at_, 4, "null") == 0) {
      at_ += 4;
      return "null";
    }
    const std::size_t end = text_.find_first_not_of("0123456789", at_);
    if (end == at_ || end == std::string::npos) refuse("not valid JSON of texts, whole numbers and null");
    const std::string found = text_.substr(at_, end - at_);
    if (found.size() > 1 && found[0] == '0') refuse("not valid JSON: a number starts with 0");
    at_ = end;
    return '#' + found;
  }

  const std::string& text_;
  std::size_t at_ = 0;
  std::map<std::string, std::string> fields_;
};

Limbs hexadecimal(const std::string& name, const std::string& digits) {
  if (!digits.empty() && digits[0] == '0') refuse("expected " + name + " without leading zeros");
  return limbs_from_hex(name, digits);
}

const char* scheme_of(const PublicNumbers& key) {
  if (key.h_s.empty()) return "classic";
  return key.exponent_bits == 0 ? "djn" : "short";
}

}  // namespace

std::string key_to_json(const PublicNumbers& key) {
  std::string text = R"({"format": ")" + std::string(kFormat) + R"(", "version": )" +
                     (key.exponent_bits == 0 ? "1" : "2") + R"(, "bits": )" +
                     std::to_string(bit_length(key.n.data(), key.n.size())) + R"(, "scheme": ")" + scheme_of(key) +
                     R"(", "n": ")" + hex_from_limbs(key.n.data(), key.n.size()) + R"(", "h_s": )";
  text += key.h_s.empty() ? "null" : '"' + hex_from_limbs(key.h_s.data(), key.h_s.size()) + '"';
  if (key.exponent_bits != 0) text += R"(, "exponent_bits": )" + std::to_string(key.exponent_bits);
  return text + "}";
}

PublicNumbers key_from_json(const std::string& text) {
  FlatObject fields(text);
  if (fields.text("format") != kFormat) refuse("expected the format " + std::string(kFormat));
  const std::size_t version = fields.number("version");
  if (version != 1 && version != 2)
    throw std::invalid_argument("public key: expected version 1 or 2, got " + std::to_string(version) +
                                "; update to read it");
  PublicNumbers key;
  key.n = hexadecimal("n", fields.text("n"));
  if (!fields.take_null("h_s")) key.h_s = hexadecimal("h_s", fields.text("h_s"));
  if (version == 2) key.exponent_bits = fields.number("exponent_bits");
  const std::size_t bits = bit_length(key.n.data(), key.n.size());
  if (fields.number("bits") != bits) refuse("its bits are not those of n");
  if (fields.text("scheme") != scheme_of(key) || (version == 2) != (key.exponent_bits != 0))
    refuse("its scheme is not that of its numbers");
  fields.expect_no_more();
  return key;
}

}  // namespace cipherlane
