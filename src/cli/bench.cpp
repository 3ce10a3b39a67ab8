#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/benchmark.h"
#include "bench/report.h"
#include "bench/shapes.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/model_arguments.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice::cli {
namespace {

constexpr const char* kBenchExamples =
    R"(Medians of repeats, with the machine's own bandwidth, arithmetic and phase cost measured beside them, and the
share of that bandwidth that decoding used (MBU). What a token's time is made of: its bytes at the measured
bandwidth; its phases, each of which waits for the one before; the host; and the rest. Contexts are made up of
random state unless --feed: that takes no time, and decoding does the same work. The last line is a hash of the
logits: a change that should not change results leaves it as it was. docs/benchmarks.md explains all of it.

Examples:
  lattice bench
  lattice bench --shape 0.8b --type q4_0                 no download: random weights in the real shapes
  lattice bench qwen.gguf --contexts 0,4096 --threads 4 --json > bench.json
  lattice bench --shape 2b --plot bench.svg
  lattice bench --shape 0.8b --batches 1,2,3,4,5,6,7,8 --filter batch
  lattice bench --shape 0.8b --batches 2,3 --drafts 1,2 --filter 'batch|draft'
  lattice bench --filter '^decode/0$' --repeats 20)";

struct BenchArguments {
  std::optional<std::filesystem::path> model_path;
  std::optional<std::string> shape;
  std::optional<std::string> type;
  std::optional<std::string> contexts;
  std::optional<std::string> batches;
  std::optional<std::string> drafts;
  std::optional<std::filesystem::path> plot;
  bench::Options options;
  ModelArguments model;
  bool feed = false;
  bool list = false;
  bool json = false;
};

/// "0,512": whole numbers from `low` to `high` with commas between them.
std::vector<std::int64_t> parse_list(std::string_view flag, std::string_view text, std::int64_t low,
                                     std::int64_t high) {
  std::vector<std::int64_t> numbers;
  while (true) {
    const std::size_t comma = text.find(',');
    numbers.push_back(parse_integer(flag, text.substr(0, comma), low, high));
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

bench::Options options_of(const BenchArguments& arguments) {
  bench::Options options = arguments.options;
  if (arguments.shape && arguments.model_path) fail_usage("a model and --shape cannot be used together");
  if (arguments.type && !arguments.shape) fail_usage("--type is of random weights: it goes with --shape");
  options.shape = arguments.shape;
  if (options.shape) {
    (void)bench::shape_config(*options.shape);
  } else {
    options.path = model_path(arguments.model_path);
  }
  if (arguments.type) options.type = bench::random_type(*arguments.type);
  if (arguments.contexts)
    options.contexts = parse_list("--contexts", *arguments.contexts, 0, bench::kMostTokens);
  if (arguments.batches) options.batches = parse_list("--batches", *arguments.batches, 1, bench::kMostBatch);
  if (arguments.drafts) options.drafts = parse_list("--drafts", *arguments.drafts, 1, bench::kMostBatch);
  options.load = arguments.model.options;
  options.load.mtp = !options.drafts.empty();
  options.make_up_contexts = !arguments.feed;
  options.check();
  return options;
}

void write_plot(const std::filesystem::path& path, const std::string& svg) {
  std::ofstream file(path, std::ios::binary);
  file << svg;
  file.close();
  if (!file) fail("{} cannot be written", printable(path.string()));
}

void run_bench(const BenchArguments& arguments) {
  bench::Options options = options_of(arguments);
  if (arguments.list) {
    for (const std::string& name : bench::benchmark_names(options)) print_out("{}\n", name);
    return;
  }
  ProgressBar bar(ProgressUnit::kTokens, arguments.model.quiet);
  options.load.progress = bar.callback();
  const bench::Result result = bench::run(options);
  bar.finish();
  print_text(arguments.json ? bench::json_report(result) : bench::text_report(result));
  if (arguments.plot) write_plot(*arguments.plot, bench::svg_report(result));
}

}  // namespace

void add_bench(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("bench", "Measure prefill and decoding, and what the machine allows");
  command->footer(kBenchExamples);
  auto arguments = std::make_shared<BenchArguments>();
  bench::Options& options = arguments->options;
  add_text(*command, "MODEL", arguments->model_path, "",
           "A model's directory or .gguf file; without it, the model that comes with Lattice");
  add_text(*command, "--shape", arguments->shape, "SIZE",
           "Random weights in the shape of a released model: 0.8b, 2b, 4b, 9b, 27b");
  add_text(*command, "--type", arguments->type, "TYPE",
           "Of random weights: q8_0 (the default), q4_0, q4_k, q5_k, q6_k, bf16, f16, f32");
  add_integer<std::int64_t>(*command, "--prefill", options.prefill_tokens, 0, bench::kMostTokens,
                            "Tokens of the prompt that is measured; 0: none");
  add_text(*command, "--contexts", arguments->contexts, "LIST",
           "Tokens that come before the decoded ones; 0,512,4096,16384 without it");
  add_text(
      *command, "--batches", arguments->batches, "LIST",
      "Also time calls with so many tokens each, after the first of --contexts: what checking guesses costs");
  add_text(*command, "--drafts", arguments->drafts, "LIST",
           "Also time so many guesses each by the model's own head (MTP), at the same place");
  add_integer<int>(*command, "--repeats", options.repeats, 1, bench::kMostRepeats,
                   "Measurements of each kind");
  add_integer<int>(*command, "--steps", options.steps, 1, bench::kMostRepeats,
                   "Decoded tokens of a measurement");
  command->add_flag("--feed", arguments->feed,
                    "Reach each context by feeding real tokens, however long that takes");
  add_text(*command, "--filter", options.filter, "REGEX",
           "Measure only what it is found in: prefill/512, decode/0, …");
  command->add_flag("--list", arguments->list,
                    "Print the names of what would be measured, and measure nothing");
  add_text(*command, "--plot", arguments->plot, "FILE",
           "Write a roofline and tokens a second against context, as SVG");
  arguments->model.add_to(*command);
  command->add_flag("--json", arguments->json, "Print one JSON object, of the schema lattice-bench/1");
  command->callback([arguments] { run_bench(*arguments); });
}

}  // namespace lattice::cli
