#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include <lzma.h>

#include "formats/checkpoint.h"
#include "formats/fixtures.h"
#include "lattice/error.hpp"
#include "text/tokenizer.h"

namespace lattice {

/// shared/tokenizers: beside the source tree, or where LATTICE_SHARED says.
inline std::filesystem::path shared_tokenizers() {
  const char* shared = std::getenv("LATTICE_SHARED");  // NOLINT(concurrency-mt-unsafe)
  const std::filesystem::path root(LATTICE_SOURCE_DIR);
  return (shared != nullptr ? std::filesystem::path(shared) : root.parent_path() / "shared") / "tokenizers";
}

inline std::filesystem::path shipped_tokenizer_json() {
  return std::filesystem::path(LATTICE_SOURCE_DIR) / "models" / "tinystories-qwen35" / "tokenizer.json";
}
inline std::filesystem::path qwen3_tokenizer_json_xz() {
  return shared_tokenizers() / "qwen3" / "tokenizer.json.xz";
}
inline std::filesystem::path qwen35_gguf() {
  return shared_tokenizers() / "qwen35" / "ggml-vocab-qwen35.gguf";
}

inline std::string unpack_xz(const std::filesystem::path& path) {
  const std::string packed = file_contents(path);
  std::string text(std::size_t{32} << 20, '\0');
  std::uint64_t memory = std::uint64_t{1} << 28;
  std::size_t in = 0;
  std::size_t out = 0;
  const lzma_ret result = lzma_stream_buffer_decode(
      &memory, 0, nullptr, reinterpret_cast<const std::uint8_t*>(packed.data()), &in, packed.size(),
      reinterpret_cast<std::uint8_t*>(text.data()), &out, text.size());
  if (result != LZMA_OK) throw Error("cannot unpack " + path.string());
  text.resize(out);
  return text;
}

/// The tokenizer that goes by `name` in tests/data/text/corpus.json, or nullptr where its file is not there.
inline std::unique_ptr<Tokenizer> open_vocabulary(const std::string& name) {
  if (name == "tinystories") return Tokenizer::from_json_file(shipped_tokenizer_json());
  if (name == "qwen35") {
    if (!std::filesystem::exists(qwen35_gguf())) return nullptr;
    return Tokenizer::from_gguf(*Checkpoint::open(qwen35_gguf()));
  }
  if (!std::filesystem::exists(qwen3_tokenizer_json_xz())) return nullptr;
  const TemporaryDirectory directory;
  const auto path = directory.path() / "tokenizer.json";
  write_file(path, unpack_xz(qwen3_tokenizer_json_xz()));
  return Tokenizer::from_json_file(path);
}

}  // namespace lattice
