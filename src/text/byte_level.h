#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lattice {

/// GPT-2's byte alphabet, in which tokenizer files spell tokens (openai/gpt-2, encoder.py, bytes_to_unicode):
/// every byte is one printable character, so that a file of text can list tokens that are not text. The space
/// is Ġ, the line feed Ċ.

/// The character, in UTF-8 (one or two bytes), that spells `byte`.
[[nodiscard]] std::string_view spelling_of_byte(std::uint8_t byte);

/// Bytes → spelling.
[[nodiscard]] std::string spelling_of_bytes(std::string_view bytes);

/// Spelling → bytes, or nothing where a character is not of the alphabet.
[[nodiscard]] std::optional<std::string> bytes_of_spelling(std::string_view spelling);

}  // namespace lattice
