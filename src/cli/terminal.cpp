#include "cli/terminal.h"

#include <cstdlib>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include "support/printable.h"
#include "support/utf8.h"

namespace lattice::cli {
namespace {

constexpr int kDefaultColumns = 80;

int descriptor(Stream stream) noexcept {
  return stream == Stream::kOut ? STDOUT_FILENO : STDERR_FILENO;
}

std::string_view environment(const char* name) noexcept {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::string styled(Stream stream, std::string_view text, int code) {
  if (text.empty() || !is_terminal(stream) || !environment("NO_COLOR").empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

}  // namespace

bool is_terminal(Stream stream) noexcept {
  return isatty(descriptor(stream)) == 1 && environment("TERM") != "dumb";
}

int terminal_columns(Stream stream) noexcept {
  winsize size{};
  if (ioctl(descriptor(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultColumns;
  return size.ws_col;
}

std::string dim(Stream stream, std::string_view text) {
  return styled(stream, text, 2);
}
std::string bold(Stream stream, std::string_view text) {
  return styled(stream, text, 1);
}

std::string without_controls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_sequence_length(text);
    const std::string_view sequence = text.substr(0, length == 0 ? 1 : length);
    const bool harmless = sequence == "\n" || sequence == "\t" || (length != 0 && !is_control(sequence));
    out += harmless ? sequence : std::string_view("\uFFFD");
    text.remove_prefix(sequence.size());
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    utf8proc_int32_t code_point = 0;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    const auto length = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size()), &code_point);
    width += length > 0 ? static_cast<std::size_t>(utf8proc_charwidth(code_point)) : 1;
    text.remove_prefix(length > 0 ? static_cast<std::size_t>(length) : 1);
  }
  return width;
}

}  // namespace lattice::cli
