// tokenizer.json and, after a byte 0, tokenizer_config.json; then a text through the tokenizer that they
// make.

#include <algorithm>
#include <filesystem>

#include "formats/fixtures.h"
#include "promises.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lattice;
  static const TemporaryDirectory directory;
  const ExactBytes bytes = fuzz::input(data, size);
  const std::string_view text = bytes.text();
  const std::size_t end = std::min(text.find('\0'), text.size());
  write_file(directory.path() / "tokenizer.json", text.substr(0, end));
  const bool has_config = end != text.size();
  if (has_config) {
    write_file(directory.path() / "tokenizer_config.json", text.substr(end + 1));
  } else {
    std::error_code ignored;
    std::filesystem::remove(directory.path() / "tokenizer_config.json", ignored);
  }
  fuzz::run(directory.path().string(), [&] {
    const auto tokenizer = Tokenizer::from_json_file(directory.path() / "tokenizer.json");
    const std::string_view some = "Once upon a time, 12 cafés\r\n  <|im_start|>\xff \xe6\x97\xa5";
    for (const bool parse_special : {false, true}) {
      for (const std::int32_t id : tokenizer->encode(some, parse_special)) {
        fuzz::expect(id >= 0 && id < tokenizer->size(), "ids are of the vocabulary");
      }
    }
  });
  return 0;
}
