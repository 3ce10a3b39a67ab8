#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/bandwidth.h"
#include "cli/commands.h"
#include "cli/figures.h"
#include "cli/interrupt.h"
#include "cli/model_arguments.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/reply_printer.h"
#include "cli/terminal.h"
#include "cli/weights_format.h"
#include "engine/model_impl.h"
#include "lattice/lattice.hpp"
#include "support/fail.h"

namespace lattice::cli {
namespace {

constexpr const char* kRunExamples =
    R"(A model without a chat template (a base model, such as the one that comes with Lattice) goes on from
PROMPT, which is printed before its text. A chat model answers PROMPT as a user's question, unless --raw.
The last line, on standard error, says how fast it went; MBU is the share of this machine's measured
memory bandwidth that decoding used. What a model's maker recommends for drawing tokens is the default.

Examples:
  lattice run "Once upon a time"
  lattice run --seed 7 --max-tokens 100 "The little dragon"
  lattice run models/Qwen3.5-0.8B "Name three rivers." --system "Answer in one line." --no-think
  lattice run qwen.gguf --greedy --json "Hello" > reply.json
  lattice run qwen.gguf - < question.txt
  lattice run qwen.gguf --draft lookup - < letter-to-correct.txt    a reply that is mostly copied
  lattice run models/Qwen3.5-0.8B --draft mtp "Name three rivers."
  lattice run qwen.gguf --tokens 1,2,3 --max-tokens 8 --greedy    token ids in, token ids out)";

struct RunArguments {
  ModelAndText what;
  ModelArguments model;
  SamplingArguments sampling;
  EndArguments end;
  DraftArguments draft;
  ThinkArguments think;
  TokenArguments tokens;
  std::optional<std::string> system;
  bool raw = false;
  bool no_echo = false;
  bool json = false;
};

/// What the model is given.
struct Prompt {
  std::vector<Token> tokens;
  std::string text;  ///< empty for ids
  enum class Kind { kTokens, kText, kChat } kind = Kind::kText;
};

void check(const RunArguments& arguments) {
  arguments.draft.check();
  if (!arguments.tokens.given()) return;
  if (arguments.what.text) fail_usage("a prompt and --tokens cannot be used together");
  if (!arguments.end.stop.empty())
    fail_usage("--stop is about text, and --tokens about ids: use one of them");
  if (arguments.system || arguments.think.enabled)
    fail_usage("--system, --think and --no-think make a chat prompt, and --tokens is a prompt of its own");
}

Prompt make_prompt(const RunArguments& arguments, const Model& model, const std::string& text) {
  const bool chat = !arguments.raw && model.has_chat_template();
  if (!chat) {
    if (arguments.system || arguments.think.enabled) {
      fail_usage("--system, --think and --no-think are for chat models, and here the text simply goes on: {}",
                 arguments.raw ? "--raw was given" : "this model has no chat template");
    }
    return {model.encode(text), text, Prompt::Kind::kText};
  }
  std::vector<ChatMessage> messages;
  if (arguments.system) messages.push_back({"system", *arguments.system, {}, {}});
  messages.push_back({"user", text, {}, {}});
  ChatOptions options;
  options.enable_thinking = arguments.think.enabled;
  std::string rendered = model.apply_chat_template(messages, options);
  std::vector<Token> tokens = model.encode(rendered);
  return {std::move(tokens), std::move(rendered), Prompt::Kind::kChat};
}

/// Prints a generation as it comes: text, or ids with commas between them.
class StreamPrinter {
 public:
  StreamPrinter(const Prompt& prompt, bool echo) {
    if (prompt.kind == Prompt::Kind::kTokens) return;
    reply_ = prompt.kind == Prompt::Kind::kChat ? ReplyPrinter(prompt.text) : ReplyPrinter();
    if (echo && prompt.kind == Prompt::Kind::kText) reply_->push(prompt.text);
  }

  void push(Token token, std::string_view text) {
    if (reply_) {
      reply_->push(text);
    } else if (token >= 0) {
      print_out("{}{}", std::exchange(separator_, ","), token);
      flush_output();
    }
  }
  void finish() {
    if (reply_) {
      reply_->finish();
    } else {
      print_out("\n");
    }
  }

