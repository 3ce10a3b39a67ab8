#include "cli/model_arguments.h"

#include <limits>
#include <random>
#include <system_error>

#include "cli/arguments.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "support/fail.h"
#include "support/printable.h"
#include "support/thread_pool.h"

namespace lattice::cli {
namespace {

constexpr std::int64_t kMaxThreads = 1024;
constexpr std::int64_t kMaxCount = std::numeric_limits<std::int32_t>::max();

}  // namespace

void ModelArguments::add_to(CLI::App& command) {
  add_text(command, "--device", options.device, "NAME",
           "Where to compute: a name that `lattice devices` lists, or auto");
  add_integer<int>(command, "--threads", options.threads, 1, kMaxThreads,
                   "Threads of the CPU; without it, one for every core");
  command.add_flag("--pin", options.pin_threads,
                   "Keep each thread of the CPU but the first on a processor of its own (Linux)");
  command.add_flag(
      "--exact", options.exact,
      "Keep keys and values in f32 and, with quantised weights, activations in float: slower, closer");
  command
      .add_option_function<std::string>(
          "--kv",
          [this](const std::string& name) {
            if (name != "f32" && name != "f16") fail_usage("--kv takes f32 or f16, not {}", printable(name));
            options.kv = name == "f16" ? KvPrecision::kF16 : KvPrecision::kF32;
          },
          "How keys and values are kept: f16, or f32 for twice the memory; without it, f16, and f32 with "
          "--exact")
      ->type_name("TYPE");
  command.add_flag("-q,--quiet", quiet, "Show neither progress nor figures");
}

void ModelArguments::add_context_to(CLI::App& command) {
  add_integer<std::int64_t>(command, "--context", context, 1, kMaxCount,
                            "Tokens that fit; without it, as many as the model was made for");
}

Model ModelArguments::load(const std::optional<std::filesystem::path>& path) const {
  ProgressBar bar(ProgressUnit::kBytes, quiet);
  LoadOptions with_progress = options;
  with_progress.progress = bar.callback();
  Model model = Model::load(model_path(path), with_progress);
  bar.finish();
  for (const std::string& warning : model.warnings()) print_note("lattice: " + warning);
  return model;
}

int ModelArguments::threads() const noexcept {
  return options.threads == 0 ? usable_processors() : options.threads;
}

std::filesystem::path model_path(const std::optional<std::filesystem::path>& path) {
  if (!path) return shipped_model_path();
  std::error_code unreadable;
  if (!std::filesystem::exists(*path, unreadable))
    fail_usage("there is no model {}: a directory or a .gguf file is needed", printable(path->string(), 200));
  return *path;
}

void SamplingArguments::add_to(CLI::App& command) {
  CLI::Option* temperature_option =
      add_number(command, "--temperature", temperature,
                 "How freely to draw: 0 takes the likeliest token, 1 draws as the model says");
  add_integer<std::int32_t>(command, "--top-k", top_k, 0, kMaxCount,
                            "Draw from the K likeliest tokens; 0: all");
  add_number(command, "--top-p", top_p, "Draw from the likeliest tokens whose probabilities add up to X");
  add_number(command, "--min-p", min_p, "Leave out tokens less likely than X times the likeliest");
  add_number(command, "--repetition-penalty", repetition_penalty,
             "Above 1: make tokens that the text has already less likely");
  add_number(command, "--presence-penalty", presence_penalty,
             "Above 0: make tokens that were generated already less likely, once");
  add_number(command, "--frequency-penalty", frequency_penalty,
             "Above 0: the same, once for each time that they were generated");
  command
      .add_option_function<std::string>(
          "--seed", [this](const std::string& text) { seed = parse_seed("--seed", text); },
          "Same seed, same text; without it, a new one each time")
      ->type_name("N");
  command.add_flag("--greedy", greedy, "Always take the likeliest token; the same as --temperature 0")
      ->excludes(temperature_option);
}

Sampling SamplingArguments::over(const Sampling& defaults) const {
  Sampling sampling = defaults;
  if (greedy) sampling.temperature = 0;
  sampling.temperature = temperature.value_or(sampling.temperature);
  sampling.top_k = top_k.value_or(sampling.top_k);
  sampling.top_p = top_p.value_or(sampling.top_p);
  sampling.min_p = min_p.value_or(sampling.min_p);
  sampling.repetition_penalty = repetition_penalty.value_or(sampling.repetition_penalty);
  sampling.presence_penalty = presence_penalty.value_or(sampling.presence_penalty);
  sampling.frequency_penalty = frequency_penalty.value_or(sampling.frequency_penalty);
  // A seed of 32 bits is short enough to be typed again.
  sampling.seed = seed ? *seed : std::random_device{}();
  sampling.check();
  return sampling;
}

void EndArguments::add_to(CLI::App& command) {
  add_integer<std::int64_t>(command, "--max-tokens", max_tokens, 1, kMaxCount,
                            "Stop after N tokens; without it, at the model's own end or a full context");
  command.add_option("--stop", stop, "Stop before this text comes; may be given several times")
      ->type_name("TEXT")
      ->expected(1)
      ->take_all();
  command.add_flag("--ignore-eos", ignore_eos, "Go on where the model would end: for measuring");
}

void EndArguments::apply(GenerateOptions& options) const {
  options.max_tokens = max_tokens;
  options.stop = stop;
  options.ignore_eos = ignore_eos;
}

void DraftArguments::add_to(CLI::App& command) {
  command
      .add_option_function<std::string>(
          "--draft",
          [this](const std::string& name) {
            for (const Draft known : {Draft::kNone, Draft::kLookup, Draft::kMtp, Draft::kAuto}) {
              if (name == draft_name(known)) {
                draft = known;
                return;
              }
            }
            fail_usage("--draft takes none, lookup, mtp or auto, not {}", printable(name));
          },
          "Guess tokens ahead and check several in one pass: lookup, by what followed the same words before, "
          "for texts that quote or repeat; mtp, by the model's own head for it; auto, by the head where the "
          "model has one, else by lookup; none, the default. The text stays the same")
      ->type_name("HOW");
  add_integer<std::int64_t>(
      command, "--draft-tokens", tokens, 1, kMaxCount,
      "Guesses a pass, at most; without it, as many as suit the device and what guesses");
}

void DraftArguments::check() const {
  if (tokens > 0 && draft == Draft::kNone) fail_usage("--draft-tokens goes with --draft lookup, mtp or auto");
}

void DraftArguments::apply(LoadOptions& options) const {
  options.mtp = draft == Draft::kMtp || draft == Draft::kAuto;
}

void DraftArguments::apply(GenerateOptions& options) const {
  options.draft = draft;
  options.draft_tokens = tokens;
}

void ThinkArguments::add_to(CLI::App& command) {
  CLI::Option* think = command.add_flag_callback(
      "--think", [this] { enabled = true; }, "Let a chat model think before it answers");
  command
      .add_flag_callback(
          "--no-think", [this] { enabled = false; },
          "Let it answer at once; without either, as the model prefers")
      ->excludes(think);
}

}  // namespace lattice::cli
