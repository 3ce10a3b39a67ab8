#include "engine/text_assets.h"

#include "support/fail.h"

namespace lattice {

const Tokenizer& TextAssets::tokenizer() const {
  const std::lock_guard lock(mutex_);
  if (tokenizer_ == nullptr) {
    std::unique_ptr<const Tokenizer> read = Tokenizer::from(checkpoint_);
    if (read->size() > vocab_size_) {
      fail("{}: the tokenizer has {} tokens and the model only {}: they do not belong together",
           checkpoint_.path().string(), read->size(), vocab_size_);
    }
    tokenizer_ = std::move(read);
  }
  return *tokenizer_;
}

const ChatTemplate* TextAssets::chat_template() const {
  const std::lock_guard lock(mutex_);
  if (!template_is_read_) {
    template_ = ChatTemplate::from(checkpoint_);
    template_is_read_ = true;
  }
  return template_ ? &*template_ : nullptr;
}

}  // namespace lattice
