#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lattice/export.h"
#include "lattice/model.hpp"

namespace lattice {

/// One sequence of tokens and what the model remembers of it: keys and values, recurrent state. Moves, does
/// not copy. Keeps its model alive.
class LATTICE_API Session {
 public:
  /// Room for `context` tokens; 0: the model's longest context. Memory is taken as the context fills, not
  /// before. Throws Error(kUsage) where the model does not go so far.
  explicit Session(const Model& model, std::int64_t context = 0);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  [[nodiscard]] const Model& model() const noexcept;
  /// Tokens that fit.
  [[nodiscard]] std::int64_t context() const noexcept;
  /// The tokens fed so far.
  [[nodiscard]] const std::vector<Token>& tokens() const noexcept;
  [[nodiscard]] std::int64_t position() const noexcept;

  /// Feeds `tokens` (at least one) and computes the logits that follow the last of them. Throws Error(kUsage)
  /// where they do not fit the context or an id is out of range; the session is then unchanged.
  void feed(std::span<const Token> tokens, const ProgressCallback& progress = {});
  void feed(Token token) { feed({&token, 1}); }

  /// Makes the session hold exactly `tokens`: feeds only what is new where the session holds a beginning of
  /// them or has a snapshot of one, and starts afresh otherwise, since recurrent state cannot be rolled back.
  /// Returns how many tokens were reused.
  std::int64_t sync(std::span<const Token> tokens, const ProgressCallback& progress = {});
  /// Remembers the present position, for sync() to come back to. One snapshot is kept: the newest.
  void take_snapshot();

  /// The logits of the next token, [vocab_size]. Valid until the next call that feeds. Throws Error(kUsage)
  /// where nothing has been fed.
  [[nodiscard]] std::span<const float> logits() const;

  /// Forgets all tokens and the snapshot.
  void reset();

  /// Not for users of the library: what the layers above share.
  struct Impl;
  [[nodiscard]] Impl& impl() const noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace lattice
