#include <memory>
#include <optional>
#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/conversation.h"
#include "cli/figures.h"
#include "cli/interrupt.h"
#include "cli/line_reader.h"
#include "cli/model_arguments.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/reply_printer.h"
#include "cli/terminal.h"
#include "formats/output_file.h"
#include "lattice/lattice.hpp"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice::cli {
namespace {

constexpr const char* kChatExamples = R"(In the conversation:
  /help              list these commands
  /reset             forget what was said; the system prompt stays
  /system TEXT       set the system prompt; without TEXT, remove it
  /save FILE         write the conversation to FILE: as JSON where its name ends in .json, else as text
  /exit              leave (Ctrl-D does, too)
A line that ends in \ goes on in the next. Ctrl-C stops a reply; at an empty prompt, twice, it leaves.

Examples:
  lattice chat models/Qwen3.5-0.8B
  lattice chat qwen.gguf --system "You are a patient teacher." --think
  lattice chat                                  write a story in turns with the model that comes with Lattice
  printf 'Hello\n/save talk.json\n' | lattice chat qwen.gguf)";

struct ChatArguments {
  std::optional<std::filesystem::path> model_path;
  ModelArguments model;
  SamplingArguments sampling;
  EndArguments end;
  DraftArguments draft;
  ThinkArguments think;
  std::optional<std::string> system;
};

/// Thrown out of the library by a callback when Ctrl-C came while the prompt was taken in.
struct StoppedByUser {};

class Chat {
 public:
  explicit Chat(const ChatArguments& arguments)
      : arguments_(arguments),
        model_(arguments.model.load(arguments.model_path)),
        sampling_(arguments.sampling.over(model_.default_sampling())),
        session_(model_, arguments.model.context),
        conversation_(new_conversation(model_, arguments.think)) {
    if (arguments.system) conversation_->set_system(*arguments.system);
  }

  /// Until the user leaves.
  void run();

 private:
  static std::unique_ptr<Conversation> new_conversation(const Model& model, const ThinkArguments& think);

  /// The next thing that the user says, of one or several lines; nothing at the end.
  std::optional<std::string> listen();
  /// False where the user wants to leave.
  bool obey(std::string_view command);
  void save(const std::string& file) const;
  void reply_to(const std::string& said);
  Generation generate_reply(const Turn& turn, ReplyPrinter& printer);
  void note(std::string_view line) const;

  const ChatArguments& arguments_;
  Model model_;
  Sampling sampling_;
  Session session_;
  std::unique_ptr<Conversation> conversation_;
  InterruptGuard guard_;
  LineReader reader_;
};

std::unique_ptr<Conversation> Chat::new_conversation(const Model& model, const ThinkArguments& think) {
  if (!model.has_chat_template()) {
    if (think.enabled)
      fail_usage("--think and --no-think are for chat models, and this model has no chat template");
    return make_text_conversation(model);
  }
  ChatOptions options;
  options.enable_thinking = think.enabled;
  return make_chat_conversation(model, options);
}

void Chat::run() {
  if (!arguments_.model.quiet) note(conversation_->greeting());
  while (const std::optional<std::string> said = listen()) {
    try {
      if (said->starts_with('/')) {
        if (!obey(*said)) return;
      } else {
        reply_to(*said);
      }
    } catch (const Error& error) {
      // One thing that cannot be done is no reason to lose the conversation.
      print_note(fmt::format("lattice: {}", without_controls(error.what())));
    }
  }
}

std::optional<std::string> Chat::listen() {
  std::string said;
  std::string line;
  int interrupts = 0;  // one after the other, at an empty prompt
  bool goes_on = false;
  while (true) {
    const LineReader::Outcome outcome = reader_.read(goes_on ? "… " : "> ", line);
    if (outcome == LineReader::Outcome::kEnd) {
      if (reader_.is_interactive()) print_text("\n");
      return std::nullopt;
    }
    if (outcome == LineReader::Outcome::kInterrupted) {
      interrupts = reader_.was_empty() && !goes_on ? interrupts + 1 : 0;
      if (interrupts == 2) return std::nullopt;
      if (interrupts == 1) note("Ctrl-C once more leaves, as Ctrl-D does.");
      said.clear();
      goes_on = false;
      continue;
    }
    interrupts = 0;
    goes_on = line.ends_with('\\');
    if (goes_on) line.back() = '\n';
    said += line;
    if (!goes_on) return said;
  }
}

