#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "convert/test_models.h"
#include "generate/ids_only.h"
#include "lattice/error.hpp"
#include "lattice/generate.hpp"
#include "lattice/perplexity.hpp"

// Keys and values beyond binary16: whoever keeps them in it must say so, and not write nonsense.

namespace lattice {
namespace {

using golden::Ids;

/// A copy of the base model whose tensor `name` is 10⁶ times as large: keys of about 10⁶, or values. In float
/// neither is a difficulty.
std::filesystem::path write_enlarged(const std::filesystem::path& directory, const std::string& name) {
  const std::filesystem::path from = golden::find_case("base").model;
  std::vector<float> values = values_of(*Checkpoint::open(from), name);
  for (float& x : values) x *= 1e6f;
  copy_model(from, directory, {{name, values}});
  return directory;
}

class LargeKeys : public testing::TestWithParam<const char*> {
 protected:
  static Model load(const std::filesystem::path& path, std::optional<KvPrecision> kv) {
    LoadOptions options;
    options.device = GetParam();
    options.threads = 2;
    options.kv = kv;
    return Model::load(path, options);
  }
  /// What the error says; empty where there is none.
  template <typename Call>
  static std::string said(const Call& call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::kInput);
      return error.what();
    }
    return {};
  }
  static std::string generating(const Model& model, const Ids& prompt) {
    Session session(model, 300);
    return said([&] { (void)generate(session, prompt, ids_only(4)); });
  }
};

TEST_P(LargeKeys, AreRefusedInF16AndTakenInF32) {
  const std::vector<Ids> prompts = {{7}, {1, 2, 3}, golden::find_case("base").prompts.back().ids};
  for (const char* name :
       {"model.layers.2.self_attn.k_norm.weight", "model.layers.2.self_attn.v_proj.weight"}) {
    SCOPED_TRACE(name);
    const TemporaryDirectory directory;
    write_enlarged(directory.path(), name);
    const Model usual = load(directory.path(), std::nullopt);
    const Model roomy = load(directory.path(), KvPrecision::kF32);
    for (const Ids& prompt : prompts) {
      const std::string error = generating(usual, prompt);
      EXPECT_NE(error.find("the model's logit of token 0 is"), std::string::npos) << error;
      EXPECT_NE(error.find("--kv f32"), std::string::npos) << error;
      EXPECT_EQ(generating(roomy, prompt), "");
    }
    const std::string error = said([&] { (void)perplexity(usual, prompts.back()); });
    EXPECT_NE(error.find("are not numbers"), std::string::npos) << error;
    EXPECT_NE(error.find("--kv f32"), std::string::npos) << error;
    EXPECT_EQ(said([&] { (void)perplexity(roomy, prompts.back()); }), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, LargeKeys, testing::Values("cpu", "soft"),
                         [](const auto& of) { return std::string(of.param); });

}  // namespace
}  // namespace lattice
