#include "text/nfc.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include <utf8proc.h>

#include "support/fail.h"
#include "text/utf8_text.h"

namespace lattice {
namespace {

/// The longest canonical decomposition has four characters.
constexpr std::size_t kMaxDecomposition = 4;

/// Canonical decomposition, marks not yet in order.
void decompose(std::string_view text, std::vector<utf8proc_int32_t>& out) {
  for (std::size_t i = 0; i < text.size();) {
    const Character character = character_at(text.data() + i);
    i += character.length;
    std::array<utf8proc_int32_t, kMaxDecomposition> parts{};
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(character.code), parts.data(), parts.size(),
                                UTF8PROC_DECOMPOSE, nullptr);
    if (count < 0 || std::cmp_greater(count, parts.size())) {
      fail("cannot normalise text: {}", utf8proc_errmsg(count));
    }
    out.insert(out.end(), parts.begin(), parts.begin() + count);
  }
}

/// Sorts each run of marks by combining class. (utf8proc's own ordering is quadratic in the length of a run,
/// and a prompt can be one run.)
void order_marks(std::vector<utf8proc_int32_t>& characters) {
  const auto combining_class = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  const auto is_mark = [&](utf8proc_int32_t c) { return combining_class(c) != 0; };
  for (auto begin = characters.begin(); begin != characters.end();) {
    begin = std::find_if(begin, characters.end(), is_mark);
    const auto end = std::find_if_not(begin, characters.end(), is_mark);
    std::stable_sort(begin, end, [&](auto a, auto b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

void append_normalized(std::string_view text, std::vector<utf8proc_int32_t>& scratch, std::string& out) {
  scratch.clear();
  decompose(text, scratch);
  order_marks(scratch);
  const utf8proc_ssize_t length =
      utf8proc_normalize_utf32(scratch.data(), static_cast<utf8proc_ssize_t>(scratch.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  if (length < 0) fail("cannot normalise text: {}", utf8proc_errmsg(length));
  for (utf8proc_ssize_t i = 0; i < length; ++i) {
    std::array<utf8proc_uint8_t, 4> bytes{};
    const utf8proc_ssize_t count = utf8proc_encode_char(scratch[static_cast<std::size_t>(i)], bytes.data());
    out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(count));
  }
}

/// Past the ASCII that stands at `p`.
const char* skip_ascii(const char* p, const char* end) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080u;
  for (; end - p >= 8; p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    if ((word & kHighBits) != 0) break;
  }
  while (p != end && static_cast<std::uint8_t>(*p) < 0x80) ++p;
  return p;
}

}  // namespace

Nfc::Nfc()
    : flags_([](std::uint8_t properties) -> std::uint8_t {
        return properties & (unicode::kAltered | unicode::kBase);
      }) {}

/// The next run of characters that NFC may change, with the character before it where the two may be
/// composed; empty at the end of the text. No character outside of such a run can change, or change one
/// inside.
Nfc::Span Nfc::next_altered(const char* p, const char* end) const {
  const char* base = nullptr;  // the character before p, if it may change with p's
  while (p != end) {
    const char* after_ascii = skip_ascii(p, end);
    if (after_ascii != p) {
      p = after_ascii - 1;
      base = (flags_[static_cast<char32_t>(*p)] & unicode::kBase) != 0 ? p : nullptr;
      if (++p == end) break;
    }
    const Character character = character_at(p);
    const std::uint8_t flags = flags_[character.code];
    if ((flags & unicode::kAltered) != 0) {
      const char* begin = base != nullptr ? base : p;
      while (p != end && (flags_[character_at(p).code] & unicode::kAltered) != 0) p += character_at(p).length;
      return {begin, p};
    }
    base = (flags & unicode::kBase) != 0 ? p : nullptr;
    p += character.length;
  }
  return {end, end};
}

std::string_view Nfc::normalize(std::string_view text, std::string& buffer) const {
  const char* const end = text.data() + text.size();
  Span span = next_altered(text.data(), end);
  if (span.begin == end) return text;
  buffer.clear();
  buffer.reserve(text.size());
  std::vector<utf8proc_int32_t> scratch;
  const char* copied = text.data();
  for (; span.begin != end; span = next_altered(span.end, end)) {
    buffer.append(copied, span.begin);
    append_normalized({span.begin, static_cast<std::size_t>(span.end - span.begin)}, scratch, buffer);
    copied = span.end;
  }
  buffer.append(copied, end);
  return buffer;
}

}  // namespace lattice
