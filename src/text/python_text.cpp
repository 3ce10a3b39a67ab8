#include "text/python_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "formats/json_file.h"
#include "support/fail.h"

namespace lattice {
namespace {

using Json = nlohmann::json;

// Every character for which Python's str.isspace() is true, in UTF-8 (CPython, Objects/unicodetype_db.h,
// _PyUnicode_IsWhitespace): U+0009–000D, 001C–0020, 0085, 00A0, 1680, 2000–200A, 2028, 2029, 202F, 205F,
// 3000.
constexpr std::array<std::string_view, 29> kWhiteSpace{
    "\t",           "\n",           "\v",           "\f",           "\r",
    "\x1c",         "\x1d",         "\x1e",         "\x1f",         " ",
    "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
    "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
    "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
    "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};

/// Bytes of the white-space character that `text` begins with, or 0. No character's encoding begins or ends
/// another's, so at most one matches; the same holds at the end.
std::size_t leading_space(std::string_view text) {
  const auto* const found = std::find_if(kWhiteSpace.begin(), kWhiteSpace.end(),
                                         [&](std::string_view space) { return text.starts_with(space); });
  return found == kWhiteSpace.end() ? 0 : found->size();
}

std::size_t trailing_space(std::string_view text) {
  const auto* const found = std::find_if(kWhiteSpace.begin(), kWhiteSpace.end(),
                                         [&](std::string_view space) { return text.ends_with(space); });
  return found == kWhiteSpace.end() ? 0 : found->size();
}

std::string quoted(const std::string& text) {
  return Json(text).dump();
}

/// repr(value). Both Python and fmt write the shortest digits that read back as the same double, and both
/// change to an exponent below 1e-4 and from 1e16; fmt leaves out Python's ".0".
void append_float(std::string& out, double value) {
  const std::size_t start = out.size();
  fmt::format_to(std::back_inserter(out), "{}", value);
  if (out.find_first_of(".e", start) == std::string::npos) out += ".0";
}

/// Writes json.dumps()'s text from a parser's events, of one value. Takes well-formed input alone:
/// parse_json() has seen the text before.
class JsonDump {
 public:
  [[nodiscard]] std::string take() { return std::move(out_); }

  /// A value that is spelled `text`.
  bool scalar(std::string_view text) {
    begin_value();
    out_ += text;
    return true;
  }
  bool null() { return scalar("null"); }
  bool boolean(bool value) { return scalar(value ? "true" : "false"); }
  bool number_integer(std::int64_t value) { return scalar(std::to_string(value)); }
  bool number_unsigned(std::uint64_t value) { return scalar(std::to_string(value)); }
  bool number_float(double value, const std::string& text) {
    // An integer that does not fit 64 bits arrives here too; Python's never overflow.
    if (text.find_first_of(".eE") == std::string::npos) return scalar(text);
    begin_value();
    append_float(out_, value);
    return true;
  }
  bool string(const std::string& value) { return scalar(quoted(value)); }
  bool binary(const Json::binary_t& /*value*/) { return false; }  // binary formats alone have these

  bool start_object(std::size_t /*elements*/) { return open('{', true); }
  bool end_object() { return close('}'); }
  bool start_array(std::size_t /*elements*/) { return open('[', false); }
  bool end_array() { return close(']'); }
  bool key(const std::string& name) {
    separate();
    out_ += quoted(name) + ": ";
    return true;
  }

  static bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                          const Json::exception& /*error*/) {
    return false;
  }

 private:
  struct Container {
    bool is_object;
    bool is_empty;
  };

  void separate() {
    if (!open_.back().is_empty) out_ += ", ";
    open_.back().is_empty = false;
  }
  void begin_value() {
    if (!open_.empty() && !open_.back().is_object) separate();
  }
  bool open(char bracket, bool is_object) {
    begin_value();
    out_ += bracket;
    open_.push_back({is_object, true});
    return true;
  }
  bool close(char bracket) {
    out_ += bracket;
    open_.pop_back();
    return true;
  }

  std::string out_;
  std::vector<Container> open_;
};

/// Takes the outermost object apart and gives each member's value to a JsonDump of its own, but for the
/// values that `form` wants without JSON's spelling.
class ItemCollector {
 public:
  explicit ItemCollector(ItemForm form) : form_(form) {}

  [[nodiscard]] std::vector<PythonItem> take() {
    std::vector<PythonItem> items;
    items.reserve(members_.size());
    for (Member& member : members_) items.push_back({std::move(member.key), member.value.take()});
    return items;
  }

  bool null() { return wants_str() ? value().scalar("None") : value().null(); }
  bool boolean(bool b) { return wants_str() ? value().scalar(b ? "True" : "False") : value().boolean(b); }
  bool number_integer(std::int64_t number) { return value().number_integer(number); }
  bool number_unsigned(std::uint64_t number) { return value().number_unsigned(number); }
  bool number_float(double number, const std::string& text) { return value().number_float(number, text); }
  bool string(const std::string& text) { return depth_ == 1 ? value().scalar(text) : value().string(text); }
  bool binary(const Json::binary_t& bytes) { return value().binary(bytes); }

  bool start_object(std::size_t elements) { return ++depth_ == 1 || value().start_object(elements); }
  bool end_object() { return --depth_ == 0 || value().end_object(); }
  bool start_array(std::size_t elements) {
    ++depth_;
    return value().start_array(elements);
  }
  bool end_array() {
    --depth_;
    return value().end_array();
  }
  bool key(const std::string& name) {
    if (depth_ > 1) return value().key(name);
    members_.push_back({name, {}});
    return true;
  }

  static bool parse_error(std::size_t position, const std::string& token, const Json::exception& error) {
    return JsonDump::parse_error(position, token, error);
  }

 private:
  struct Member {
    std::string key;
    JsonDump value;
  };

  [[nodiscard]] JsonDump& value() { return members_.back().value; }
  [[nodiscard]] bool wants_str() const { return depth_ == 1 && form_ == ItemForm::kStr; }

  ItemForm form_;
  std::size_t depth_ = 0;
  std::vector<Member> members_;
};

/// Sends the events of `json` to `handler`, after parse_json() has checked the text: it keeps neither the
/// order of members nor integers past 64 bits, but it knows everything that can be wrong.
template <typename Handler>
void walk_object(std::string_view json, std::string_view name, Handler& handler) {
  if (!parse_json(json, name).is_object()) fail("{}: not a JSON object", name);
  Json::sax_parse(json.begin(), json.end(), &handler);
}

}  // namespace

std::string_view python_strip(std::string_view text) {
  while (const std::size_t space = leading_space(text)) text.remove_prefix(space);
  while (const std::size_t space = trailing_space(text)) text.remove_suffix(space);
  return text;
}

std::string python_json_object(std::string_view json, std::string_view name) {
  JsonDump dump;
  walk_object(json, name, dump);
  return dump.take();
}

std::vector<PythonItem> python_items(std::string_view json, std::string_view name, ItemForm form) {
  ItemCollector collector(form);
  walk_object(json, name, collector);
  return collector.take();
}

}  // namespace lattice
