#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lattice::bench {

/// What was measured and on what: without it a figure says nothing. Texts are "unknown" where the machine
/// does not tell.
struct Environment {
  std::string commit;    ///< of the source tree when it was built, with "-dirty" where it had changes
  std::string compiler;  ///< "GNU 12.2.0"
  std::string flags;     ///< build type and compile options
  std::string cpu;
  std::string system;  ///< "Linux 6.1.0 x86_64"
  int processors = 0;  ///< that this process may use
  std::string governor;
  double load = -1;  ///< processes that ran or wanted to, averaged over the last minute; −1: unknown
};

[[nodiscard]] Environment describe_environment();

/// Bytes of memory that can be had without swapping, container limits taken into account.
[[nodiscard]] std::optional<std::int64_t> available_memory();

}  // namespace lattice::bench
