#include "engine/sampling_defaults.h"

#include <cstdint>
#include <limits>
#include <string>

#include <nlohmann/json.hpp>

#include "formats/gguf_metadata.h"
#include "support/fail.h"

namespace lattice {
namespace {

/// A recommendation, and which values of it are possible (those that Sampling::check takes).
struct Field {
  const char* name;       // in generation_config.json
  const char* gguf_name;  // after general.sampling.; nullptr: GGUF has no such key
  float Sampling::*value;
  double least;
  double most;
  bool least_is_in;
  bool most_is_in;
};

constexpr double kNoLimit = std::numeric_limits<float>::max();
constexpr Field kFields[] = {
    {"temperature", "temp", &Sampling::temperature, 0, kNoLimit, true, true},
    {"top_p", "top_p", &Sampling::top_p, 0, 1, false, true},
    {"min_p", "min_p", &Sampling::min_p, 0, 1, true, false},
    {"repetition_penalty", "penalty_repeat", &Sampling::repetition_penalty, 0, kNoLimit, false, true},
    {"presence_penalty", nullptr, &Sampling::presence_penalty, -2, 2, true, true},
    {"frequency_penalty", nullptr, &Sampling::frequency_penalty, -2, 2, true, true},
};
constexpr const char* kTopK = "top_k";
constexpr std::string_view kGgufPrefix = "general.sampling.";

/// Puts `value` into `sampling`. `file` and `name` are for the message.
void set(Sampling& sampling, const Field& field, double value, const std::string& file,
         std::string_view name) {
  const bool above = field.least_is_in ? value >= field.least : value > field.least;
  const bool below = field.most_is_in ? value <= field.most : value < field.most;
  if (!above || !below) {  // a NaN is neither
    if (field.most == kNoLimit) {
      fail("{}: {} is {}, not {} {}", file, name, value, field.least_is_in ? "at least" : "above",
           field.least);
    }
    fail("{}: {} is {}, not {} {} and {} {}", file, name, value, field.least_is_in ? "at least" : "above",
         field.least, field.most_is_in ? "at most" : "below", field.most);
  }
  sampling.*field.value = static_cast<float>(value);
}

void set_top_k(Sampling& sampling, std::int64_t value, const std::string& file, std::string_view name) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (value < 0 || value > kMost) fail("{}: {} is {}, not between 0 and {}", file, name, value, kMost);
  sampling.top_k = static_cast<std::int32_t>(value);
}

Sampling from_json(const nlohmann::json& config, const std::string& file) {
  const auto find = [&](const char* name) -> const nlohmann::json* {
    const auto it = config.find(name);
    return it == config.end() || it->is_null() ? nullptr : &*it;
  };
  Sampling sampling;
  sampling.temperature = 1;
  for (const Field& field : kFields) {
    const nlohmann::json* value = find(field.name);
    if (value == nullptr) continue;
    if (!value->is_number()) fail("{}: {} is not a number", file, field.name);
    set(sampling, field, value->get<double>(), file, field.name);
  }
  if (const nlohmann::json* value = find(kTopK)) {
    if (!value->is_number_integer()) fail("{}: {} is not a whole number", file, kTopK);
    // An unsigned number past the range of int64 is as much out of range as −1.
    const bool fits = !value->is_number_unsigned() || value->get<std::uint64_t>() <= std::uint64_t{INT64_MAX};
    set_top_k(sampling, fits ? value->get<std::int64_t>() : INT64_MAX, file, kTopK);
  }
  const nlohmann::json* do_sample = find("do_sample");
  if (do_sample != nullptr && !do_sample->is_boolean()) fail("{}: do_sample is not true or false", file);
  if (do_sample == nullptr || !do_sample->get<bool>()) sampling.temperature = 0;
  return sampling;
}

Sampling from_gguf(const GgufMetadata& metadata, const std::string& file) {
  Sampling sampling;
  sampling.temperature = 1;
  bool says_something = false;
  for (const Field& field : kFields) {
    if (field.gguf_name == nullptr) continue;
    const std::string key = std::string(kGgufPrefix) + field.gguf_name;
    const std::optional<double> value = metadata.find_float(key);
    if (!value) continue;
    set(sampling, field, *value, file, key);
    says_something = true;
  }
  const std::string top_k = std::string(kGgufPrefix) + kTopK;
  if (const std::optional<std::int64_t> value = metadata.find_int(top_k)) {
    set_top_k(sampling, *value, file, top_k);
    says_something = true;
  }
  if (!says_something) sampling.temperature = 0;
  return sampling;
}

}  // namespace

Sampling sampling_defaults(const Checkpoint& checkpoint) {
  if (const GgufMetadata* metadata = checkpoint.gguf()) {
    return from_gguf(*metadata, checkpoint.path().string());
  }
  const nlohmann::json* config = checkpoint.generation_config_json();
  if (config == nullptr) return {};
  return from_json(*config, (checkpoint.path() / "generation_config.json").string());
}

}  // namespace lattice
