#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace lattice {

/// The Jinja source of the chat template of the model in `directory`: chat_template.jinja, or the entry of
/// tokenizer_config.json (of several, the one named "default"). Nothing where it has none. Throws Error
/// naming file and field for what is there and is no template.
[[nodiscard]] std::optional<std::string> chat_template_source(const std::filesystem::path& directory);

}  // namespace lattice
