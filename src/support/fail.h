#pragma once

#include <utility>

#include <fmt/format.h>

#include "lattice/error.hpp"

namespace lattice {

/// Throws Error(kInput) with a formatted message: `fail("{}: tensor {} ends past the file", path, name)`.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// Throws Error(kUsage): the caller asked for something that cannot be.
template <typename... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...), Error::Kind::kUsage);
}

}  // namespace lattice
