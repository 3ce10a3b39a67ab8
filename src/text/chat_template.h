#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "lattice/chat.hpp"

namespace lattice {

/// Renders a conversation as the model was trained to see it: equal, character for character, to Hugging
/// Face's rendering of the checkpoint's own Jinja template, for the templates that we know.
class ChatTemplate {
 public:
  /// Looks at the checkpoint's template (chat_template.jinja, tokenizer_config.json or GGUF metadata) and
  /// picks the rendering that goes with it. A checkpoint without one gets nothing (a base model); one that we
  /// do not know gets Qwen3.5's, and warning() says so.
  [[nodiscard]] static std::optional<ChatTemplate> from(const Checkpoint& checkpoint);

  /// The prompt's text. Throws Error(kUsage) for what the template itself refuses (no user turn, system turn
  /// not first, unknown role).
  [[nodiscard]] std::string render(const std::vector<ChatMessage>& messages,
                                   const ChatOptions& options = {}) const;

  /// One sentence for the user when the template in the file is not one that we know; empty otherwise.
  [[nodiscard]] const std::string& warning() const noexcept { return warning_; }
  [[nodiscard]] bool thinks_by_default() const noexcept { return thinks_by_default_; }

  /// Qwen3.5's own template; `thinks_by_default` is true for 4B and larger, false for 0.8B and 2B.
  explicit ChatTemplate(bool thinks_by_default, std::string warning = {})
      : thinks_by_default_(thinks_by_default), warning_(std::move(warning)) {}

 private:
  bool thinks_by_default_;
  std::string warning_;
};

}  // namespace lattice
