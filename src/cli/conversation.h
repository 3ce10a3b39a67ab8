#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lattice/chat.hpp"
#include "lattice/generate.hpp"
#include "lattice/model.hpp"

namespace lattice::cli {

/// What the model is to go on from.
struct Turn {
  std::vector<Token> prompt;
  /// How many tokens at the beginning of `prompt` the next turn's prompt is sure to begin with as well,
  /// whatever becomes of the reply: where a snapshot of the session is worth taking. 0: all, when the reply
  /// is kept as it is.
  std::size_t lasting = 0;
  std::string rendered;        ///< the prompt's text, where a chat template made it
  bool one_paragraph = false;  ///< the reply ends with the first paragraph
};

/// What was said so far, and how it is put to the model.
class Conversation {
 public:
  virtual ~Conversation() = default;
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  /// What to do with `said`. Nothing is added to the conversation yet.
  [[nodiscard]] virtual Turn turn(const std::string& said) const = 0;
  /// Adds `said` and the reply to it. `answer` is the reply without its thinking, where a chat template made
  /// the prompt.
  virtual void add(const std::string& said, const Generation& reply, const std::string& answer) = 0;
  /// Forgets what was said, and keeps the system prompt.
  virtual void clear() = 0;
  /// Throws Error(kUsage) where there is no such thing.
  virtual void set_system(const std::string& text) = 0;
  /// Everything so far, for people; empty where nothing was said.
  [[nodiscard]] virtual std::string transcript() const = 0;
  /// The same for machines: an array of messages, or the text.
  [[nodiscard]] virtual nlohmann::ordered_json json() const = 0;
  /// One sentence for the beginning.
  [[nodiscard]] virtual std::string greeting() const = 0;

 protected:
  Conversation() = default;
};

/// Turns of user and assistant, for a model with a chat template. Thinking is not kept.
[[nodiscard]] std::unique_ptr<Conversation> make_chat_conversation(const Model& model,
                                                                   const ChatOptions& options);

/// One text that user and model write in turns, for a base model.
[[nodiscard]] std::unique_ptr<Conversation> make_text_conversation(const Model& model);

}  // namespace lattice::cli
