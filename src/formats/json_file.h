#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

#include <nlohmann/json.hpp>

namespace lattice {

/// What a JSON text may grow to. The defaults hold the largest tokenizer.json in use several times over, and
/// bound the memory that a hostile text can make the parser take.
struct JsonLimits {
  std::size_t max_bytes = std::size_t{256} << 20;
  std::size_t max_values = std::size_t{4} << 20;  ///< objects, arrays and scalars together
  std::size_t max_depth = 64;                     ///< of nested objects and arrays
};

/// Parses `text`, which `file` names in messages. Throws Error with line and column for what is not JSON
/// (UTF-8, and numbers in range, included), for a key that an object has twice, and for what goes beyond
/// `limits`.
[[nodiscard]] nlohmann::json parse_json(std::string_view text, std::string_view file,
                                        const JsonLimits& limits = {});

/// The same for a file.
[[nodiscard]] nlohmann::json load_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

}  // namespace lattice
