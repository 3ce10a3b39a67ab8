#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/report.h"

namespace lattice::bench {
namespace {

using Json = nlohmann::ordered_json;

/// The part that every benchmark of the schema has, whatever program printed it.
Json benchmark(const std::string& name, const Samples& seconds) {
  return {
      {"name", name},         {"unit", "s"},          {"better", "lower"},    {"value", seconds.median()},
      {"mad", seconds.mad()}, {"min", seconds.min()}, {"max", seconds.max()}, {"samples", seconds.values}};
}

Json prefill_json(const Prefill& prefill) {
  Json out = benchmark(fmt::format("prefill/{}", prefill.tokens), prefill.seconds);
  out["tokens"] = prefill.tokens;
  out["tokens_per_second"] = static_cast<double>(prefill.tokens) / prefill.seconds.median();
  out["flop"] = prefill.flop;
  return out;
}

Json decode_json(const Decode& decode) {
  Json out = benchmark(fmt::format("decode/{}", decode.context), decode.seconds);
  out["tokens_per_second"] = 1 / decode.seconds.median();
  out["mean_context"] = decode.mean_context;
  out["context_made_up"] = decode.made_up;
  out["bytes"] = decode.bytes;
  out["flop"] = decode.flop;
  out["phases"] = decode.phases;
  out["dispatches"] = decode.dispatches;
  out["device_s"] = decode.device_seconds;
  out["bandwidth"] = decode.bandwidth;
  out["mbu"] = decode.mbu;
  out["fixed_s"] = decode.fixed_seconds;
  out["terms_s"] = {{"bytes", decode.terms.bytes},
                    {"phases", decode.terms.phases},
                    {"host", decode.terms.host},
                    {"rest", decode.terms.rest}};
  return out;
}

Json batch_json(std::string_view what, const Batch& batch) {
  Json out = benchmark(fmt::format("{}/{}", what, batch.tokens), batch.seconds);
  out["tokens"] = batch.tokens;
  out["context"] = batch.context;
  out["tokens_per_second"] = static_cast<double>(batch.tokens) / batch.seconds.median();
  out["cost_of_one"] = {{"value", batch.ratios.median()},
                        {"min", batch.ratios.min()},
                        {"max", batch.ratios.max()},
                        {"samples", batch.ratios.values}};
  return out;
}

Json options_json(const Options& options) {
  return {
      {"device", options.load.device},     {"threads", options.load.threads}, {"exact", options.load.exact},
      {"prefill", options.prefill_tokens}, {"contexts", options.contexts},    {"batches", options.batches},
      {"drafts", options.drafts},          {"repeats", options.repeats},      {"steps", options.steps},
      {"feed", !options.make_up_contexts}, {"filter", options.filter}};
}

}  // namespace

std::string json_report(const Result& result) {
  const Environment& on = result.environment;
  const ModelInfo& model = result.model;
  Json out;
  out["schema"] = "lattice-bench/1";
  out["program"] = {
      {"name", "lattice bench"}, {"commit", on.commit}, {"compiler", on.compiler}, {"flags", on.flags}};
  out["machine"] = {
      {"cpu", on.cpu},           {"processors", on.processors}, {"threads", result.roof.threads},
      {"governor", on.governor}, {"load_1m", on.load},          {"system", on.system}};
  out["device"] = model.device;
  out["model"] = {{"name", model.name},
                  {"type", model.type},
                  {"random", model.random},
                  {"kv", model.kv},
                  {"parameters", model.parameters},
                  {"weight_bytes", model.weight_bytes},
                  {"state_bytes", model.state_bytes},
                  {"kv_bytes_per_token", model.kv_bytes}};
  out["roof"] = {{"bytes_per_second", result.roof.bytes_per_second},
                 {"flop_per_second", result.roof.flop_per_second},
                 {"phase_s", result.roof.phase_seconds}};
  out["options"] = options_json(result.options);
  out["benchmarks"] = Json::array();
  if (result.prefill) out["benchmarks"].push_back(prefill_json(*result.prefill));
  for (const Decode& decode : result.decode) out["benchmarks"].push_back(decode_json(decode));
  for (const Batch& batch : result.batches) out["benchmarks"].push_back(batch_json("batch", batch));
  for (const Batch& draft : result.drafts) out["benchmarks"].push_back(batch_json("draft", draft));
  if (result.fit) {
    out["fit"] = {{"intercept_s", result.fit->intercept}, {"slope_s_per_token", result.fit->slope}};
  }
  out["notes"] = result.notes;
  out["logits_hash"] = fmt::format("{:016x}", result.logits_hash);
  // A path may hold bytes that are not UTF-8.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace lattice::bench
