#pragma once

#include <CLI/CLI.hpp>

// Each of these adds one command to the program: its flags, its help with examples, and what it does, as the
// command's callback. A command throws Error for what went wrong and prints through cli/output.h. To add one:
// a file beside these, a line here, and a line in the list in program.cpp.

namespace lattice::cli {

void add_run(CLI::App& program);
void add_chat(CLI::App& program);
void add_inspect(CLI::App& program);
void add_tokenize(CLI::App& program);
void add_logits(CLI::App& program);
void add_perplexity(CLI::App& program);
void add_quantize(CLI::App& program);
void add_devices(CLI::App& program);
void add_bench(CLI::App& program);
void add_msl(CLI::App& program);

}  // namespace lattice::cli
