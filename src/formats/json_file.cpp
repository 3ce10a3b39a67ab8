#include "formats/json_file.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "support/fail.h"
#include "support/mapped_file.h"
#include "support/printable.h"

namespace lattice {
namespace {

using Json = nlohmann::json;

/// Builds the document from the parser's events, so that limits are enforced before memory is taken. (The
/// library's own builder has no limits, and lets the last of several equal keys win.)
class DocumentBuilder {
 public:
  DocumentBuilder(std::string_view text, std::string_view file, const JsonLimits& limits)
      : text_(text), file_(file), limits_(limits) {}

  [[nodiscard]] Json take() { return std::move(root_); }

  bool null() { return place(Json(nullptr)); }
  bool boolean(bool value) { return place(Json(value)); }
  bool number_integer(Json::number_integer_t value) { return place(Json(value)); }
  bool number_unsigned(Json::number_unsigned_t value) { return place(Json(value)); }
  bool number_float(Json::number_float_t value, const std::string& /*text*/) { return place(Json(value)); }
  bool string(std::string& value) { return place(Json(std::move(value))); }
  bool binary(Json::binary_t& /*value*/) { return false; }  // binary formats alone have these

  bool start_object(std::size_t /*elements*/) { return open(Json::object()); }
  bool end_object() { return close(); }
  bool start_array(std::size_t /*elements*/) { return open(Json::array()); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    auto& object = open_.back()->get_ref<Json::object_t&>();
    const auto [entry, is_new] = object.try_emplace(std::move(name));
    if (!is_new) fail("{}: the key {} occurs twice in one JSON object", file_, printable(entry->first));
    member_ = &entry->second;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/, const Json::exception& error) {
    const std::string_view before = text_.substr(0, position == 0 ? 0 : std::min(position - 1, text_.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto line_start = before.rfind('\n');
    const auto column = 1 + before.size() - (line_start == std::string_view::npos ? 0 : line_start + 1);
    fail("{}: not valid JSON at line {}, column {}: {}", file_, line, column, reason_of(error));
  }

 private:
  bool place(Json value) {
    insert(std::move(value));
    return true;
  }

  bool open(Json container) {
    if (open_.size() == limits_.max_depth) {
      fail("{}: JSON is nested deeper than {} levels", file_, limits_.max_depth);
    }
    open_.push_back(insert(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  /// Puts `value` where the document goes on. Only the innermost open container grows, so the pointers in
  /// open_ stay good.
  Json* insert(Json value) {
    if (++values_ > limits_.max_values) fail("{}: JSON holds more than {} values", file_, limits_.max_values);
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    *member_ = std::move(value);
    return member_;
  }

  /// The library's message without its own position and without the text read, which can be as long as the
  /// file.
  static std::string reason_of(const Json::exception& error) {
    constexpr int kOutOfRange = 406;
    if (error.id == kOutOfRange) return "a number is out of range";
    std::string_view what = error.what();
    if (const auto dash = what.find(" - "); dash != std::string_view::npos) what.remove_prefix(dash + 3);
    return std::string(what.substr(0, what.find("; last read: ")));
  }

  std::string_view text_;
  std::string_view file_;
  JsonLimits limits_;
  std::size_t values_ = 0;
  Json root_;
  std::vector<Json*> open_;
  Json* member_ = nullptr;  // of the innermost open object: the value whose key was read last
};

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view file, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    fail("{}: JSON of {} bytes is larger than the {} bytes that are allowed", file, text.size(),
         limits.max_bytes);
  }
  DocumentBuilder builder(text, file, limits);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

nlohmann::json load_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  return parse_json(text, path.string(), limits);
}

}  // namespace lattice
