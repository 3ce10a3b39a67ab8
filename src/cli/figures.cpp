#include "cli/figures.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/units.h"

namespace lattice::cli {
namespace {

double rate(std::int64_t count, double seconds) noexcept {
  return count > 0 && seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

std::string tokens_at(std::int64_t count, const char* what, double tokens_per_second) {
  std::string out = fmt::format("{} {}{}", format_count(count), what, count == 1 ? "" : "s");
  if (tokens_per_second > 0) out += fmt::format(", {} tok/s", format_figure(tokens_per_second));
  return out;
}

}  // namespace

Figures Figures::of(const Model& model, const Generation& generation) {
  Figures out;
  out.prompt_tokens = generation.prompt_tokens;
  out.reused_tokens = generation.reused_tokens;
  out.generated_tokens = static_cast<std::int64_t>(generation.tokens.size());
  out.prefill_rate = rate(out.prompt_tokens - out.reused_tokens, generation.prefill_seconds);
  out.decode_rate = rate(generation.decode_tokens, generation.decode_seconds);
  out.first_token_seconds = generation.first_token_seconds;
  out.drafted_tokens = generation.drafted_tokens;
  out.accepted_tokens = generation.accepted_tokens;
  out.tokens_a_step = rate(generation.decode_tokens, static_cast<double>(generation.decode_steps));
  // The bytes of a step grow evenly with the context, so the step in the middle stands for all of them.
  // Guesses are checked with the bytes of one.
  const std::int64_t middle = generation.prompt_tokens + generation.decode_tokens / 2;
  out.decode_bytes_rate = rate(generation.decode_steps, generation.decode_seconds) *
                          static_cast<double>(model.bytes_per_token(middle));
  return out;
}

std::string figures_line(const Figures& figures, std::optional<double> bandwidth, const std::string& format) {
  std::string line = tokens_at(figures.prompt_tokens, "prompt token", figures.prefill_rate);
  if (figures.reused_tokens > 0) line += fmt::format(" ({} reused)", format_count(figures.reused_tokens));
  line += " · " + tokens_at(figures.generated_tokens, "token", figures.decode_rate);
  if (figures.drafted_tokens > 0) {
    line += fmt::format(" · {} guessed, {} right, {:.2f} tokens a pass", format_count(figures.drafted_tokens),
                        format_count(figures.accepted_tokens), figures.tokens_a_step);
  }
  line += fmt::format(" · first after {}", format_seconds(figures.first_token_seconds));
  if (bandwidth && figures.decode_bytes_rate > 0) {
    line += fmt::format(" · MBU {:.0f} % of {}/s ({}; weights, state, KV)",
                        figures.decode_bytes_rate / *bandwidth * 100, format_bytes(*bandwidth), format);
  }
  return line;
}

nlohmann::ordered_json figures_json(const Figures& figures) {
  return {{"prompt_tokens", figures.prompt_tokens},
          {"reused_tokens", figures.reused_tokens},
          {"generated_tokens", figures.generated_tokens},
          {"prefill_tokens_per_second", figures.prefill_rate},
          {"decode_tokens_per_second", figures.decode_rate},
          {"first_token_seconds", figures.first_token_seconds},
          {"drafted_tokens", figures.drafted_tokens},
          {"accepted_tokens", figures.accepted_tokens},
          {"tokens_per_step", figures.tokens_a_step},
          {"decode_bytes_per_second", figures.decode_bytes_rate}};
}

}  // namespace lattice::cli
