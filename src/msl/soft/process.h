#pragma once

#include <string>
#include <vector>

namespace lattice::msl {

struct ProcessResult {
  int status = 0;      ///< the exit status; 128 + n: ended by signal n; 127: it could not be started
  std::string output;  ///< stdout and stderr together, the first 256 KiB
};

/// Runs a program, found on PATH, with these arguments and no shell, and waits for it.
[[nodiscard]] ProcessResult run_process(const std::vector<std::string>& command);

}  // namespace lattice::msl