 private:
  std::optional<ReplyPrinter> reply_;  // none for ids
  const char* separator_ = "";
};

void print_result(const Prompt& prompt, const Generation& generation, const Sampling& sampling,
                  const Figures& figures) {
  nlohmann::ordered_json out;
  if (prompt.kind == Prompt::Kind::kChat) {
    ReasoningSplitter splitter(ends_inside_reasoning(prompt.text));
    ReasoningSplitter::Parts parts = splitter.push(generation.text);
    const ReasoningSplitter::Parts rest = splitter.finish();
    out["text"] = parts.answer + rest.answer;
    out["reasoning"] = parts.reasoning + rest.reasoning;
  } else if (prompt.kind == Prompt::Kind::kText) {
    out["text"] = generation.text;
  }
  out["tokens"] = generation.tokens;
  out["finish_reason"] = finish_reason_name(generation.finish_reason);
  if (!sampling.is_greedy()) out["seed"] = sampling.seed;
  out["figures"] = figures_json(figures);
  print_json(out);
}

void print_figures(const RunArguments& arguments, const Model& model, const Sampling& sampling,
                   const Figures& figures) {
  std::string line = figures_line(figures, measured_bandwidth(arguments.model.threads()),
                                  weights_format(*model.impl().checkpoint));
  if (!sampling.is_greedy()) line += fmt::format(" · seed {}", sampling.seed);
  print_note(dim(Stream::kError, line));
}

void run(RunArguments& arguments) {
  arguments.what.settle();
  check(arguments);
  arguments.draft.apply(arguments.model.options);
  Prompt prompt;
  std::string text;
  if (arguments.tokens.given()) {
    prompt = {arguments.tokens.read(), {}, Prompt::Kind::kTokens};
  } else {
    text = arguments.what.read_text("lattice run \"Once upon a time\"");
  }
  const Model model = arguments.model.load(arguments.what.model);
  const Sampling sampling = arguments.sampling.over(model.default_sampling());
  if (prompt.kind != Prompt::Kind::kTokens) prompt = make_prompt(arguments, model, text);
  Session session(model, arguments.model.context);

  ProgressBar bar(ProgressUnit::kTokens, arguments.model.quiet);
  std::optional<StreamPrinter> printer;
  std::optional<InterruptGuard> guard;
  // The prompt's echo waits for the first token, since the progress bar may have the terminal's line; and
  // until then there is nothing to keep when Ctrl-C ends the program.
  const auto begin_output = [&] {
    if (guard) return;
    bar.finish();
    guard.emplace();
    if (!arguments.json) printer.emplace(prompt, !arguments.no_echo);
  };

  GenerateOptions options;
  options.sampling = sampling;
  options.decode_text = prompt.kind != Prompt::Kind::kTokens;
  options.prefill_progress = bar.callback();
  arguments.end.apply(options);
  arguments.draft.apply(options);
  options.on_token = [&](Token token, std::string_view piece) {
    begin_output();
    if (printer) printer->push(token, piece);
    return !InterruptGuard::interrupted();
  };
  const Generation generation = generate(session, prompt.tokens, options);
  begin_output();
  const Figures figures = Figures::of(model, generation);

  if (printer) printer->finish();
  if (arguments.json) print_result(prompt, generation, sampling, figures);
  if (generation.finish_reason == FinishReason::kContext && !arguments.model.quiet) {
    print_note(
        fmt::format("lattice: the context of {} tokens is full, so the text ends here", session.context()));
  }
  if (!arguments.json && !arguments.model.quiet) print_figures(arguments, model, sampling, figures);
  if (InterruptGuard::interrupted()) {
    flush_output();
    die_of_interrupt();
  }
}

}  // namespace

void add_run(CLI::App& program) {
  CLI::App* command = program.add_subcommand("run", "Write one text: go on from a prompt, or answer it");
  command->footer(kRunExamples);
  auto arguments = std::make_shared<RunArguments>();
  arguments->what.add_to(*command, "PROMPT", "The prompt; without it, or for -, standard input");
  arguments->end.add_to(*command);
  arguments->sampling.add_to(*command);
  arguments->draft.add_to(*command);
  add_text(*command, "--system", arguments->system, "TEXT", "A chat model's system prompt");
  arguments->think.add_to(*command);
  command->add_flag("--raw", arguments->raw, "Let a chat model go on from PROMPT as it stands");
  command->add_flag("--no-echo", arguments->no_echo, "Do not print the prompt before the text that goes on");
  arguments->tokens.add_to(*command);
  arguments->model.add_context_to(*command);
  arguments->model.add_to(*command);
  command->add_flag("--json", arguments->json, "Print one JSON object when all is done");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace lattice::cli
