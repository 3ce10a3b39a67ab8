#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lattice/chat.hpp"
#include "lattice/export.h"
#include "lattice/sampling.hpp"

namespace lattice {

using Token = std::int32_t;

/// Called by anything that can take more than a second: `done` of `total` units of the work called `what`.
/// Called from one thread; empty means that nobody watches.
using ProgressCallback = std::function<void(std::string_view what, std::int64_t done, std::int64_t total)>;

/// How keys and values of the full-attention layers are kept. Binary16 halves what a long context costs, and
/// moves the logits by about 1e-2. A key or value beyond its 65504 becomes no number, and so do the logits:
/// whoever draws from them throws.
enum class KvPrecision : std::uint8_t { kF32, kF16 };

struct LoadOptions {
  std::string device = "auto";  ///< a name that devices() lists, or "auto": the first of them
  int threads = 0;              ///< of the CPU; 0: one for every core that the process may use
  bool pin_threads = false;     ///< keep all of them but the caller each on one processor; Linux alone
  bool exact = false;  ///< keep activations, and keys and values unless `kv` says otherwise, in float
  std::optional<KvPrecision> kv;  ///< without one: f32 with `exact` and on the reference device, else f16
  bool mtp = false;  ///< load the checkpoint's own head that guesses ahead as well, where it has one, for
                     ///< Draft::kMtp: its weights, and keys and values of one more layer a session
  ProgressCallback progress;
};

struct Device {
  std::string name;         ///< what --device and LoadOptions::device take: "cpu", "reference", …
  std::string description;  ///< for people
};

/// What this machine can run a model on, the fastest first.
[[nodiscard]] LATTICE_API std::vector<Device> devices();
/// What it could run a model on and cannot as it is: a description says what is missing.
[[nodiscard]] LATTICE_API std::vector<Device> absent_devices();

/// A checkpoint, ready to run: weights on a device, tokenizer, chat template and defaults. Cheap to copy:
/// copies share one model. Sessions of one model may live on several threads, but steps of the same model are
/// taken one at a time.
class LATTICE_API Model {
 public:
  /// Opens a Hugging Face directory, an MLX-quantised directory or a .gguf file. Throws Error with one
  /// sentence that names the file and the field for anything that does not hold together, and
  /// Error(kUsage) for a device that this machine does not have.
  [[nodiscard]] static Model load(const std::filesystem::path& path, const LoadOptions& options = {});

  [[nodiscard]] const std::filesystem::path& path() const noexcept;
  /// "cpu (avx2, 2 threads)": for people.
  [[nodiscard]] std::string device() const;
  [[nodiscard]] std::int64_t vocab_size() const noexcept;
  /// The longest context that the model was made for, in tokens.
  [[nodiscard]] std::int64_t max_context() const noexcept;
  /// Generation ends with any of these. Config, generation config and, for chat models, <|im_end|>.
  [[nodiscard]] std::span<const Token> eos_tokens() const noexcept;
  /// What the checkpoint's generation_config.json (or GGUF metadata) recommends; greedy where it says
  /// nothing.
  [[nodiscard]] const Sampling& default_sampling() const noexcept;

  /// Bytes that decoding one token at position `context` reads and writes: weights, recurrent state read and
  /// written, keys and values. The numerator of MBU: weights count as the checkpoint stores them.
  [[nodiscard]] std::int64_t bytes_per_token(std::int64_t context) const noexcept;

  /// Text → ids; special tokens that the text spells out ("<|im_end|>") become their ids where
  /// `parse_special`. Any bytes are taken: those that are not UTF-8 count as U+FFFD. The tokenizer is read
  /// when it is first needed; throws Error where the checkpoint has none that can be used.
  [[nodiscard]] std::vector<Token> encode(std::string_view text, bool parse_special = true) const;
  /// Ids → text. Special tokens are left out unless asked for.
  [[nodiscard]] std::string decode(std::span<const Token> ids, bool with_special = false) const;

  [[nodiscard]] bool has_chat_template() const;
  /// The conversation as the model was trained to see it. Throws Error where the model has no chat template,
  /// and Error(kUsage) for what the template refuses (no user turn, an unknown role).
  [[nodiscard]] std::string apply_chat_template(const std::vector<ChatMessage>& messages,
                                                const ChatOptions& options = {}) const;
  /// Sentences for the user about what was assumed, such as an unknown chat template. Usually none.
  [[nodiscard]] std::vector<std::string> warnings() const;

  /// Not for users of the library: what the layers above share.
  struct Impl;
  [[nodiscard]] Impl& impl() const noexcept { return *impl_; }

 private:
  explicit Model(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

/// Where the model that comes with Lattice is: beside the program, where it was installed, or in the source
/// tree. Throws Error naming the places where it was looked for.
[[nodiscard]] LATTICE_API std::filesystem::path shipped_model_path();

}  // namespace lattice
