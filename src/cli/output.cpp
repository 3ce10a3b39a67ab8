#include "cli/output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <nlohmann/json.hpp>

#include "support/fail.h"

namespace lattice::cli {
namespace {

void check(bool good) {
  if (good) return;
  if (errno == EPIPE) throw ReaderGone{};
  fail("standard output cannot be written: {}", std::strerror(errno));
}

}  // namespace

void print_text(std::string_view text) {
  check(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

void flush_output() {
  check(std::fflush(stdout) == 0);
}

void print_json(const nlohmann::ordered_json& value) {
  print_text(value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void print_error_text(std::string_view text) noexcept {
  std::fwrite(text.data(), 1, text.size(), stderr);  // where standard error is gone, nobody can be told
}

void print_note(std::string_view line) {
  flush_output();
  print_error_text(fmt::format("{}\n", line));
}

}  // namespace lattice::cli
