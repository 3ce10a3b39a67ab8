#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/model_arguments.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/units.h"
#include "lattice/lattice.hpp"
#include "support/fail.h"

namespace lattice::cli {
namespace {

constexpr const char* kPerplexityExamples =
    R"(Perplexity is exp of the mean of -log p(token | tokens before it): lower is better, and only figures of the
same text and tokenizer compare. Ids need no tokenizer.

Examples:
  lattice perplexity --text models/tinystories-qwen35/heldout.txt --window 1024
  lattice perplexity qwen-q4_0.gguf --text wiki.txt --window 2048 --json
  lattice perplexity MODEL --tokens-file ids.json --json)";

struct PerplexityArguments {
  std::optional<std::filesystem::path> model_path;
  ModelArguments model;
  TokenArguments tokens;
  std::optional<std::filesystem::path> text;
  std::int64_t window = 0;
  bool json = false;
};

void show_perplexity(PerplexityArguments& arguments) {
  if (arguments.tokens.given() == arguments.text.has_value())
    fail_usage("perplexity needs one of --text FILE, --tokens-file FILE and --tokens 1,2,3");
  std::vector<Token> tokens;
  std::string text;
  if (arguments.text) {
    text = read_text_file(*arguments.text);
  } else {
    tokens = arguments.tokens.read();
  }
  const Model model = arguments.model.load(arguments.model_path);
  if (arguments.text) tokens = model.encode(text);
  ProgressBar bar(ProgressUnit::kTokens, arguments.model.quiet);
  const Perplexity result = perplexity(model, tokens, arguments.window, bar.callback());
  bar.finish();
  if (arguments.json) {
    print_json({{"mean_nll", result.mean_nll}, {"tokens", result.tokens}, {"perplexity", result.value()}});
  } else {
    print_out("perplexity {:.4f} (mean -log p {:.6f} over {} tokens)\n", result.value(), result.mean_nll,
              format_count(result.tokens));
  }
}

}  // namespace

void add_perplexity(CLI::App& program) {
  CLI::App* command = program.add_subcommand("perplexity", "Measure how well a model predicts a text");
  command->footer(kPerplexityExamples);
  auto arguments = std::make_shared<PerplexityArguments>();
  add_text(*command, "MODEL", arguments->model_path, "",
           "A model's directory or .gguf file; without it, the model that comes with Lattice");
  add_text(*command, "--text", arguments->text, "FILE", "The text");
  arguments->tokens.add_to(*command);
  add_integer<std::int64_t>(*command, "--window", arguments->window, 1,
                            std::numeric_limits<std::int32_t>::max(),
                            "Predict in windows of N tokens, each from nothing; without it, all in one");
  arguments->model.add_to(*command);
  command->add_flag("--json", arguments->json, "Print JSON: {\"mean_nll\",\"tokens\",\"perplexity\"}");
  command->callback([arguments] { show_perplexity(*arguments); });
}

}  // namespace lattice::cli
