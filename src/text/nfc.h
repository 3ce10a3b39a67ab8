#pragma once

#include <string>
#include <string_view>

#include "text/character_table.h"

namespace lattice {

/// Normalisation Form C, of the Unicode version that Hugging Face's tokenizers have (characters assigned
/// later stay as they are). utf8proc does the work on the few places that can change; the rest is copied.
class Nfc {
 public:
  Nfc();

  /// Well-formed UTF-8 in, well-formed UTF-8 out. Where nothing can change, `text` itself is returned; else
  /// the result stands in `buffer`. Time is linear but for the sorting of combining marks (n · log n).
  [[nodiscard]] std::string_view normalize(std::string_view text, std::string& buffer) const;

 private:
  struct Span {
    const char* begin;
    const char* end;
  };
  [[nodiscard]] Span next_altered(const char* p, const char* end) const;

  CharacterTable flags_;
};

}  // namespace lattice
