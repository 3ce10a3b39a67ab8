#pragma once

#include <optional>
#include <string>
#include <vector>

namespace lattice {

/// A call of a tool that an assistant turn makes.
struct ToolCall {
  std::string name;
  std::string arguments;  ///< a JSON object, as text; the order of its members is kept. Empty: none
};

/// One turn of a conversation. Its texts go into the prompt as they are, special tokens that they spell out
/// included, as in Hugging Face's rendering: a content from a stranger may hold "<|im_end|>".
struct ChatMessage {
  std::string role;  ///< system, user, assistant or tool
  std::string content;
  std::optional<std::string> reasoning;  ///< an assistant turn's thinking, where the caller keeps it apart
  std::vector<ToolCall> tool_calls;
};

struct ChatOptions {
  bool add_generation_prompt = true;
  std::optional<bool> enable_thinking;  ///< nothing: the template's own default
  std::vector<std::string> tools;       ///< JSON objects, as text: OpenAI's function declarations
};

}  // namespace lattice