bool Chat::obey(std::string_view command) {
  const std::size_t blank = std::min(command.find(' '), command.size());
  const std::string_view name = command.substr(0, blank);
  const std::size_t begin = std::min(command.find_first_not_of(' ', blank), command.size());
  const std::string rest(command.substr(begin));
  if (name == "/exit") return false;
  if (name == "/help") {
    print_text(std::string(kChatExamples).substr(0, std::string_view(kChatExamples).find("\n\nExamples:")) +
               "\n");
  } else if (name == "/reset") {
    conversation_->clear();
    session_.reset();
    note("The conversation begins anew.");
  } else if (name == "/system") {
    conversation_->set_system(rest);
    note(rest.empty() ? "There is no system prompt now." : "The system prompt is set.");
  } else if (name == "/save") {
    save(rest);
  } else {
    fail_usage("there is no command {}; /help lists them", printable(name));
  }
  return true;
}

void Chat::save(const std::string& file) const {
  if (file.empty()) fail_usage("/save needs the name of a file");
  const std::string text =
      std::filesystem::path(file).extension() == ".json"
          ? conversation_->json().dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
          : conversation_->transcript();
  OutputFile out(file);
  out.write(std::as_bytes(std::span(text)));
  out.commit();
  note(fmt::format("The conversation is in {}.", printable(file, 200)));
}

void Chat::reply_to(const std::string& said) {
  InterruptGuard::clear();
  const Turn turn = conversation_->turn(said);
  ReplyPrinter printer = turn.rendered.empty() ? ReplyPrinter() : ReplyPrinter(turn.rendered);
  try {
    const Generation generation = generate_reply(turn, printer);
    printer.finish();
    if (!generation.tokens.empty()) conversation_->add(said, generation, printer.answer());
    if (generation.finish_reason == FinishReason::kContext) {
      note(fmt::format(
          "The context of {} tokens is full: /reset begins anew, and a larger --context takes more.",
          session_.context()));
    } else if (turn.one_paragraph && generation.finish_reason == FinishReason::kEos) {
      note("The text ends here; what you write next begins a new one.");
    }
    if (reader_.is_interactive() && !arguments_.model.quiet)
      note(figures_line(Figures::of(model_, generation), std::nullopt, {}));
  } catch (const StoppedByUser&) {
    note("Stopped before the reply began.");
  }
}

Generation Chat::generate_reply(const Turn& turn, ReplyPrinter& printer) {
  ProgressBar bar(ProgressUnit::kTokens, arguments_.model.quiet);
  const ProgressCallback show = bar.callback();
  const ProgressCallback progress = [&](std::string_view what, std::int64_t done, std::int64_t total) {
    if (InterruptGuard::interrupted()) throw StoppedByUser{};
    if (show) show(what, done, total);
  };
  if (turn.lasting > 0 && turn.lasting < turn.prompt.size()) {
    session_.sync(std::span(turn.prompt).first(turn.lasting), progress);
    session_.take_snapshot();
  }
  std::string paragraph;  // without blanks before it
  GenerateOptions options;
  options.sampling = sampling_;
  options.prefill_progress = progress;
  arguments_.end.apply(options);
  arguments_.draft.apply(options);
  options.on_token = [&](Token, std::string_view text) {
    bar.finish();
    printer.push(text);
    if (turn.one_paragraph) {
      if (paragraph.empty()) text.remove_prefix(std::min(text.find_first_not_of(" \n"), text.size()));
      paragraph += text;
      if (paragraph.ends_with("\n\n")) return false;
    }
    return !InterruptGuard::interrupted();
  };
  return generate(session_, turn.prompt, options);
}

/// A line that is not part of the conversation.
void Chat::note(std::string_view line) const {
  print_note(dim(Stream::kError, line));
}

}  // namespace

void add_chat(CLI::App& program) {
  CLI::App* command = program.add_subcommand("chat", "Talk with a model; with a base model, write in turns");
  command->footer(kChatExamples);
  auto arguments = std::make_shared<ChatArguments>();
  add_text(*command, "MODEL", arguments->model_path, "",
           "A model's directory or .gguf file; without it, the model that comes with Lattice");
  add_text(*command, "--system", arguments->system, "TEXT", "The system prompt");
  arguments->think.add_to(*command);
  arguments->end.add_to(*command);
  arguments->draft.add_to(*command);
  arguments->sampling.add_to(*command);
  arguments->model.add_context_to(*command);
  arguments->model.add_to(*command);
  command->callback([arguments] {
    arguments->draft.check();
    arguments->draft.apply(arguments->model.options);
    Chat(*arguments).run();
  });
}

}  // namespace lattice::cli
