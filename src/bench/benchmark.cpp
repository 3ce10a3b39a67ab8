#include "bench/benchmark.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <regex>
#include <span>

#include "bench/logits_hash.h"
#include "bench/model_source.h"
#include "cpu/cpu_backend.h"
#include "engine/traffic.h"
#include "generate/sampler.h"
#include "support/fail.h"
#include "support/printable.h"
#include "support/random.h"
#include "support/thread_pool.h"

namespace lattice::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostContexts = 64;
constexpr std::size_t kMostBatches = 64;     // and drafts
constexpr std::size_t kLongestFilter = 200;  // std::regex recurses once a character

// Decode steps before the first measured one: caches and branch predictors settle within two.
constexpr int kWarmUpSteps = 2;
// Tokens of a prefill before the first measured one: enough to touch all weights and buffers once.
constexpr std::int64_t kWarmUpTokens = 32;
// Tokens that are fed at a time where a context is really fed: often enough to report progress.
constexpr std::int64_t kFeedTokens = 512;

constexpr std::uint64_t kPromptStream = 1;
constexpr std::uint64_t kStateSeed = 2'000'000;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string prefill_name(std::int64_t tokens) {
  return fmt::format("prefill/{}", tokens);
}
std::string decode_name(std::int64_t context) {
  return fmt::format("decode/{}", context);
}

std::string batch_name(std::int64_t tokens) {
  return fmt::format("batch/{}", tokens);
}

std::string draft_name(std::int64_t tokens) {
  return fmt::format("draft/{}", tokens);
}

/// Which benchmarks are wanted.
class Filter {
 public:
  explicit Filter(const std::string& pattern) {
    if (pattern.size() > kLongestFilter)
      fail_usage("the filter is longer than {} characters", kLongestFilter);
    try {
      regex_ = std::regex(pattern);
    } catch (const std::regex_error&) {
      fail_usage("{} is no regular expression", printable(pattern));
    }
  }
  [[nodiscard]] bool takes(const std::string& name) const { return std::regex_search(name, regex_); }

 private:
  std::regex regex_;
};

class Runner {
 public:
  explicit Runner(const Options& options);
  Result run();

 private:
  [[nodiscard]] std::vector<std::int64_t> wanted_contexts();
  [[nodiscard]] std::int32_t prompt_token(std::int64_t i) const;
  void measure_prefill();
  void measure_decode(State& state, std::int64_t context);
  /// Decodes greedily after `token`, which becomes the last one, and leaves the logits behind it in logits_.
  /// Returns the seconds that the host took to choose tokens.
  double decode(State& state, std::int32_t& token, int steps);
  /// The same by a device that draws tokens itself; the logits are to be had from stream_.
  void decode_on_device(State& state, std::int32_t& token, int steps);
  /// Brings `state` to `context` tokens; returns whether they were made up.
  bool reach(State& state, std::int64_t context);
  void measure_batches();
  void measure_drafts();
  /// Those of `sizes` whose names pass the filter, each beside a single token: measure(size) takes the
  /// seconds of a call. `room`: tokens that one takes behind the context.
  template <typename Measure>
  void measure_beside_one(std::vector<Batch>& out, std::string_view what,
                          const std::vector<std::int64_t>& sizes, std::int64_t room, const Measure& measure);
  template <typename Call>
  double mean_seconds(const Call& call);
  /// Seconds a call with `tokens` tokens after `context` takes, over options_.steps calls.
  double batch_seconds(State& state, std::int64_t context, std::int64_t tokens);
  /// Seconds that the model's own head takes for `tokens` guesses.
  double draft_seconds(State& state, std::int64_t context, std::int64_t tokens);
  void fit();
  /// Bytes a second that memory gives now: a device's own memory, where the backend has one.
  double memory_now() {
    return rates_.emplace_back(memory_ ? memory_->pass() : model_->backend->measure_bandwidth());
  }
  void report(std::string_view what, std::int64_t done, std::int64_t total) const {
    if (options_.load.progress) options_.load.progress(what, done, total);
  }

