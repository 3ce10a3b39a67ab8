// Tokenises for tools/compare_tokenizers.py, which holds the result against Hugging Face's.
//
//   tokenize_lines encode TOKENIZER    lines of hexadecimal bytes → lines of ids
//   tokenize_lines decode TOKENIZER    lines of ids → lines of hexadecimal bytes, decoded at once and as a
//   stream
//
// TOKENIZER is a tokenizer.json or a .gguf file. Empty lines are empty texts.
#include <charconv>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "formats/checkpoint.h"
#include "support/fail.h"
#include "text/tokenizer.h"

namespace lattice {
namespace {

std::unique_ptr<Tokenizer> open(const std::filesystem::path& path) {
  if (path.extension() != ".gguf") return Tokenizer::from_json_file(path);
  return Tokenizer::from_gguf(*Checkpoint::open(path));
}

int number(std::string_view digits, int base) {
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) fail("not a number: {}", digits);
  return value;
}

std::string encode(const Tokenizer& tokenizer, std::string_view hex) {
  std::string text;
  for (std::size_t i = 0; i < hex.size(); i += 2) text += static_cast<char>(number(hex.substr(i, 2), 16));
  return fmt::format("{}", fmt::join(tokenizer.encode(text), " "));
}

std::string decode(const Tokenizer& tokenizer, std::string_view line) {
  std::vector<std::int32_t> ids;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    ids.push_back(number(line.substr(0, end), 10));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const std::int32_t id : ids) streamed += stream.push(id);
  streamed += stream.finish();
  const std::string text = tokenizer.decode(ids);
  if (text != streamed) fail("the streamed text is not the text decoded at once");
  std::string hex;
  for (const char c : text) fmt::format_to(std::back_inserter(hex), "{:02x}", static_cast<unsigned char>(c));
  return hex;
}

}  // namespace
}  // namespace lattice

int main(int argc, char** argv) {
  const std::string_view mode = argc == 3 ? argv[1] : "";
  if (mode != "encode" && mode != "decode") {
    std::cerr << "usage: tokenize_lines encode|decode TOKENIZER\n";
    return 2;
  }
  try {
    const auto tokenizer = lattice::open(argv[2]);
    const auto run = mode == "encode" ? lattice::encode : lattice::decode;
    for (std::string line; std::getline(std::cin, line);) std::cout << run(*tokenizer, line) << '\n';
  } catch (const std::exception& error) {
    std::cerr << "tokenize_lines: " << error.what() << '\n';
    return 1;
  }
}
