#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/model_arguments.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "lattice/lattice.hpp"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice::cli {
namespace {

constexpr const char* kLogitsExamples =
    R"(For comparing engines: give both the same ids. No tokenizer is needed, but where the model has one, the
table shows the tokens' text.

Examples:
  lattice logits --tokens 882,356,258
  lattice logits qwen.gguf --tokens 1,2,3 --top 16 --json
  lattice tokenize "Tom had a big" --json > ids.json && lattice logits --tokens-file ids.json)";

struct LogitsArguments {
  std::optional<std::filesystem::path> model_path;
  ModelArguments model;
  TokenArguments tokens;
  std::int64_t top = 10;
  bool json = false;
};

/// The ids of the `count` largest logits, best first; the lower id where two are equal.
std::vector<Token> likeliest(std::span<const float> logits, std::size_t count) {
  std::vector<Token> ids(logits.size());
  std::iota(ids.begin(), ids.end(), Token{0});
  count = std::min(count, ids.size());
  const auto middle = ids.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(ids.begin(), middle, ids.end(), [&](Token a, Token b) {
    const float x = logits[static_cast<std::size_t>(a)];
    const float y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  });
  ids.resize(count);
  return ids;
}

double log_sum_exp(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum);
}

/// The text of a token, or nothing for a model whose tokenizer cannot be used.
std::optional<std::string> piece_of(const Model& model, Token id) {
  try {
    return printable(model.decode({&id, 1}, true));
  } catch (const Error&) {
    return std::nullopt;
  }
}

void print_table(const Model& model, std::span<const float> logits, std::span<const Token> ids, double sum) {
  const bool has_text = piece_of(model, ids[0]).has_value();
  Table table({{"id", Table::Align::kRight},
               {"logit", Table::Align::kRight},
               {"probability", Table::Align::kRight},
               {has_text ? "text" : ""}});
  for (const Token id : ids) {
    const double logit = logits[static_cast<std::size_t>(id)];
    table.add({fmt::format("{}", id), fmt::format("{:.4f}", logit),
               fmt::format("{:.2f} %", std::exp(logit - sum) * 100), piece_of(model, id).value_or("")});
  }
  table.print();
  print_out("logsumexp {:.4f}\n", sum);
}

void show_logits(LogitsArguments& arguments) {
  if (!arguments.tokens.given()) fail_usage("logits needs --tokens 1,2,3 or --tokens-file FILE");
  const std::vector<Token> tokens = arguments.tokens.read();
  const Model model = arguments.model.load(arguments.model_path);
  ProgressBar bar(ProgressUnit::kTokens, arguments.model.quiet);
  Session session(model);
  session.feed(tokens, bar.callback());
  bar.finish();
  const std::span<const float> logits = session.logits();
  const std::vector<Token> ids = likeliest(logits, static_cast<std::size_t>(arguments.top));
  const double sum = log_sum_exp(logits);
  if (!arguments.json) {
    print_table(model, logits, ids, sum);
    return;
  }
  nlohmann::ordered_json top = nlohmann::ordered_json::array();
  for (const Token id : ids) top.push_back({{"id", id}, {"logit", logits[static_cast<std::size_t>(id)]}});
  print_json({{"top", std::move(top)}, {"logsumexp", sum}});
}

}  // namespace

void add_logits(CLI::App& program) {
  CLI::App* command = program.add_subcommand("logits", "Show what the model expects after given token ids");
  command->footer(kLogitsExamples);
  auto arguments = std::make_shared<LogitsArguments>();
  add_text(*command, "MODEL", arguments->model_path, "",
           "A model's directory or .gguf file; without it, the model that comes with Lattice");
  arguments->tokens.add_to(*command);
  add_integer<std::int64_t>(*command, "--top", arguments->top, 1, std::numeric_limits<std::int32_t>::max(),
                            "How many of the likeliest tokens to show; without it, 10");
  arguments->model.add_to(*command);
  command->add_flag("--json", arguments->json, "Print JSON: {\"top\":[{\"id\",\"logit\"}],\"logsumexp\"}");
  command->callback([arguments] { show_logits(*arguments); });
}

}  // namespace lattice::cli
