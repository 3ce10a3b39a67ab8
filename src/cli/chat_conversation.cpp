#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/conversation.h"

namespace lattice::cli {
namespace {

class ChatConversation final : public Conversation {
 public:
  ChatConversation(const Model& model, const ChatOptions& options) : model_(model), options_(options) {}

  Turn turn(const std::string& said) const override {
    std::vector<ChatMessage> messages = messages_;
    messages.push_back({"user", said, {}, {}});
    Turn turn;
    turn.rendered = model_.apply_chat_template(messages, options_);
    turn.prompt = model_.encode(turn.rendered);
    // The reply comes back without its thinking, so the next prompt agrees with this one up to where the
    // reply's turn begins.
    ChatOptions history = options_;
    history.add_generation_prompt = false;
    const std::vector<Token> lasting = model_.encode(model_.apply_chat_template(messages, history));
    const bool is_prefix = lasting.size() <= turn.prompt.size() &&
                           std::equal(lasting.begin(), lasting.end(), turn.prompt.begin());
    if (is_prefix) turn.lasting = lasting.size();
    return turn;
  }

  void add(const std::string& said, const Generation& /*reply*/, const std::string& answer) override {
    messages_.push_back({"user", said, {}, {}});
    messages_.push_back({"assistant", answer, {}, {}});
  }

  void clear() override {
    std::erase_if(messages_, [](const ChatMessage& message) { return message.role != "system"; });
  }

  void set_system(const std::string& text) override {
    std::erase_if(messages_, [](const ChatMessage& message) { return message.role == "system"; });
    if (!text.empty()) messages_.insert(messages_.begin(), {"system", text, {}, {}});
  }

  std::string transcript() const override {
    std::string out;
    for (const ChatMessage& message : messages_) {
      out += fmt::format("{}{}:\n{}\n", out.empty() ? "" : "\n", message.role, message.content);
    }
    return out;
  }

  nlohmann::ordered_json json() const override {
    nlohmann::ordered_json out = nlohmann::ordered_json::array();
    for (const ChatMessage& message : messages_) {
      out.push_back({{"role", message.role}, {"content", message.content}});
    }
    return {{"messages", std::move(out)}};
  }

  std::string greeting() const override { return "Ask away. /help lists the commands; Ctrl-D leaves."; }

 private:
  Model model_;
  ChatOptions options_;
  std::vector<ChatMessage> messages_;
};

}  // namespace

std::unique_ptr<Conversation> make_chat_conversation(const Model& model, const ChatOptions& options) {
  return std::make_unique<ChatConversation>(model, options);
}

}  // namespace lattice::cli
