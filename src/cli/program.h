#pragma once

namespace lattice::cli {

/// The whole program: reads the arguments, runs the command, and turns whatever goes wrong into one sentence
/// on standard error. Returns the exit status: 0, 1 (a file or a request that cannot be used) or 2 (wrong
/// usage).
[[nodiscard]] int run_program(int argc, const char* const* argv);

}  // namespace lattice::cli
