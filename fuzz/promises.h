#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "formats/fixtures.h"
#include "lattice/error.hpp"
#include "support/utf8.h"

namespace lattice::fuzz {

/// The input, where AddressSanitizer sees any read past its end.
inline ExactBytes input(const std::uint8_t* data, std::size_t size) {
  return ExactBytes({reinterpret_cast<const char*>(data), size});
}

/// Stops the fuzzer where `holds` is false: a promise of the code under test is broken.
inline void expect(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

/// What every message of an Error promises: one short line of UTF-8 that names the file.
inline void check_message(std::string_view message, std::string_view file) {
  expect(message.starts_with(file), "a message begins with the file's name");
  expect(message.size() < 4096, "a message is short");
  expect(is_utf8(message), "a message is UTF-8");
  for (const char c : message) {
    expect(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "a message has no control characters");
  }
}

/// Runs `action`, in which an Error is an answer like any other if its message is what was promised.
template <typename Action>
void run(std::string_view file, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    check_message(error.what(), file);
  }
}

}  // namespace lattice::fuzz
