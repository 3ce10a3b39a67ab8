#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "lattice/model.hpp"
#include "lattice/sampling.hpp"

// Sampling in float64, by sorting everything: what the samplers are held to.

namespace lattice {

using Logits = std::vector<float>;
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

inline std::int64_t size_of(const Logits& logits) {
  return static_cast<std::int64_t>(logits.size());
}

/// Every token's probability, in float64 and by sorting them all.
inline std::vector<double> probabilities(const Logits& logits, const Sampling& sampling) {
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  if (sampling.top_k != 0) order.resize(std::min(order.size(), static_cast<std::size_t>(sampling.top_k)));
  const auto weight = [&](std::size_t id) {
    return std::exp((double{logits[id]} - double{logits[order[0]]}) / double{sampling.temperature});
  };
  double total = 0;
  for (const std::size_t id : order) total += weight(id);
  double sum = 0;
  std::size_t kept = 0;
  while (kept < order.size() && (kept == 0 || sum < double{sampling.top_p} * total))
    sum += weight(order[kept++]);
  order.resize(sampling.top_p == 1 ? order.size() : kept);
  std::vector<double> out(logits.size());
  double rest = 0;
  for (const std::size_t id : order) {
    if (weight(id) < double{sampling.min_p}) continue;
    out[id] = weight(id);
    rest += out[id];
  }
  for (double& p : out) p /= rest;
  return out;
}

/// The token at which the probabilities, added up by id, pass `u`.
inline Token token_at(const std::vector<double>& probability, double u) {
  double sum = 0;
  for (std::size_t id = 0; id < probability.size(); ++id) {
    sum += probability[id];
    if (sum > u) return static_cast<Token>(id);
  }
  return -1;
}

inline Logits random_logits(std::mt19937& random, std::size_t size, float spread, bool with_ties) {
  std::normal_distribution<float> normal(0, spread);
  Logits logits(size);
  for (float& logit : logits) logit = with_ties ? std::round(normal(random)) : normal(random);
  return logits;
}

}  // namespace lattice
