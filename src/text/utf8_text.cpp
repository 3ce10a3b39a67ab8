#include "text/utf8_text.h"

#include <algorithm>
#include <cstdint>

#include "support/utf8.h"

namespace lattice {
namespace {

/// How many bytes of `text`, which does not begin with a well-formed sequence, are the start of one. At least
/// 1: a byte that starts nothing is replaced by itself.
std::size_t maximal_subpart(std::string_view text) {
  // A sequence that is well formed but for its end becomes well formed with continuation bytes added, and any
  // that fit its second byte will do. 0x80 fits all leads but E0 and F0, 0xbf all but ED and F4.
  for (std::size_t length = std::min<std::size_t>(text.size(), 3); length > 1; --length) {
    for (const char tail : {'\x80', '\xbf'}) {
      char padded[4] = {tail, tail, tail, tail};
      text.copy(padded, length);
      if (utf8_sequence_length({padded, 4}) > length) return length;
    }
  }
  return 1;
}

bool may_be_continued(std::string_view rest) {
  const auto lead = static_cast<std::uint8_t>(rest[0]);
  return rest.size() == maximal_subpart(rest) && lead >= 0xc2 && lead <= 0xf4;
}

}  // namespace

std::size_t append_replacing(std::string& text, std::string_view bytes) {
  std::size_t valid = 0;  // bytes from the start that are well formed and not yet appended
  while (valid < bytes.size()) {
    const std::string_view rest = bytes.substr(valid);
    if (const std::size_t length = utf8_sequence_length(rest); length > 0) {
      valid += length;
      continue;
    }
    text += bytes.substr(0, valid);
    if (may_be_continued(rest)) return rest.size();
    text += kReplacement;
    bytes = rest.substr(maximal_subpart(rest));
    valid = 0;
  }
  text += bytes;
  return 0;
}

std::string replacing_invalid(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  if (append_replacing(text, bytes) > 0) text += kReplacement;
  return text;
}

}  // namespace lattice
