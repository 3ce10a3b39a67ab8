#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "quant/dtype.h"
#include "support/progress.h"
#include "support/thread_pool.h"

namespace lattice {

struct ConvertOptions {
  DType type = DType::kQ8_0;  ///< of the matrices: kQ8_0, kQ4_0, kBF16, kF16 or kF32
  /// Of the output head (the embedding, where the model uses it as its head); nothing: `type`.
  std::optional<DType> head_type = std::nullopt;
  int threads = usable_processors();
  Progress progress = nullptr;  ///< bytes written
};

/// What was written.
struct ConvertReport {
  std::int64_t tensors = 0;
  std::int64_t tensor_bytes = 0;
  std::vector<std::string> warnings;  ///< one sentence each, for the user
};

/// Writes `checkpoint`, of whatever format, as one GGUF file of version 3 that llama.cpp and the programs
/// built on it read: the text decoder, its head that guesses ahead (MTP) where it has one, the tokenizer and
/// the chat template; no vision encoder. Metadata that a GGUF checkpoint has beside those that describe the
/// decoder are kept. Memory stays bounded whatever the model's size, and `out` appears when it is complete.
///
/// Throws Error naming file and field for a checkpoint that does not hold together, a value that is not
/// finite or does not fit the type, and an `out` that cannot be written; Error(kUsage) for a type that cannot
/// be written and an `out` that is one of the checkpoint's own files.
ConvertReport convert_to_gguf(const Checkpoint& checkpoint, const std::filesystem::path& out,
                              const ConvertOptions& options = {});

}  // namespace lattice
