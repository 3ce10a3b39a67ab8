#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lattice {

/// The key-value pairs of a GGUF file. Strings point into the mapped file (250,000 tokens are not copied) and
/// hold whatever bytes it has: only keys have been checked to be UTF-8.
class GgufMetadata {
 public:
  using StringArray = std::vector<std::string_view>;
  using IntArray = std::vector<std::int64_t>;
  using FloatArray = std::vector<double>;
  /// Integers of every width are int64, or uint64 where they do not fit; arrays of booleans are arrays of 0
  /// and 1.
  using Value = std::variant<std::int64_t, std::uint64_t, double, bool, std::string_view, StringArray,
                             IntArray, FloatArray>;
  using Values = std::map<std::string, Value, std::less<>>;
  using Encodings = std::map<std::string_view, std::span<const std::byte>>;

  /// The value of `key` as the wanted type, or nothing where the key is absent. Throws Error naming file and
  /// key where it is there with another type or does not fit.
  [[nodiscard]] std::optional<std::int64_t> find_int(std::string_view key) const;
  [[nodiscard]] std::optional<double> find_float(std::string_view key) const;
  [[nodiscard]] std::optional<bool> find_bool(std::string_view key) const;
  [[nodiscard]] std::optional<std::string_view> find_string(std::string_view key) const;
  [[nodiscard]] const StringArray* find_strings(std::string_view key) const;
  [[nodiscard]] const IntArray* find_ints(std::string_view key) const;
  [[nodiscard]] const FloatArray* find_floats(std::string_view key) const;

  /// The same, but an absent key is an Error too.
  [[nodiscard]] std::int64_t get_int(std::string_view key) const;
  [[nodiscard]] double get_float(std::string_view key) const;
  [[nodiscard]] std::string_view get_string(std::string_view key) const;
  [[nodiscard]] const StringArray& get_strings(std::string_view key) const;

  [[nodiscard]] const Values& all() const noexcept { return values_; }

  /// The type and value of `key` as they stand in the file, for a writer that copies them: a Value no longer
  /// knows a number's width. Throws Error where the key is absent.
  [[nodiscard]] std::span<const std::byte> encoded(std::string_view key) const;

  GgufMetadata(std::string file, Values values, Encodings encodings = {})
      : file_(std::move(file)), values_(std::move(values)), encodings_(std::move(encodings)) {}

 private:
  template <typename T>
  [[nodiscard]] const T* find(std::string_view key, std::string_view wanted) const;

  std::string file_;  // for messages
  Values values_;
  Encodings encodings_;
};

}  // namespace lattice
