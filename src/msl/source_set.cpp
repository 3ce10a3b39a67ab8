#include "msl/source_set.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>

#include "support/printable.h"
#include "support/utf8.h"

namespace lattice::msl {
namespace {

// Shaders are kilobytes; the largest public one is half a megabyte.
constexpr std::size_t kMaxFileBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxFiles = 4096;

std::string join_splices(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 1);
  std::size_t owed_newlines = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') continue;  // a carriage return means nothing in MSL
    const bool before_newline = i + 1 < text.size() && text[i + 1] == '\n';
    const bool before_crlf = i + 2 < text.size() && text[i + 1] == '\r' && text[i + 2] == '\n';
    if (text[i] == '\\' && (before_newline || before_crlf)) {
      ++owed_newlines;
      i += before_crlf ? 2 : 1;
    } else if (text[i] == '\n') {
      out.append(owed_newlines + 1, '\n');
      owed_newlines = 0;
    } else {
      out += text[i];
    }
  }
  out += '\n';
  return out;
}

bool printable_name(std::string_view name) {
  return is_utf8(name) && std::none_of(name.begin(), name.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '"' || c == '\\';
         });
}

}  // namespace

std::uint16_t SourceSet::add(std::string name, std::string_view text) {
  if (!printable_name(name))
    fail("{}: a source file's name may hold no quotes or control characters", printable(name));
  if (text.size() > kMaxFileBytes) fail("{}: {} bytes are too many for a source file", name, text.size());
  if (text.find('\0') != std::string_view::npos) fail("{}: not a text file: it holds a NUL byte", name);
  if (files_.size() >= kMaxFiles) fail("{}: more than {} files are included", name, kMaxFiles);
  files_.push_back({std::move(name), join_splices(text)});
  return static_cast<std::uint16_t>(files_.size() - 1);
}

std::uint16_t SourceSet::add_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) fail("{}: no such file", printable(path.string()));
  if (std::filesystem::file_size(path, error) > kMaxFileBytes) {
    fail("{}: too large for a source file", printable(path.string()));
  }
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in) fail("{}: cannot be read", printable(path.string()));
  return add(path.string(), text);
}

}  // namespace lattice::msl