  const Options& options_;
  Filter filter_;
  std::int64_t steps_a_context_;
  Result result_;
  std::unique_ptr<OpenModel> model_;
  std::unique_ptr<TokenStream> stream_;  // the last one, where the device draws tokens itself
  std::vector<float> logits_;
  LogitsHash hash_;
  std::vector<double> contexts_;  // of every repeat of every decode, for the fit
  std::vector<double> seconds_;
  std::optional<ReadBandwidth> memory_;
  std::vector<double> rates_;  // of every pass over memory
};

Runner::Runner(const Options& options)
    : options_(options),
      filter_(options.filter),
      steps_a_context_(kWarmUpSteps + std::int64_t{options.repeats} * options.steps) {
  options.check();
  if (benchmark_names(options).empty()) fail_usage("no benchmark is called {}", printable(options.filter));
}

/// The contexts that pass the filter and that the model goes to, rising.
std::vector<std::int64_t> Runner::wanted_contexts() {
  const std::int64_t longest = model_->backend->config().max_position_embeddings;
  std::vector<std::int64_t> out;
  for (const std::int64_t context : options_.contexts) {
    if (!filter_.takes(decode_name(context))) continue;
    if (context + steps_a_context_ > longest) {
      result_.notes.push_back(
          fmt::format("decode/{} was left out: the model's longest context is {} tokens", context, longest));
    } else {
      out.push_back(context);
    }
  }
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::int32_t Runner::prompt_token(std::int64_t i) const {
  const auto vocab = static_cast<std::uint64_t>(model_->backend->config().vocab_size);
  return static_cast<std::int32_t>(random_bits(kPromptStream, static_cast<std::uint64_t>(i)) % vocab);
}

void Runner::measure_prefill() {
  const std::int64_t tokens = options_.prefill_tokens;
  if (tokens == 0 || !filter_.takes(prefill_name(tokens))) return;
  const Config& config = model_->backend->config();
  if (tokens > config.max_position_embeddings) {
    result_.notes.push_back(fmt::format("prefill/{} was left out: the model's longest context is {} tokens",
                                        tokens, config.max_position_embeddings));
    return;
  }
  std::vector<std::int32_t> prompt;
  for (std::int64_t i = 0; i < tokens; ++i) prompt.push_back(prompt_token(i));
  const auto state = model_->backend->new_state(tokens);
  const auto first = std::span(prompt).first(static_cast<std::size_t>(std::min(tokens, kWarmUpTokens)));
  model_->backend->forward(*state, first, Backend::Logits::kLast, logits_);

  Prefill out;
  out.tokens = tokens;
  for (int r = 0; r < options_.repeats; ++r) {
    report("measuring prefill", r * tokens, options_.repeats * tokens);
    state->reset();
    const auto start = Clock::now();
    model_->backend->forward(*state, prompt, Backend::Logits::kLast, logits_);
    out.seconds.values.push_back(seconds_between(start, Clock::now()));
  }
  hash_.add(logits_);
  report("measuring prefill", options_.repeats * tokens, options_.repeats * tokens);

  const auto layers = static_cast<double>(model_->info.parameters - model_->info.head_parameters);
  const auto n = static_cast<double>(tokens);
  // Half of the n² pairs of query and key, two operations each, for the scores and again for the values.
  const double attention = static_cast<double>(config.count(LayerKind::kFull) * config.q_dim()) * 2 * n * n;
  out.flop = 2 * layers * n + 2 * static_cast<double>(model_->info.head_parameters) + attention;
  result_.prefill = std::move(out);
}

bool Runner::reach(State& state, std::int64_t context) {
  if (options_.make_up_contexts && context > 0) {
    state.reset();
    if (state.make_up(context, kStateSeed)) return true;
  }
  if (state.position() > context || state.position() == 0) state.reset();
  std::vector<std::int32_t> piece;
  while (state.position() < context) {
    report("feeding the context", state.position(), context);
    piece.clear();
    const std::int64_t last = std::min(context, state.position() + kFeedTokens);
    for (std::int64_t i = state.position(); i < last; ++i) piece.push_back(prompt_token(i));
    model_->backend->forward(state, piece, Backend::Logits::kNone, {});
  }
  return false;
}

double Runner::decode(State& state, std::int32_t& token, int steps) {
  double host = 0;
  Sampling greedy;
  greedy.temperature = 0;
  Sampler sampler(greedy, model_->backend->config().vocab_size);
  for (int i = 0; i < steps; ++i) {
    model_->backend->forward(state, {&token, 1}, Backend::Logits::kLast, logits_);
    const auto computed = Clock::now();
    token = sampler.draw(logits_, state.position());
    host += seconds_between(computed, Clock::now());
  }
  return host;
}

void Runner::decode_on_device(State& state, std::int32_t& token, int steps) {
  DrawOptions options;
  options.n_ids = model_->backend->config().vocab_size;
  options.most = steps;  // so that nothing is computed ahead, which the next repeat would find done
  if (stream_ != nullptr) stream_->settle({});
  stream_ = model_->backend->stream(state, token, options);
  for (int i = 0; i < steps; ++i) token = stream_->next();
}

void Runner::measure_decode(State& state, std::int64_t context) {
  Decode out;
  out.context = context;
  out.made_up = reach(state, context);
  std::int32_t token = prompt_token(context);
  const bool on_device = model_->backend->has_streams();
  const auto run_steps = [&](int steps) {
    if (!on_device) return decode(state, token, steps);
    decode_on_device(state, token, steps);
    return 0.0;
  };
  run_steps(kWarmUpSteps);

  const std::int64_t all_steps = std::int64_t{options_.repeats} * options_.steps;
  const std::int64_t phases_before = model_->backend->phases();
  const std::int64_t dispatches_before = model_->backend->dispatches();
  const double device_before = model_->backend->device_seconds();
  double host = 0;
  // A virtual machine's bandwidth changes within seconds, so every repeat is held against what memory gives
  // right before and after it.
  std::vector<double> beside{memory_now()};
  for (int r = 0; r < options_.repeats; ++r) {
    report("measuring decode", std::int64_t{r} * options_.steps, all_steps);
    const double middle = static_cast<double>(state.position()) + 0.5 * (options_.steps - 1);
    const auto start = Clock::now();
    host += run_steps(options_.steps);
    out.seconds.values.push_back(seconds_between(start, Clock::now()) / options_.steps);
    contexts_.push_back(middle);
    seconds_.push_back(out.seconds.values.back());
    beside.push_back(memory_now());
  }
  const std::int64_t phases = model_->backend->phases() - phases_before;
  const std::int64_t dispatches = model_->backend->dispatches() - dispatches_before;
  // Steps that are under way at the beginning and at the end make up for each other.
  const double device = model_->backend->device_seconds() - device_before;
  if (on_device) {
    stream_->settle(logits_);
    stream_.reset();
  }
  hash_.add(logits_);
  report("measuring decode", all_steps, all_steps);

  const auto steps = static_cast<double>(all_steps);
  out.mean_context = static_cast<double>(state.position()) - 0.5 * (steps + 1);
  out.host_seconds = host / steps;
  out.phases = static_cast<double>(phases) / steps;
  out.dispatches = static_cast<double>(dispatches) / steps;
  out.device_seconds = device / steps;

  const Config& config = model_->backend->config();
  const ModelInfo& info = model_->info;
  const double keys = out.mean_context + 1;
  out.bytes = static_cast<double>(
      bytes_per_token(config, info.weight_bytes, info.kv == "f16" ? 2 : 4, std::llround(out.mean_context)));
  const auto attention = static_cast<double>(config.count(LayerKind::kFull) * config.q_dim());
  const auto delta =
      static_cast<double>(config.count(LayerKind::kLinear) * config.linear_v_dim() * config.linear_head_dim);
  // An element of a delta-rule matrix takes seven operations: decay, two products and sums, an update.
  out.flop = 2 * static_cast<double>(info.parameters) + 4 * attention * keys + 7 * delta;

  const double seconds = out.seconds.median();
  std::vector<double> shares;
  for (std::size_t r = 0; r < out.seconds.values.size(); ++r) {
    shares.push_back(out.bytes / out.seconds.values[r] / (0.5 * (beside[r] + beside[r + 1])));
  }
  out.bandwidth = median(std::move(beside));
  out.mbu = median(std::move(shares));
  out.terms.bytes = out.bytes / out.bandwidth;
  out.terms.phases = out.phases * result_.roof.phase_seconds;
  out.terms.host = out.host_seconds;
  out.terms.rest = seconds - out.terms.bytes - out.terms.phases - out.terms.host;
  out.fixed_seconds = seconds - out.terms.bytes;
  result_.decode.push_back(std::move(out));
}

/// Of a call that leaves logits behind; one more comes first and warms up.
template <typename Call>
double Runner::mean_seconds(const Call& call) {
  call();
  const auto start = Clock::now();
  for (int i = 0; i < options_.steps; ++i) call();
  const double seconds = seconds_between(start, Clock::now()) / options_.steps;
  hash_.add(logits_);
  return seconds;
}

double Runner::batch_seconds(State& state, std::int64_t context, std::int64_t tokens) {
  reach(state, context);
  std::vector<std::int32_t> fed;
  for (std::int64_t i = 0; i < tokens; ++i) fed.push_back(prompt_token(context + i));
  logits_.resize(static_cast<std::size_t>(tokens * model_->backend->config().vocab_size));
  const auto call = [&] { model_->backend->forward(state, fed, Backend::Logits::kAll, logits_); };
  return mean_seconds(call);
}

double Runner::draft_seconds(State& state, std::int64_t context, std::int64_t tokens) {
  reach(state, context);
  const std::int32_t first = prompt_token(context);
  model_->backend->forward(state, {&first, 1}, Backend::Logits::kNone, {});
  std::vector<std::int32_t> guesses(static_cast<std::size_t>(tokens));
  logits_.resize(static_cast<std::size_t>(tokens * model_->backend->config().vocab_size));
  const auto call = [&] { model_->backend->draft(state, first, guesses, logits_); };
  return mean_seconds(call);
}

template <typename Measure>
void Runner::measure_beside_one(std::vector<Batch>& out, std::string_view what,
                                const std::vector<std::int64_t>& sizes, std::int64_t room,
                                const Measure& measure) {
  const std::int64_t context = options_.contexts.empty() ? 0 : options_.contexts.front();
  const std::int64_t longest = model_->backend->config().max_position_embeddings;
  if (context + room > longest) {
    result_.notes.push_back(
        fmt::format("{} were left out: the model's longest context is {} tokens", what, longest));
    return;
  }
  const auto state = model_->backend->new_state(std::max<std::int64_t>(context + room, 1));
  for (const std::int64_t tokens : sizes) out.push_back({tokens, context, {}, {}});
  const auto all = static_cast<std::int64_t>(sizes.size()) * options_.repeats;
  const std::string doing = fmt::format("measuring {}", what);
  std::int64_t done = 0;
  for (int r = 0; r < options_.repeats; ++r) {
    for (Batch& batch : out) {
      report(doing, done++, all);
      const double one = batch_seconds(*state, context, 1);
      batch.seconds.values.push_back(measure(*state, context, batch.tokens));
      batch.ratios.values.push_back(batch.seconds.values.back() / one);
    }
  }
  report(doing, all, all);
}

void Runner::measure_batches() {
  std::vector<std::int64_t> sizes = options_.batches;
  std::erase_if(sizes, [&](std::int64_t tokens) { return !filter_.takes(batch_name(tokens)); });
  if (sizes.empty()) return;
  const std::int64_t room = (options_.steps + 1) * *std::ranges::max_element(sizes);
  measure_beside_one(result_.batches, "batches", sizes, room,
                     [this](State& state, std::int64_t context, std::int64_t tokens) {
                       return batch_seconds(state, context, tokens);
                     });
}

void Runner::measure_drafts() {
  std::vector<std::int64_t> sizes = options_.drafts;
  std::erase_if(sizes, [&](std::int64_t tokens) { return !filter_.takes(draft_name(tokens)); });
  if (sizes.empty()) return;
  if (!model_->backend->has_mtp()) {
    result_.notes.emplace_back(
        "drafts were left out: the model has no head that guesses ahead on this device");
    return;
  }
  const std::int64_t room = std::max<std::int64_t>(options_.steps + 1, 2 + *std::ranges::max_element(sizes));
  measure_beside_one(result_.drafts, "drafts", sizes, room,
                     [this](State& state, std::int64_t context, std::int64_t tokens) {
                       return draft_seconds(state, context, tokens);
                     });
}

void Runner::fit() {
  if (result_.decode.size() >= 2) result_.fit = theil_sen(contexts_, seconds_);
}

Result Runner::run() {
  result_.environment = describe_environment();
  result_.options = options_;
  result_.options.load.progress = nullptr;
  const std::int64_t longest =
      options_.contexts.empty() ? 0 : *std::ranges::max_element(options_.contexts) + steps_a_context_;
  model_ = open_model(options_, std::max(longest, options_.prefill_tokens));
  result_.model = model_->info;
  logits_.resize(static_cast<std::size_t>(model_->backend->config().vocab_size));
  const int threads = options_.load.threads > 0 ? options_.load.threads : usable_processors();
  result_.roof = measure_compute_roof(threads);
  if (const double bandwidth = model_->backend->measure_bandwidth(); bandwidth != 0) {
    rates_.push_back(bandwidth);
    result_.roof.phase_seconds = 0;  // the host's, and the phases are the device's
  } else {
    memory_.emplace(threads);
    memory_now();
  }

  measure_prefill();
  memory_now();
  const std::vector<std::int64_t> contexts = wanted_contexts();
  if (!contexts.empty()) {
    const auto state = model_->backend->new_state(contexts.back() + steps_a_context_);
    for (const std::int64_t context : contexts) measure_decode(*state, context);
  }
  fit();
  measure_batches();
  measure_drafts();
  if (!result_.prefill && result_.decode.empty() && result_.batches.empty() && result_.drafts.empty())
    fail_usage("nothing was measured: {}", result_.notes.front());
  result_.roof.bytes_per_second = median(rates_);
  result_.logits_hash = hash_.value();
  return std::move(result_);
}

}  // namespace

