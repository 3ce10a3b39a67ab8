#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bench/environment.h"
#include "bench/roof.h"
#include "bench/statistics.h"
#include "lattice/model.hpp"
#include "quant/dtype.h"

namespace lattice::bench {

// What Options takes at most.
inline constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;
inline constexpr int kMostRepeats = 10'000;
inline constexpr std::int64_t kMostBatch = 512;

/// What to measure. The model is that at `path`, or random weights in the shape of a released one.
struct Options {
  std::optional<std::filesystem::path> path;
  std::optional<std::string> shape;  ///< one of shape_names(); used where there is no path
  DType type = DType::kQ8_0;         ///< of random weights

  LoadOptions load;  ///< device, threads, exactness, KV precision, progress

  std::int64_t prefill_tokens = 512;  ///< 0: prefill is not measured
  std::vector<std::int64_t> contexts = {0, 512, 4096, 16384};
  /// Tokens that are fed together, with the logits of each wanted: what checking guesses, or serving several,
  /// costs. Measured after the first of `contexts`, beside one token.
  std::vector<std::int64_t> batches;
  /// Tokens that the model's own head guesses at a time (MTP), likewise. For Options::load.mtp.
  std::vector<std::int64_t> drafts;
  int repeats = 5;
  int steps = 16;                ///< decoded tokens of a repeat
  bool make_up_contexts = true;  ///< false: feed real tokens up to each context, however long that takes
  std::string filter;  ///< a regular expression: only what it finds in the benchmark's name is measured

  /// Throws Error(kUsage) naming what is out of its range.
  void check() const;
};

/// What benchmarks these options name, after the filter: "prefill/512", "decode/0", … The model may turn out
/// too short for some. Throws Error(kUsage) for a filter that is no regular expression.
[[nodiscard]] std::vector<std::string> benchmark_names(const Options& options);

struct ModelInfo {
  std::string name;                  ///< the path, or the shape
  std::string type;                  ///< of the weights: "Q8_0", or "mixed"
  bool random = false;               ///< weights are made up
  std::string device;                ///< the backend's own description
  std::string kv;                    ///< "f32" or "f16"
  std::int64_t weight_bytes = 0;     ///< that decoding a token reads
  std::int64_t state_bytes = 0;      ///< of recurrent state, read and then written by a token
  std::int64_t kv_bytes = 0;         ///< of keys and values, for one token of context
  std::int64_t parameters = 0;       ///< elements of the matrices that a token is multiplied with
  std::int64_t head_parameters = 0;  ///< of these, the output head's
};

struct Prefill {
  std::int64_t tokens = 0;
  Samples seconds;  ///< for all tokens
  double flop = 0;  ///< of the matrix products
};

/// Where the time of a decoded token goes, in seconds.
struct Terms {
  double bytes = 0;   ///< the token's bytes at the measured bandwidth
  double phases = 0;  ///< its phases at the measured cost of an empty one
  double host = 0;    ///< measured: between two steps, where the next token is chosen
  double rest = 0;    ///< what the three do not explain: arithmetic that loads did not hide, uneven shares
};

struct Decode {
  std::int64_t context = 0;  ///< tokens that the sequence had before the first measured step
  double mean_context = 0;   ///< over the measured steps
  bool made_up = false;      ///< the context is random state, not fed tokens
  Samples seconds;           ///< for a token, host included
  double host_seconds = 0;
  double phases = 0;          ///< of a token
  double dispatches = 0;      ///< of a token: kernels started on a device; 0 where there is none
  double device_seconds = 0;  ///< of a token, by the device's own clock; 0 where it does not tell
  double bytes = 0;           ///< of a token: weights, state read and written, keys and values
  double flop = 0;
  Terms terms;
  double bandwidth = 0;      ///< bytes a second that memory gave between the repeats, the median
  double mbu = 0;            ///< bytes ÷ seconds ÷ the bandwidth before and after: the repeats' median
  double fixed_seconds = 0;  ///< what is left when the bytes are taken off
};

struct Batch {
  std::int64_t tokens = 0;   ///< fed, or guessed, together
  std::int64_t context = 0;  ///< tokens before the first measured call
  Samples seconds;           ///< for a call
  Samples ratios;            ///< of a call to one with a single token, measured in the same repeat
};

struct Result {
  Environment environment;
  ModelInfo model;
  Roof roof;
  Options options;
  std::optional<Prefill> prefill;
  std::vector<Decode> decode;
  std::vector<Batch> batches;
  std::vector<Batch> drafts;
  std::optional<Line> fit;  ///< seconds a token against context
  std::uint64_t logits_hash =
      0;  ///< of every logit that was looked at; says whether a change changed results
  std::vector<std::string> notes;  ///< what was left out, and why
};

/// Runs all of it. Throws Error for a model that cannot be used, memory that is not there, and for logits
/// that are no numbers.
[[nodiscard]] Result run(const Options& options);

}  // namespace lattice::bench
