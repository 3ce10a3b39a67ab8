#include <nlohmann/json.hpp>

#include "cli/conversation.h"
#include "support/fail.h"

namespace lattice::cli {
namespace {

class TextConversation final : public Conversation {
 public:
  explicit TextConversation(const Model& model) : model_(model) {}

  Turn turn(const std::string& said) const override {
    Turn turn;
    turn.prompt = tokens_;
    const std::vector<Token> added = model_.encode(joined(said));
    turn.prompt.insert(turn.prompt.end(), added.begin(), added.end());
    if (turn.prompt.empty()) fail_usage("there is no text yet to go on from: write how it begins");
    turn.one_paragraph = true;
    return turn;
  }

  // The tokens are kept as the model drew them, rather than encoded again: so the session has them already.
  void add(const std::string& said, const Generation& reply, const std::string& /*answer*/) override {
    if (reply.finish_reason == FinishReason::kEos) {
      finished_ += text_ + joined(said) + reply.text + "\n\n";
      text_.clear();
      tokens_.clear();
      return;
    }
    tokens_ = turn(said).prompt;
    tokens_.insert(tokens_.end(), reply.tokens.begin(), reply.tokens.end());
    text_ += joined(said) + reply.text;
  }

  void clear() override {
    finished_.clear();
    text_.clear();
    tokens_.clear();
  }

  void set_system(const std::string& /*text*/) override {
    fail_usage("a base model has no system prompt: it only goes on from the text");
  }

  std::string transcript() const override {
    std::string out = finished_ + text_;
    out.erase(out.find_last_not_of('\n') + 1);
    return out.empty() ? out : out + "\n";
  }

  nlohmann::ordered_json json() const override { return {{"text", transcript()}}; }

  std::string greeting() const override {
    return "This is a base model: it does not answer, it goes on from what you write, a paragraph at a time. "
           "Write how a text begins; an empty line lets it write more; /help lists the commands.";
  }

 private:
  /// `said` as it goes on from the text so far.
  [[nodiscard]] std::string joined(const std::string& said) const {
    const bool needs_blank = !said.empty() && !text_.empty() && text_.back() != '\n' && text_.back() != ' ';
    return needs_blank ? " " + said : said;
  }

  Model model_;
  std::string finished_;       // texts that the model has ended
  std::string text_;           // the one that goes on
  std::vector<Token> tokens_;  // of text_
};

}  // namespace

std::unique_ptr<Conversation> make_text_conversation(const Model& model) {
  return std::make_unique<TextConversation>(model);
}

}  // namespace lattice::cli
