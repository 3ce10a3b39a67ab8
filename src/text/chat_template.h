#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "lattice/chat.hpp"

namespace lattice {

/// The Jinja text of a chat template and the name of the place that it is from, for messages.
struct ChatTemplateSource {
  std::string jinja;
  std::string origin;
};

/// The checkpoint's template: chat_template.jinja, else tokenizer_config.json's, else GGUF metadata's;
/// nothing where it has none. Throws Error naming file and field for what cannot be read.
[[nodiscard]] std::optional<ChatTemplateSource> find_chat_template(const Checkpoint& checkpoint);

/// In what the templates of the family differ.
struct ChatDialect {
  /// Whether the model thinks where the caller does not say: 4B and larger do, 0.8B and 2B do not.
  bool thinks_by_default = true;
  /// Whether a tool call's numbers, booleans and null are spelled as JSON has them (Qwen3.6: `true`) or as
  /// Python has them (Qwen3.5: `True`).
  bool json_arguments = false;

  bool operator==(const ChatDialect&) const = default;
};

/// Renders a conversation as the model was trained to see it: equal, character for character, to Hugging
/// Face's rendering of the checkpoint's own Jinja template, for the templates that we know.
///
/// As there, texts go into the prompt as they are. A content that spells out "<|im_end|>" ends its turn once
/// the prompt is encoded with special tokens, and one that spells out "<tool_response>" passes for a tool's
/// answer: who takes contents from strangers must refuse or defuse such texts first. Contents are expected in
/// UTF-8; other bytes pass through.
class ChatTemplate {
 public:
  /// Looks at the checkpoint's template (chat_template.jinja, else tokenizer_config.json's, else GGUF
  /// metadata's) and picks the rendering that goes with it. A checkpoint without one gets nothing (a base
  /// model); one that we do not know gets Qwen3.5's, and warning() says so. Throws Error naming file and
  /// field for what cannot be read.
  [[nodiscard]] static std::optional<ChatTemplate> from(const Checkpoint& checkpoint);

  /// The same for a template's text; `origin` names it in the warning.
  [[nodiscard]] static ChatTemplate recognise(std::string_view jinja, const std::string& origin);

  explicit ChatTemplate(ChatDialect dialect, std::string warning = {})
      : dialect_(dialect), warning_(std::move(warning)) {}

  /// The prompt's text. Throws Error(kUsage) with the template's own words for what the template itself
  /// refuses (no user turn, system turn not first, unknown role), and Error naming the field for tools and
  /// arguments that are not JSON objects. Arguments may be empty, which counts as no arguments.
  [[nodiscard]] std::string render(const std::vector<ChatMessage>& messages,
                                   const ChatOptions& options = {}) const;

  /// One sentence for the user when the template in the file is not one that we know; empty otherwise.
  [[nodiscard]] const std::string& warning() const noexcept { return warning_; }
  [[nodiscard]] const ChatDialect& dialect() const noexcept { return dialect_; }
  [[nodiscard]] bool thinks_by_default() const noexcept { return dialect_.thinks_by_default; }

 private:
  ChatDialect dialect_;
  std::string warning_;
};

}  // namespace lattice
