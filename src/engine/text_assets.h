#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "formats/checkpoint.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace lattice {

/// A checkpoint's tokenizer and chat template, each read when it is first asked for: a program that works
/// with ids alone never waits for them, and needs none. Safe to use from several threads.
class TextAssets {
 public:
  /// `checkpoint` must outlive this.
  TextAssets(const Checkpoint& checkpoint, std::int64_t vocab_size)
      : checkpoint_(checkpoint), vocab_size_(vocab_size) {}

  /// Throws Error, at every call, where the checkpoint has no tokenizer that can be used.
  [[nodiscard]] const Tokenizer& tokenizer() const;
  /// Nullptr where the checkpoint has no chat template.
  [[nodiscard]] const ChatTemplate* chat_template() const;

 private:
  const Checkpoint& checkpoint_;
  std::int64_t vocab_size_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<const Tokenizer> tokenizer_;
  mutable bool template_is_read_ = false;
  mutable std::optional<ChatTemplate> template_;
};

}  // namespace lattice
