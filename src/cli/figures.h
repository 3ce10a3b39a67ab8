#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lattice/generate.hpp"
#include "lattice/model.hpp"

namespace lattice::cli {

/// How fast a generation went.
struct Figures {
  std::int64_t prompt_tokens = 0;
  std::int64_t reused_tokens = 0;
  std::int64_t generated_tokens = 0;
  double prefill_rate = 0;           ///< tokens a second; 0 where nothing was fed
  double decode_rate = 0;            ///< tokens a second; 0 where nothing was decoded after the first token
  double first_token_seconds = 0;    ///< from the call until the first token was there
  std::int64_t drafted_tokens = 0;   ///< guesses that were checked
  std::int64_t accepted_tokens = 0;  ///< of these, those that came true
  double tokens_a_step = 0;          ///< tokens for each pass over the weights; 0 where there was none
  double decode_bytes_rate = 0;      ///< bytes a second that decoding read and wrote: MBU's numerator

  [[nodiscard]] static Figures of(const Model& model, const Generation& generation);
};

/// "4 tokens of prompt at 312 tok/s, 211 tokens at 143 tok/s, first after 14 ms, …". With `bandwidth`, in
/// bytes a second, the share of it that decoding used (MBU), and the weights' format, which such a figure
/// always names.
[[nodiscard]] std::string figures_line(const Figures& figures, std::optional<double> bandwidth,
                                       const std::string& format);

/// The same for machines, without the bandwidth.
[[nodiscard]] nlohmann::ordered_json figures_json(const Figures& figures);

}  // namespace lattice::cli
