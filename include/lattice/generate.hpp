#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lattice/export.h"
#include "lattice/sampling.hpp"
#include "lattice/session.hpp"

namespace lattice {

enum class FinishReason : std::uint8_t {
  kEos,        ///< the model ended its text
  kStop,       ///< a stop string
  kLength,     ///< max_tokens
  kContext,    ///< the session's context is full
  kCancelled,  ///< the callback said so
};
/// "eos", "stop", "length", "context", "cancelled".
[[nodiscard]] LATTICE_API std::string_view finish_reason_name(FinishReason reason) noexcept;

/// How tokens are guessed ahead of the model, which then checks several in one pass over its weights. The
/// text is the same, bit for bit, whatever is guessed; only its pace is not.
enum class Draft : std::uint8_t {
  kNone,    ///< a token a pass
  kLookup,  ///< what followed the same tokens earlier in the text: for texts that quote or repeat
  kMtp,     ///< what the checkpoint's own head for it says (multi-token prediction); needs LoadOptions::mtp
  kAuto,    ///< kMtp where the model has its head loaded, else kLookup
};
/// "none", "lookup", "mtp", "auto".
[[nodiscard]] LATTICE_API std::string_view draft_name(Draft draft) noexcept;

/// Called for every token as it comes. `text` is what the token adds to the text, whole characters only and
/// nothing that may still turn out to be part of a stop string: often empty for one token and longer for the
/// next; the last call has the id −1 and what was held back. False ends the generation, and no call follows.
using TokenCallback = std::function<bool(Token token, std::string_view text)>;

struct GenerateOptions {
  Sampling sampling;
  std::int64_t max_tokens = 0;        ///< 0: as many as the context has room for
  std::vector<std::string> stop;      ///< the text ends before the first of these; needs a tokenizer
  bool ignore_eos = false;            ///< go on past the end of the text: for measuring
  bool decode_text = true;            ///< false: ids only, any that the model has; no tokenizer is needed
  bool with_special = false;          ///< whether special tokens show in the text
  Draft draft = Draft::kNone;         ///< needs a device that takes guesses back: cpu
  std::int64_t draft_tokens = 0;      ///< guesses a pass, at most; 0: as many as suit device and draft
  ProgressCallback prefill_progress;  ///< tokens of the prompt
  TokenCallback on_token;
};

struct Generation {
  std::vector<Token> tokens;  ///< without the end-of-text token; with the one that completed a stop string
  std::string text;
  FinishReason finish_reason = FinishReason::kEos;

  std::int64_t prompt_tokens = 0;
  std::int64_t reused_tokens = 0;  ///< of the prompt, which the session held already
  double prefill_seconds = 0;      ///< until the prompt's logits were there
  double first_token_seconds = 0;  ///< from the call until the first token was given to the callback
  double decode_seconds = 0;       ///< of all forward passes and draws after the first token's
  std::int64_t decode_steps = 0;   ///< forward passes in decode_seconds
  std::int64_t decode_tokens =
      0;  ///< tokens that were drawn in them: more than passes where guesses came true
  std::int64_t drafted_tokens = 0;   ///< guesses that the passes checked
  std::int64_t accepted_tokens = 0;  ///< of these, those that came true
};

/// Brings `session` to `prompt` (Session::sync) and lets the model go on. Throws Error(kUsage) for an empty
/// prompt, one that does not fit the context, and options out of range.
LATTICE_API Generation generate(Session& session, std::span<const Token> prompt,
                                const GenerateOptions& options = {});

}  // namespace lattice
