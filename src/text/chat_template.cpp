#include "text/chat_template.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

#include "support/fail.h"
#include "text/python_text.h"

namespace lattice {
namespace {

// Written after the template's own lines, in their order, so that the two can be read side by side.

constexpr std::string_view kToolsHead = "# Tools\n\nYou have access to the following functions:\n\n<tools>";
constexpr std::string_view kToolsTail =
    "\n</tools>\n\nIf you choose to call a function ONLY reply in the following format with NO suffix:\n\n"
    "<tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>\nvalue_1\n</parameter>\n"
    "<parameter=example_parameter_2>\nThis is the value for the second parameter\nthat can span\nmultiple "
    "lines\n"
    "</parameter>\n</function>\n</tool_call>\n\n<IMPORTANT>\nReminder:\n"
    "- Function calls MUST follow the specified format: an inner <function=...></function> block must be "
    "nested "
    "within <tool_call></tool_call> XML tags\n"
    "- Required parameters MUST be specified\n"
    "- You may provide optional reasoning for your function call in natural language BEFORE the function "
    "call, "
    "but NOT after\n"
    "- If there is no function call available, answer the question like normal with your current knowledge "
    "and "
    "do not tell the user about function calls\n"
    "</IMPORTANT>";

constexpr std::string_view kThinkOpen = "<think>";
constexpr std::string_view kThinkClose = "</think>";

std::string_view strip_newlines_left(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of('\n'), text.size()));
}

std::string_view strip_newlines_right(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\n') + 1);
}

/// What comes before the first `mark`, or all of `text` where there is none.
std::string_view before_first(std::string_view text, std::string_view mark) {
  return text.substr(0, text.find(mark));
}

/// What comes after the last `mark`, or all of `text` where there is none.
std::string_view after_last(std::string_view text, std::string_view mark) {
  const std::size_t at = text.rfind(mark);
  return at == std::string_view::npos ? text : text.substr(at + mark.size());
}

/// An assistant turn, taken apart.
struct Answer {
  std::string_view reasoning;
  std::string_view content;
};

/// The reasoning is the caller's, or what stands between <think> and </think> in the content.
Answer take_apart(const ChatMessage& message) {
  const std::string_view content = python_strip(message.content);
  if (message.reasoning) return {python_strip(*message.reasoning), content};
  if (content.find(kThinkClose) == std::string_view::npos) return {{}, content};
  const std::string_view thought = strip_newlines_right(before_first(content, kThinkClose));
  return {python_strip(strip_newlines_left(after_last(thought, kThinkOpen))),
          strip_newlines_left(after_last(content, kThinkClose))};
}

/// Whether a turn asks something: a user turn that is wholly a tool's response does not.
bool is_query(const ChatMessage& message) {
  if (message.role != "user") return false;
  const std::string_view content = python_strip(message.content);
  return !(content.starts_with("<tool_response>") && content.ends_with("</tool_response>"));
}

/// The index of the last turn that asks something.
std::size_t last_query(const std::vector<ChatMessage>& messages) {
  const auto found = std::find_if(messages.rbegin(), messages.rend(), is_query);
  if (found == messages.rend()) fail_usage("No user query found in messages.");
  return static_cast<std::size_t>(messages.rend() - found) - 1;
}

/// Puts the prompt together, turn by turn.
class Rendering {
 public:
  Rendering(const std::vector<ChatMessage>& messages, const ChatDialect& dialect)
      : messages_(messages), dialect_(dialect) {}

  [[nodiscard]] std::string take() { return std::move(out_); }

  void add_system(const std::vector<std::string>& tools) {
    const ChatMessage& first = messages_.front();
    const bool has_system = first.role == "system";
    if (tools.empty()) {
      if (has_system) add("<|im_start|>system\n", python_strip(first.content), "<|im_end|>\n");
      return;
    }
    add("<|im_start|>system\n", kToolsHead);
    for (std::size_t i = 0; i < tools.size(); ++i) {
      add("\n", python_json_object(tools[i], fmt::format("tools[{}]", i)));
    }
    add(kToolsTail);
    if (has_system) {
      const std::string_view content = python_strip(first.content);
      if (!content.empty()) add("\n\n", content);
    }
    add("<|im_end|>\n");
  }

  void add_turns() {
    const std::size_t query = last_query(messages_);
    for (std::size_t i = 0; i < messages_.size(); ++i) {
      const std::string& role = messages_[i].role;
      if (role == "system") {
        if (i != 0) fail_usage("System message must be at the beginning.");
      } else if (role == "user") {
        add("<|im_start|>user\n", python_strip(messages_[i].content), "<|im_end|>\n");
      } else if (role == "assistant") {
        add_assistant(i, i > query);
      } else if (role == "tool") {
        add_tool(i);
      } else {
        fail_usage("Unexpected message role.");
      }
    }
  }

  void add_generation_prompt(bool thinks) {
    add("<|im_start|>assistant\n", thinks ? "<think>\n" : "<think>\n\n</think>\n\n");
  }

 private:
  template <typename... Pieces>
  void add(const Pieces&... pieces) {
    (out_.append(pieces), ...);
  }

  void add_assistant(std::size_t index, bool with_reasoning) {
    const ChatMessage& message = messages_[index];
    const Answer answer = take_apart(message);
    add("<|im_start|>assistant\n");
    if (with_reasoning) add("<think>\n", answer.reasoning, "\n</think>\n\n");
    add(answer.content);
    for (std::size_t call = 0; call < message.tool_calls.size(); ++call) {
      if (call != 0) {
        add("\n");
      } else if (!python_strip(answer.content).empty()) {
        add("\n\n");
      }
      add_tool_call(message.tool_calls[call],
                    fmt::format("messages[{}].tool_calls[{}].arguments", index, call));
    }
    add("<|im_end|>\n");
  }

  void add_tool_call(const ToolCall& call, const std::string& field) {
    add("<tool_call>\n<function=", call.name, ">\n");
    if (!call.arguments.empty()) {
      const ItemForm form = dialect_.json_arguments ? ItemForm::kJson : ItemForm::kStr;
      for (const PythonItem& argument : python_items(call.arguments, field, form)) {
        add("<parameter=", argument.key, ">\n", argument.value, "\n</parameter>\n");
      }
    }
    add("</function>\n</tool_call>");
  }

  /// Results that follow each other share one user turn. (The very first turn of a conversation gets no
  /// opening: so has the template, which asks for a turn before it.)
  void add_tool(std::size_t index) {
    if (index != 0 && messages_[index - 1].role != "tool") add("<|im_start|>user");
    add("\n<tool_response>\n", python_strip(messages_[index].content), "\n</tool_response>");
    const bool is_last = index + 1 == messages_.size();
    if (is_last || messages_[index + 1].role != "tool") add("<|im_end|>\n");
  }

  const std::vector<ChatMessage>& messages_;
  const ChatDialect& dialect_;
  std::string out_;
};

}  // namespace

std::string ChatTemplate::render(const std::vector<ChatMessage>& messages, const ChatOptions& options) const {
  if (messages.empty()) fail_usage("No messages provided.");
  Rendering rendering(messages, dialect_);
  rendering.add_system(options.tools);
  rendering.add_turns();
  if (options.add_generation_prompt) {
    rendering.add_generation_prompt(options.enable_thinking.value_or(dialect_.thinks_by_default));
  }
  return rendering.take();
}

}  // namespace lattice