void Options::check() const {
  if (path.has_value() == shape.has_value()) fail_usage("give a model or --shape, one of the two");
  if (prefill_tokens < 0 || prefill_tokens > kMostTokens) {
    fail_usage("a prefill of {} tokens was asked for; give 0 to {}", prefill_tokens, kMostTokens);
  }
  if (contexts.size() > kMostContexts) fail_usage("more than {} contexts were given", kMostContexts);
  for (const std::int64_t context : contexts) {
    if (context < 0 || context > kMostTokens) {
      fail_usage("a context of {} tokens was asked for; give 0 to {}", context, kMostTokens);
    }
  }
  for (const auto& [sizes, name] : {std::pair{&batches, "batch"}, std::pair{&drafts, "draft"}}) {
    if (sizes->size() > kMostBatches) fail_usage("more than {} sizes of a {} were given", kMostBatches, name);
    for (const std::int64_t tokens : *sizes) {
      if (tokens < 1 || tokens > kMostBatch) {
        fail_usage("a {} of {} tokens was asked for; give 1 to {}", name, tokens, kMostBatch);
      }
    }
  }
  for (const auto& [value, name] : {std::pair{repeats, "repeats"}, std::pair{steps, "steps"}}) {
    if (value < 1 || value > kMostRepeats)
      fail_usage("{} {} were asked for; give 1 to {}", value, name, kMostRepeats);
  }
}

std::vector<std::string> benchmark_names(const Options& options) {
  std::vector<std::string> names;
  if (options.prefill_tokens > 0) names.push_back(prefill_name(options.prefill_tokens));
  for (const std::int64_t context : options.contexts) names.push_back(decode_name(context));
  for (const std::int64_t tokens : options.batches) names.push_back(batch_name(tokens));
  for (const std::int64_t tokens : options.drafts) names.push_back(draft_name(tokens));
  const Filter filter(options.filter);
  std::erase_if(names, [&](const std::string& name) { return !filter.takes(name); });
  return names;
}

Result run(const Options& options) {
  return Runner(options).run();
}

}  // namespace lattice::bench
