#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/weights.h"

// What Hugging Face transformers computes from the shipped model and from the small checkpoints of odd shapes
// under tests/data/model, as tools/make_goldens.py recorded it.

namespace lattice::golden {

using Ids = std::vector<std::int32_t>;

/// An opened checkpoint with everything that a backend is made from.
struct LoadedModel {
  std::unique_ptr<Checkpoint> checkpoint;
  Config config;
  Weights weights;
};

inline LoadedModel load_model(const std::filesystem::path& path) {
  LoadedModel model;
  model.checkpoint = Checkpoint::open(path);
  model.config = Config::from(*model.checkpoint);
  model.weights = Weights::bind(*model.checkpoint, model.config);
  return model;
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot open " + path.string());
  return nlohmann::json::parse(file);
}

inline std::filesystem::path shipped_model_path() {
  return std::filesystem::path(LATTICE_SOURCE_DIR) / "models" / "tinystories-qwen35";
}

/// The logits before one greedy token of the shipped model.
struct Step {
  std::vector<std::pair<std::int32_t, float>> top10;  ///< best first
  double logsumexp = 0;
};

struct ShippedPrompt {
  Ids ids;
  Ids continuation;         ///< greedy
  std::vector<Step> steps;  ///< of the first 32 tokens of the continuation
};

struct ShippedGolden {
  std::vector<ShippedPrompt> prompts;
  Ids text;  ///< the first 4096 tokens of the held-out stories
  std::map<std::int64_t, double>
      nll_of_first;  ///< tokens read in one pass → mean −log p of all but the first
};

inline ShippedGolden shipped() {
  const nlohmann::json json = read_json(shipped_model_path() / "golden.json");
  ShippedGolden golden;
  for (const nlohmann::json& entry : json.at("prompts")) {
    ShippedPrompt prompt{entry.at("prompt_ids").get<Ids>(), entry.at("continuation_ids").get<Ids>(), {}};
    for (const nlohmann::json& step : entry.at("steps")) {
      prompt.steps.push_back({step.at("top10").get<std::vector<std::pair<std::int32_t, float>>>(),
                              step.at("logsumexp").get<double>()});
    }
    golden.prompts.push_back(std::move(prompt));
  }
  const nlohmann::json& perplexity = json.at("perplexity");
  golden.text = perplexity.at("token_ids").get<Ids>();
  for (const auto& [n_tokens, nll] : perplexity.at("mean_nll_of_first").items()) {
    golden.nll_of_first[std::stoll(n_tokens)] = nll.get<double>();
  }
  golden.nll_of_first[perplexity.at("tokens").get<std::int64_t>()] = perplexity.at("mean_nll").get<double>();
  return golden;
}

/// What a head that guesses ahead says.
struct GoldenDraft {
  std::int64_t after = 0;  ///< tokens fed
  std::int32_t token = 0;  ///< that comes next
  Ids guesses;
  std::vector<float> logits;  ///< [guesses, vocab]
};

/// A prompt through a checkpoint of odd shape: one pass over `ids`, then `continuation` token by token.
struct CasePrompt {
  Ids ids;
  Ids continuation;
  std::vector<double> logsumexp;               ///< of the logits after every token of `ids`
  std::vector<float> last_logits;              ///< after the last of `ids`
  std::vector<double> continuation_logsumexp;  ///< after every token of `continuation`
  std::vector<float> continuation_last_logits;
  std::vector<GoldenDraft> drafts;  ///< after `ids` and after `continuation`; none where there is no head
};

struct Case {
  std::string name;
  std::filesystem::path model;  ///< for Checkpoint::open
  std::vector<CasePrompt> prompts;
};

inline std::vector<GoldenDraft> read_drafts(const nlohmann::json& prompt) {
  std::vector<GoldenDraft> out;
  if (!prompt.contains("drafts")) return out;
  for (const nlohmann::json& entry : prompt.at("drafts")) {
    GoldenDraft draft{entry.at("after"), entry.at("token"), entry.at("guesses").get<Ids>(), {}};
    for (const nlohmann::json& row : entry.at("logits")) {
      const auto logits = row.get<std::vector<float>>();
      draft.logits.insert(draft.logits.end(), logits.begin(), logits.end());
    }
    out.push_back(std::move(draft));
  }
  return out;
}

/// All checkpoints of odd shapes, by name.
inline std::vector<Case> cases() {
  std::vector<Case> cases;
  const std::filesystem::path root = std::filesystem::path(LATTICE_SOURCE_DIR) / "tests" / "data" / "model";
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    Case one{entry.path().filename().string(), entry.path(), {}};
    if (std::filesystem::exists(entry.path() / "model.gguf")) one.model /= "model.gguf";
    const nlohmann::json golden = read_json(entry.path() / "golden.json");
    for (const nlohmann::json& prompt : golden.at("prompts")) {
      one.prompts.push_back({prompt.at("ids").get<Ids>(), prompt.at("continuation").get<Ids>(),
                             prompt.at("logsumexp").get<std::vector<double>>(),
                             prompt.at("last_logits").get<std::vector<float>>(),
                             prompt.at("continuation_logsumexp").get<std::vector<double>>(),
                             prompt.at("continuation_last_logits").get<std::vector<float>>(),
                             read_drafts(prompt)});
    }
    cases.push_back(std::move(one));
  }
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.name < b.name; });
  return cases;
}

/// The case called `name`.
inline Case find_case(const std::string& name) {
  for (Case& one : cases()) {
    if (one.name == name) return std::move(one);
  }
  throw std::runtime_error("there is no tests/data/model/" + name);
}

}  // namespace lattice::golden
