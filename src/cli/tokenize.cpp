#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/model_arguments.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "formats/checkpoint.h"
#include "support/fail.h"
#include "support/printable.h"
#include "text/tokenizer.h"

namespace lattice::cli {
namespace {

constexpr const char* kTokenizeExamples =
    R"(Special tokens that the text spells out ("<|endoftext|>") become their ids, unless --plain. Bytes that are
not UTF-8 count as U+FFFD. The weights are not read.

Examples:
  lattice tokenize "Once upon a time"
  lattice tokenize qwen.gguf --ids "naïve café"
  lattice tokenize --json < story.txt > ids.json
  lattice tokenize --decode 2163,1242,258,636)";

struct TokenizeArguments {
  ModelAndText what;
  std::optional<std::string> decode;
  bool plain = false;
  bool ids_only = false;
  bool json = false;
};

void print_tokens(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  Table table({{"id", Table::Align::kRight}, {"text"}, {""}});
  for (const std::int32_t id : ids) {
    table.add({fmt::format("{}", id), printable(tokenizer.token_bytes(id)),
               tokenizer.is_special(id) ? "special" : ""});
  }
  table.print();
  print_out("{} token{}\n", ids.size(), ids.size() == 1 ? "" : "s");
}

void tokenize(TokenizeArguments& arguments) {
  arguments.what.settle();
  if (arguments.decode && arguments.what.text)
    fail_usage("--decode turns ids into text, and a text was given, too");
  std::vector<std::int32_t> ids;
  std::string text;
  if (arguments.decode) {
    ids = parse_token_list("--decode", *arguments.decode);
  } else {
    text = arguments.what.read_text("lattice tokenize \"Once upon a time\"");
  }
  const std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(model_path(arguments.what.model));
  const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::from(*checkpoint);
  if (arguments.decode) {
    text = tokenizer->decode(ids, true);
    if (arguments.json) {
      print_json({{"text", text}});
    } else {
      print_out("{}\n", is_terminal(Stream::kOut) ? without_controls(text) : text);
    }
    return;
  }
  ids = tokenizer->encode(text, !arguments.plain);
  if (arguments.json) {
    nlohmann::ordered_json pieces = nlohmann::ordered_json::array();
    for (const std::int32_t id : ids) pieces.push_back(tokenizer->token_bytes(id));
    print_json({{"tokens", ids}, {"pieces", std::move(pieces)}});
  } else if (arguments.ids_only) {
    print_out("{}\n", fmt::join(ids, ","));
  } else {
    print_tokens(*tokenizer, ids);
  }
}

}  // namespace

void add_tokenize(CLI::App& program) {
  CLI::App* command = program.add_subcommand("tokenize", "Turn text into token ids, or ids into text");
  command->footer(kTokenizeExamples);
  auto arguments = std::make_shared<TokenizeArguments>();
  arguments->what.add_to(*command, "TEXT", "The text; without it, or for -, standard input");
  CLI::Option* decode =
      add_text(*command, "--decode", arguments->decode, "IDS", "Turn these ids into text: 1,2,3");
  command->add_flag("--plain", arguments->plain, "Take special tokens in the text for plain text")
      ->excludes(decode);
  command->add_flag("--ids", arguments->ids_only, "Print the ids alone, as --tokens takes them")
      ->excludes(decode);
  command->add_flag("--json", arguments->json, "Print JSON: {\"tokens\",\"pieces\"}, or {\"text\"}");
  command->callback([arguments] { tokenize(*arguments); });
}

}  // namespace lattice::cli
