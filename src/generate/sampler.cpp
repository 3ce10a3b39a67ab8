#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "generate/philox.h"
#include "model/damaged_logits.h"
#include "support/fail.h"

namespace lattice {
namespace {

// The logits are read as rows of this many columns, whose maxima stay in the first-level cache (16 KiB).
// Among the k largest column maxima each stands for another token, so the k-th of them bounds the k-th logit
// from below; the usual k (20 to 100) is far smaller, and hardly more than k logits reach that bound.
constexpr std::size_t kColumns = 4096;

// Half of them or more come from the caches of other cores, which no prefetcher follows: so that many are
// asked for at a time, so far ahead.
constexpr std::size_t kAsked = 128;
constexpr std::size_t kAhead = 1024;
constexpr std::size_t kLogitsOfLine = 16;

}  // namespace

Sampler::Sampler(const Sampling& sampling, std::int64_t n_ids)
    : sampling_(sampling), n_ids_(static_cast<std::size_t>(n_ids)), penalties_(sampling, n_ids) {
  sampling.check();
  if (n_ids < 1) fail_usage("there are no tokens to draw from");
  if (penalties_.are_active()) penalised_.resize(n_ids_);
  column_max_.resize(std::min(kColumns, n_ids_));
  if (sampling.is_greedy()) return;
  column_scratch_.resize(column_max_.size());
  candidates_.reserve(n_ids_);
  scratch_.reserve(n_ids_);
}

DrawOptions Sampler::draw_options(std::int64_t most) const {
  return {.sampling = sampling_,
          .n_ids = static_cast<std::int64_t>(n_ids_),
          .seen = penalties_.are_active() ? penalties_.words() : std::vector<std::uint32_t>(),
          .most = most};
}

Token Sampler::draw(std::span<const float> logits, std::int64_t position) {
  const std::span<const float> scores = penalised(logits.first(n_ids_));
  const float largest = find_largest(scores);
  if (sampling_.is_greedy()) return first_of(scores, largest);
  keep_top_k(scores);
  weigh(largest);
  keep_top_p();
  keep_min_p();
  return pick(position);
}

std::span<const float> Sampler::penalised(std::span<const float> logits) {
  if (!penalties_.are_active()) return logits;
  std::copy(logits.begin(), logits.end(), penalised_.begin());
  penalties_.apply(penalised_);
  return penalised_;
}

/// The largest logit; leaves those of the columns in column_max_.
float Sampler::find_largest(std::span<const float> logits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::fill(column_max_.begin(), column_max_.end(), -kInfinity);
  unsigned is_bad = 0;
  for (std::size_t row = 0; row < n_ids_; row += column_max_.size()) {
    const std::size_t columns = std::min(column_max_.size(), n_ids_ - row);
    const float* in = logits.data() + row;
    float* out = column_max_.data();
    for (std::size_t first = 0; first < columns; first += kAsked) {
      for (std::size_t i = 0; i < kAsked; i += kLogitsOfLine) __builtin_prefetch(in + first + kAhead + i);
      const std::size_t last = std::min(first + kAsked, columns);
      for (std::size_t i = first; i < last; ++i) {
        out[i] = in[i] > out[i] ? in[i] : out[i];
        is_bad |= static_cast<unsigned>(!(in[i] < kInfinity));  // +∞ or NaN
      }
    }
  }
  if (is_bad != 0) {
    const auto bad = std::find_if(logits.begin(), logits.end(), [](float x) { return !(x < kInfinity); });
    fail_damaged_logit(bad - logits.begin(), *bad);
  }
  const float largest = *std::max_element(column_max_.begin(), column_max_.end());
  if (largest == -kInfinity) fail_no_token();
  return largest;
}

/// The first token with the largest logit, by the columns that have it.
Token Sampler::first_of(std::span<const float> logits, float largest) const {
  std::size_t first = n_ids_;
  for (std::size_t column = 0; column < column_max_.size(); ++column) {
    if (column_max_[column] != largest) continue;
    for (std::size_t id = column; id < first; id += column_max_.size()) {
      if (logits[id] == largest) first = id;
    }
  }
  return static_cast<Token>(first);
}

/// Makes `candidates_` the k likeliest tokens, or all that are possible.
void Sampler::keep_top_k(std::span<const float> logits) {
  const auto k = static_cast<std::size_t>(sampling_.top_k);
  const bool selects = k != 0 && k < n_ids_;
  float least = std::numeric_limits<float>::lowest();
  if (selects && k <= column_max_.size()) {
    std::copy(column_max_.begin(), column_max_.end(), column_scratch_.begin());
    const auto kth = column_scratch_.begin() + static_cast<std::ptrdiff_t>(k) - 1;
    std::nth_element(column_scratch_.begin(), kth, column_scratch_.end(), std::greater<>());
    least = std::max(least, *kth);
  }
  candidates_.clear();
  for (std::size_t id = 0; id < n_ids_; ++id) {
    if (logits[id] >= least) candidates_.push_back({static_cast<Token>(id), logits[id], 0});
  }
  if (!selects || candidates_.size() <= k) return;
  scratch_.assign(candidates_.begin(), candidates_.end());
  const auto kth = scratch_.begin() + static_cast<std::ptrdiff_t>(k) - 1;
  std::nth_element(scratch_.begin(), kth, scratch_.end(), is_likelier);
  keep_until(*kth);
}

void Sampler::weigh(float largest) {
  const double temperature = sampling_.temperature;
  for (Candidate& candidate : candidates_) {
    candidate.weight = std::exp((double{candidate.logit} - double{largest}) / temperature);
  }
}

/// Keeps the fewest of the likeliest that together have top_p of the probability (Holtzman et al., "The
/// curious case of neural text degeneration", 2020).
void Sampler::keep_top_p() {
  const double top_p = sampling_.top_p;
  if (top_p == 1) return;
  const auto mass = [](auto first, auto last) {
    return std::accumulate(first, last, 0.0, [](double sum, const Candidate& c) { return sum + c.weight; });
  };
  const double total = mass(candidates_.begin(), candidates_.end());
  const double wanted = top_p * total;
  // All tokens lighter than this have less than 1 − top_p together, so that the others hold the answer: often
  // a few hundred of 250,000.
  const double least = (1 - top_p) * total / static_cast<double>(candidates_.size());
  scratch_.clear();
  std::copy_if(candidates_.begin(), candidates_.end(), std::back_inserter(scratch_),
               [least](const Candidate& candidate) { return candidate.weight >= least; });
  // Quickselect by weight. What stands before `first` is likelier than the rest and weighs less than wanted;
  // the token that completes the wanted weight is in [first, last), which halves each time.
  auto first = scratch_.begin();
  auto last = scratch_.end();
  double before = 0;
  while (last - first > 1) {
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last, is_likelier);
    const double half = mass(first, middle);
    if (before + half >= wanted) {
      last = middle;
    } else {
      before += half;
      first = middle;
    }
  }
  keep_until(*first);
}

void Sampler::keep_min_p() {
  const double least = sampling_.min_p;
  if (least == 0) return;
  std::erase_if(candidates_, [least](const Candidate& candidate) { return candidate.weight < least; });
}

void Sampler::keep_until(const Candidate& last) {
  // A copy, since `last` may stand in what is changed.
  std::erase_if(candidates_, [last](const Candidate& candidate) { return is_likelier(last, candidate); });
}

/// Goes through the candidates by id until their weights add up to a random part of all.
Token Sampler::pick(std::int64_t position) const {
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  const double wanted = uniform_at(sampling_.seed, static_cast<std::uint64_t>(position)) * total;
  double sum = 0;
  for (const Candidate& candidate : candidates_) {
    sum += candidate.weight;
    if (sum > wanted) return candidate.id;
  }
  // uniform_at() · total rounded up to total. The sums are the same, so that the last one with a weight is
  // it.
  const auto last = std::find_if(candidates_.rbegin(), candidates_.rend(),
                                 [](const Candidate& candidate) { return candidate.weight > 0; });
  return last->id;
}

}  // namespace lattice
