#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lattice {

/// The key-value pairs of a GGUF file. Strings point into the mapped file (250,000 tokens are not copied).
class GgufMetadata {
 public:
  using StringArray = std::vector<std::string_view>;
  using IntArray = std::vector<std::int64_t>;
  using FloatArray = std::vector<double>;
  using Value = std::variant<std::int64_t, std::uint64_t, double, bool, std::string_view, StringArray, IntArray, FloatArray>;

  /// The value of `key` as the wanted type, or nothing where the key is absent. Throws Error naming file and key where
  /// it is there with another type or does not fit.
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

  [[nodiscard]] const std::map<std::string, Value, std::less<>>& all() const noexcept { return values_; }

  GgufMetadata(std::string file, std::map<std::string, Value, std::less<>> values)
      : file_(std::move(file)), values_(std::move(values)) {}

 private:
  std::string file_;  // for messages
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace lattice
