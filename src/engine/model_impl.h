#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "engine/text_assets.h"
#include "formats/checkpoint.h"
#include "lattice/model.hpp"
#include "model/backend.h"
#include "model/weights.h"

namespace lattice {

/// What the copies of a Model share. Everything but the backend is constant after loading (what is read
/// lazily locks for itself), and the backend computes in with_backend() alone.
struct Model::Impl {
  Impl(const std::filesystem::path& path, const LoadOptions& options);

  /// Calls `use` with the backend, one caller at a time: a backend has one workspace.
  template <typename Use>
  auto with_backend(Use use) {
    const std::lock_guard lock(backend_mutex_);
    return use(*backend);
  }

  /// Ids that end a text, ascending. Reads the tokenizer of a chat model when it is first called.
  [[nodiscard]] std::span<const Token> eos_tokens() const noexcept;

  std::filesystem::path path;
  std::unique_ptr<Checkpoint> checkpoint;
  Config config;
  Weights weights;               ///< empty where the backend has copies of its own
  bool has_mtp_tensors = false;  ///< whether the checkpoint has a head that guesses ahead
  std::int64_t weight_bytes_per_token = 0;
  std::int64_t kv_element_bytes = 0;
  Sampling default_sampling;
  std::unique_ptr<Backend> backend;
  TextAssets text;

 private:
  std::mutex backend_mutex_;
  mutable std::once_flag eos_once_;
  mutable std::vector<Token> eos_;
};

}  // namespace lattice
