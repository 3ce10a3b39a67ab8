#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "lattice/generate.hpp"
#include "lattice/model.hpp"
#include "lattice/sampling.hpp"

namespace lattice::cli {

/// The flags of every command that runs a model.
struct ModelArguments {
  LoadOptions options;
  std::int64_t context = 0;  ///< 0: the model's longest
  bool quiet = false;        ///< neither progress nor figures

  void add_to(CLI::App& command);
  void add_context_to(CLI::App& command);
  /// The model at `path`, or the shipped one; shows progress, and the model's warnings as notes.
  [[nodiscard]] Model load(const std::optional<std::filesystem::path>& path) const;
  /// Threads that the CPU backend runs on.
  [[nodiscard]] int threads() const noexcept;
};

/// `path`, or the shipped model's. Throws Error(kUsage) where `path` names nothing.
[[nodiscard]] std::filesystem::path model_path(const std::optional<std::filesystem::path>& path);

/// The flags of every command that draws tokens.
struct SamplingArguments {
  std::optional<float> temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<std::int32_t> top_k;
  std::optional<std::uint64_t> seed;
  bool greedy = false;

  void add_to(CLI::App& command);
  /// The model's own defaults with the flags over them, and a random seed where none is given.
  [[nodiscard]] Sampling over(const Sampling& defaults) const;
};

/// The flags that say when a generation ends.
struct EndArguments {
  std::int64_t max_tokens = 0;  ///< 0: no limit but the context's
  std::vector<std::string> stop;
  bool ignore_eos = false;

  void add_to(CLI::App& command);
  void apply(GenerateOptions& options) const;
};

/// The flags that say how tokens are guessed ahead.
struct DraftArguments {
  Draft draft = Draft::kNone;
  std::int64_t tokens = 0;  ///< 0: as many as suit the device and what guesses

  void add_to(CLI::App& command);
  /// Throws Error(kUsage) for flags that do not go together.
  void check() const;
  /// What has to be loaded for it.
  void apply(LoadOptions& options) const;
  void apply(GenerateOptions& options) const;
};

/// --think, --no-think or neither.
struct ThinkArguments {
  std::optional<bool> enabled;

  void add_to(CLI::App& command);
};

}  // namespace lattice::cli
