#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lattice {

// What a chat template's rendering takes over from Python: Hugging Face renders templates with Jinja over
// Python values, so the prompt that a model was trained on holds Python's spelling of numbers, not C++'s.

/// str.strip(): `text` without the white space around it, in Unicode's sense. Bytes that are not UTF-8 are
/// no white space.
[[nodiscard]] std::string_view python_strip(std::string_view text);

/// json.dumps(json.loads(json), ensure_ascii=False): members in their order, ", " and ": " between, integers
/// of any size, floats as repr() writes them. `name` names the text in messages. Throws Error for what is not
/// a JSON object, and for what parse_json() refuses (a key twice, numbers out of range, limits).
[[nodiscard]] std::string python_json_object(std::string_view json, std::string_view name);

/// How the values of python_items() are written.
enum class ItemForm {
  kStr,   ///< str(value), and JSON for objects and arrays: Qwen3.5
  kJson,  ///< JSON, and str(value) for strings: Qwen3.6
};

struct PythonItem {
  std::string key;
  std::string value;
};

/// The members of a JSON object, in their order, each value written in the given form. Throws as
/// python_json_object() does.
[[nodiscard]] std::vector<PythonItem> python_items(std::string_view json, std::string_view name,
                                                   ItemForm form);

}  // namespace lattice
