#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace lattice::cli {

/// CLI11's help, with explanations wrapped beside the flags, and without what only a programmer wants to
/// know.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();

  std::string make_description(const CLI::App* app) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_subcommand(const CLI::App* command) const override;
};

}  // namespace lattice::cli
