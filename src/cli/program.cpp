#include "cli/program.h"

#include <csignal>
#include <new>
#include <sstream>
#include <string>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/help_formatter.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "lattice/error.hpp"
#include "support/printable.h"

namespace lattice::cli {
namespace {

enum ExitStatus { kDone = 0, kFailed = 1, kWrongUsage = 2 };

constexpr std::string_view kAbout = "Lattice runs language models of the Qwen3.5 family on your own machine.";
constexpr std::string_view kProgramExamples = R"(Examples:
  lattice run "Once upon a time"            write a story with the model that comes with Lattice
  lattice run MODEL "Why is the sky blue?"  ask a model of your own: a directory or a .gguf file
  lattice chat MODEL                        talk with it
  lattice inspect MODEL                     see what it is made of, and how fast it should run here
  lattice quantize MODEL small.gguf         make it smaller, and so faster

`lattice COMMAND --help` explains a command and shows examples. LATTICE_MODEL=PATH in the environment names
another model to take where none is given.)";

void add_commands(CLI::App& program) {
  for (const auto add : {add_run, add_chat, add_inspect, add_tokenize, add_logits, add_perplexity,
                         add_quantize, add_devices, add_bench, add_msl}) {
    add(program);
  }
  for (CLI::App* command : program.get_subcommands([](CLI::App*) { return true; }))
    command->group("Commands");
}

/// "lattice: SENTENCE" on standard error.
int complain(std::string_view sentence, ExitStatus status) {
  print_error_text("lattice: " + without_controls(sentence) + "\n");
  return status;
}

/// What CLI11 has to say about arguments that it cannot take.
int explain(const CLI::App& program, const CLI::ParseError& error) {
  const auto commands = program.get_subcommands();
  const std::vector<std::string> unknown = program.remaining(true);
  if (!commands.empty()) {
    const std::string command = commands.front()->get_name();
    std::string what = error.what();
    if (!unknown.empty()) {
      const bool is_flag = unknown[0].starts_with('-');
      what = fmt::format("{} does not take {}{}", command, printable(unknown[0]),
                         is_flag ? "" : " as well (a text with blanks needs quotes)");
    }
    return complain(fmt::format("{}; `lattice {} --help` explains the command", what, command), kWrongUsage);
  }
  if (unknown.empty()) {
    print_error_text(program.help());
    return kWrongUsage;
  }
  const bool is_flag = unknown[0].starts_with('-');
  return complain(fmt::format("there is no {} {}; `lattice --help` lists them", is_flag ? "flag" : "command",
                              printable(unknown[0])),
                  kWrongUsage);
}

int parse_and_run(int argc, const char* const* argv) {
  CLI::App program{std::string(kAbout), "lattice"};
  program.formatter(std::make_shared<HelpFormatter>());
  program.set_help_flag("-h,--help", "Show this help");
  program.set_version_flag("--version", "lattice " LATTICE_VERSION, "Show the version");
  program.footer(std::string(kProgramExamples));
  program.require_subcommand(1);
  add_commands(program);
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& help) {  // --help or --version
    std::ostringstream out;
    program.exit(help, out, out);
    print_text(out.str());
  } catch (const CLI::ParseError& error) {
    return explain(program, error);
  }
  flush_output();
  return kDone;
}

}  // namespace

int run_program(int argc, const char* const* argv) {
  // Writing to a pipe that nobody reads is an error like any other: see ReaderGone.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return parse_and_run(argc, argv);
  } catch (const ReaderGone&) {
    return kDone;
  } catch (const Error& error) {
    return complain(error.what(), error.kind() == Error::Kind::kUsage ? kWrongUsage : kFailed);
  } catch (const std::bad_alloc&) {
    return complain(
        "this needs more memory than the machine gives: a smaller --context or a quantised model "
        "takes less",
        kFailed);
  } catch (const std::exception& error) {
    return complain(error.what(), kFailed);
  }
}

}  // namespace lattice::cli
