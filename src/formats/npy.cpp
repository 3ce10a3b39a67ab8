#include "formats/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "formats/byte_reader.h"
#include "formats/output_file.h"
#include "support/checked.h"
#include "support/fail.h"
#include "support/mapped_file.h"
#include "support/printable.h"

namespace lattice {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
// NumPy's own headers have some 120 bytes.
constexpr std::uint32_t kMaxHeaderBytes = 65536;
constexpr std::size_t kMaxDimensions = 32;  // NumPy's limit

/// Reads the Python dictionary of a header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class HeaderParser {
 public:
  HeaderParser(std::string_view file, std::string_view text) : file_(file), text_(text) {}

  NpyArray run() {
    NpyArray out;
    bool descr = false;
    bool order = false;
    bool shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr" && !descr) {
        out.descr = string();
        descr = true;
      } else if (key == "fortran_order" && !order) {
        if (word() != "False") fail("{}: fortran_order: only arrays in row-major order can be read", file_);
        order = true;
      } else if (key == "shape" && !shape) {
        out.shape = tuple();
        shape = true;
      } else {
        fail("{}: the header has the unexpected key {}", file_, printable(key));
      }
      accept(',');
    }
    if (!descr || !order || !shape) fail("{}: the header lacks descr, fortran_order or shape", file_);
    return out;
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail("{}: the header is not well formed: {} is missing at byte {}", file_, c, at_);
  }
  std::string_view string() {
    expect('\'');
    const std::size_t end = text_.find('\'', at_);
    if (end == std::string_view::npos) fail("{}: the header holds a string that does not end", file_);
    const std::string_view out = text_.substr(at_, end - at_);
    at_ = end + 1;
    return out;
  }
  std::string_view word() {
    skip_blanks();
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= 'A' && text_[at_] <= 'z') ++at_;
    return text_.substr(begin, at_ - begin);
  }
  std::vector<std::uint64_t> tuple() {
    std::vector<std::uint64_t> out;
    expect('(');
    while (!accept(')')) {
      skip_blanks();
      std::uint64_t value = 0;
      const auto [stop, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
      if (error != std::errc{} || out.size() == kMaxDimensions) fail("{}: shape is not well formed", file_);
      at_ = static_cast<std::size_t>(stop - text_.data());
      out.push_back(value);
      accept(',');
    }
    return out;
  }

  std::string_view file_;
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::size_t npy_element_bytes(std::string_view descr) noexcept {
  constexpr std::array<std::pair<std::string_view, std::size_t>, 14> kTypes = {{{"|b1", 1},
                                                                                {"|i1", 1},
                                                                                {"|u1", 1},
                                                                                {"<i1", 1},
                                                                                {"<u1", 1},
                                                                                {"<i2", 2},
                                                                                {"<u2", 2},
                                                                                {"<i4", 4},
                                                                                {"<u4", 4},
                                                                                {"<i8", 8},
                                                                                {"<u8", 8},
                                                                                {"<f2", 2},
                                                                                {"<f4", 4},
                                                                                {"<f8", 8}}};
  const auto* found =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& type) { return type.first == descr; });
  return found == kTypes.end() ? 0 : found->second;
}

NpyArray read_npy(const std::filesystem::path& path) {
  const MappedFile mapped(path);
  const std::string file = path.string();
  ByteReader reader(file, mapped.bytes());
  const auto magic = reader.read_bytes(kMagic.size(), "magic");
  if (!std::equal(magic.begin(), magic.end(), kMagic.begin(),
                  [](std::byte a, char b) { return a == static_cast<std::byte>(b); })) {
    fail("{}: is no .npy file", printable(file));
  }
  const auto version = reader.read<std::uint8_t>("version");
  (void)reader.read<std::uint8_t>("minor version");
  if (version < 1 || version > 3) fail("{}: version {} is not known", printable(file), version);
  const std::uint32_t length = version == 1 ? reader.read<std::uint16_t>("header length")
                                            : reader.read<std::uint32_t>("header length");
  if (length > kMaxHeaderBytes) fail("{}: header length: {} bytes are too many", printable(file), length);
  const auto header = reader.read_bytes(length, "header");
  NpyArray out =
      HeaderParser(printable(file), {reinterpret_cast<const char*>(header.data()), header.size()}).run();

  std::optional<std::uint64_t> bytes = npy_element_bytes(out.descr);
  if (*bytes == 0) fail("{}: descr: arrays of {} cannot be read", printable(file), printable(out.descr));
  for (const std::uint64_t extent : out.shape) {
    if (bytes) bytes = checked_mul(*bytes, extent);
  }
  if (!bytes || *bytes != reader.remaining()) {
    fail("{}: shape: an array of ({}) and type {} does not have {} bytes", printable(file),
         fmt::join(out.shape, ", "), out.descr, reader.remaining());
  }
  const auto data = reader.read_bytes(*bytes, "data");
  out.data.assign(data.begin(), data.end());
  return out;
}

void write_npy(const std::filesystem::path& path, std::string_view descr,
               std::span<const std::uint64_t> shape, std::span<const std::byte> data) {
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr,
                                   fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  // The data begin at a multiple of 64, behind a newline.
  const std::size_t before = kMagic.size() + 4;
  header.append(63 - (before + header.size()) % 64, ' ');
  header += '\n';
  std::string start(kMagic);
  start += '\x01';
  start += '\0';
  start += static_cast<char>(header.size() & 0xff);
  start += static_cast<char>(header.size() >> 8);
  start += header;
  OutputFile file(path);
  file.write(std::as_bytes(std::span(start)));
  file.write(data);
  file.commit();
}

}  // namespace lattice
