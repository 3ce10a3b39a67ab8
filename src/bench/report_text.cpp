#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "bench/report.h"
#include "support/printable.h"

namespace lattice::bench {
namespace {

using Out = fmt::memory_buffer;

template <typename... Args>
void print(Out& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

void print_heading(Out& out, const Result& result) {
  const ModelInfo& model = result.model;
  print(out, "model    {}, {}{}, {:.3f} GB of weights a token\n",
        model.random ? model.name : printable(model.name), model.type,
        model.random ? " with random values" : "", static_cast<double>(model.weight_bytes) * 1e-9);
  print(out, "device   {}, KV cache in {}\n", model.device, model.kv);
  print(out,
        "roof     {:.1f} GB/s read, {:.1f} GFLOP/s in float32, {:.2f} µs an empty phase ({} thread{})\n\n",
        result.roof.bytes_per_second * 1e-9, result.roof.flop_per_second * 1e-9,
        result.roof.phase_seconds * 1e6, result.roof.threads, result.roof.threads == 1 ? "" : "s");
}

void print_prefill(Out& out, const Result& result) {
  if (!result.prefill) return;
  const Prefill& prefill = *result.prefill;
  const double seconds = prefill.seconds.median();
  const auto tokens = static_cast<double>(prefill.tokens);
  print(out, "{:>8}  {:>9}  {:>9}  {:>19}  {:>9}  {:>9}\n", "prefill", "tok/s", "ms", "min … max", "GFLOP/s",
        "% of roof");
  print(out, "{:>8}  {:>9.1f}  {:>9.1f}  {:>19}  {:>9.1f}  {:>9.1f}\n\n", prefill.tokens, tokens / seconds,
        seconds * 1e3,
        fmt::format("{:.1f} … {:.1f}", prefill.seconds.min() * 1e3, prefill.seconds.max() * 1e3),
        prefill.flop / seconds * 1e-9, 100 * prefill.flop / seconds / result.roof.flop_per_second);
}

void print_decode(Out& out, const Result& result) {
  if (result.decode.empty()) return;
  print(out, "{:>8}  {:>9}  {:>9}  {:>19}  {:>6}  {:>6}  {:>9}  {:>9}  {:>9}  {:>9}  {:>9}\n", "decode", "",
        "", "", "memory", "", "fixed", "of which", "", "", "bytes ÷");
  print(out, "{:>8}  {:>9}  {:>9}  {:>19}  {:>6}  {:>6}  {:>9}  {:>9}  {:>9}  {:>9}  {:>9}\n", "context",
        "tok/s", "ms/token", "min … max", "GB/s", "MBU %", "µs", "phases", "host", "rest", "memory, µs");
  for (const Decode& decode : result.decode) {
    const double seconds = decode.seconds.median();
    print(out,
          "{:>8}  {:>9.2f}  {:>9.3f}  {:>19}  {:>6.1f}  {:>6.1f}  {:>9.1f}  {:>9.1f}  {:>9.1f}  {:>9.1f}  "
          "{:>9.1f}\n",
          decode.context, 1 / seconds, seconds * 1e3,
          fmt::format("{:.3f} … {:.3f}", decode.seconds.min() * 1e3, decode.seconds.max() * 1e3),
          decode.bandwidth * 1e-9, 100 * decode.mbu, decode.fixed_seconds * 1e6, decode.terms.phases * 1e6,
          decode.terms.host * 1e6, decode.terms.rest * 1e6, decode.terms.bytes * 1e6);
  }
  print(out, "\n");
  if (result.fit) {
    print(out, "fit      {:.3f} ms a token + {:.1f} µs for every 1000 tokens of context\n",
          result.fit->intercept * 1e3, result.fit->slope * 1e9);
  }
  const Decode& first = result.decode.front();
  print(out, "phases   {:.0f} a token", first.phases);
  if (first.dispatches > 0) print(out, ", {:.0f} dispatches", first.dispatches);
  if (first.device_seconds > 0) print(out, ", {:.2f} ms by the device's clock", first.device_seconds * 1e3);
  print(out, "\n");
  if (std::ranges::any_of(result.decode, &Decode::made_up)) {
    print(out, "context  made up: random keys, values and state, not fed tokens\n");
  }
}

void print_batches(Out& out, const char* what, const std::vector<Batch>& batches) {
  if (batches.empty()) return;
  print(out, "{:>8}  {:>9}  {:>9}  {:>19}  {:>9}  {:>19}\n", what, "tok/s", "ms/call", "min … max", "÷ one's",
        "min … max");
  for (const Batch& batch : batches) {
    const double seconds = batch.seconds.median();
    print(out, "{:>8}  {:>9.2f}  {:>9.3f}  {:>19}  {:>9.3f}  {:>19}\n", batch.tokens,
          static_cast<double>(batch.tokens) / seconds, seconds * 1e3,
          fmt::format("{:.3f} … {:.3f}", batch.seconds.min() * 1e3, batch.seconds.max() * 1e3),
          batch.ratios.median(), fmt::format("{:.3f} … {:.3f}", batch.ratios.min(), batch.ratios.max()));
  }
  print(out, "{:<7}  after {} tokens, all rows' logits; held against one token in the same repeat\n", what,
        batches.front().context);
}

}  // namespace

std::string text_report(const Result& result) {
  Out out;
  print_heading(out, result);
  print_prefill(out, result);
  print_decode(out, result);
  print_batches(out, "batch", result.batches);
  print_batches(out, "draft", result.drafts);
  const Environment& on = result.environment;
  print(out,
        "taken    {} repeats of {} tokens, medians; MBU counts weights, state read and written, keys and "
        "values\n",
        result.options.repeats, result.options.steps);
  print(out, "build    {}, {}, {}\n", on.commit, on.compiler, on.flags);
  print(out, "machine  {}, {} processors, governor {}, load {:.2f}, {}\n", on.cpu, on.processors, on.governor,
        on.load, on.system);
  for (const std::string& note : result.notes) print(out, "note     {}\n", note);
  print(out, "logits   {:016x}\n", result.logits_hash);
  return fmt::to_string(out);
}

}  // namespace lattice::bench
