// Any bytes through the shipped model's tokenizer and back.

#include <algorithm>
#include <filesystem>

#include "formats/fixtures.h"
#include "promises.h"
#include "support/utf8.h"
#include "text/tokenizer.h"

namespace lattice::fuzz {
namespace {

const Tokenizer& tokenizer() {
  static const std::unique_ptr<Tokenizer> shipped = Tokenizer::from_json_file(
      std::filesystem::path(LATTICE_SOURCE_DIR) / "models" / "tinystories-qwen35" / "tokenizer.json");
  return *shipped;
}

/// What is put out token by token is what is decoded at once, in pieces of whole characters.
void check_stream(const std::vector<std::int32_t>& ids, const std::string& whole) {
  StreamDecoder decoder(tokenizer(), true);
  std::string streamed;
  for (const std::int32_t id : ids) {
    const std::string piece = decoder.push(id);
    expect(is_utf8(piece), "a streamed piece is UTF-8");
    streamed += piece;
  }
  streamed += decoder.finish();
  expect(streamed == whole, "streamed text is the decoded text");
}

void check(std::string_view text, bool parse_special) {
  const std::vector<std::int32_t> ids = tokenizer().encode(text, parse_special);
  for (const std::int32_t id : ids) expect(id >= 0 && id < tokenizer().size(), "ids are of the vocabulary");
  const std::string decoded = tokenizer().decode(ids, true);
  expect(is_utf8(decoded), "decoded text is UTF-8");
  check_stream(ids, decoded);
  // What comes back is the text in normal form C with U+FFFD for what was not UTF-8: and that is its own
  // normal form.
  expect(tokenizer().decode(tokenizer().encode(decoded, parse_special), true) == decoded,
         "text that came back once comes back unchanged");
  const bool is_ascii =
      std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (is_ascii) expect(decoded == text, "ASCII comes back unchanged");
}

}  // namespace
}  // namespace lattice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const lattice::ExactBytes bytes = lattice::fuzz::input(data, size);
  lattice::fuzz::check(bytes.text(), false);
  lattice::fuzz::check(bytes.text(), true);
  return 0;
}
