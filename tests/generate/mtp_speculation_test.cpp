#include <algorithm>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "convert/test_models.h"
#include "engine/session_impl.h"
#include "generate/ids_only.h"
#include "lattice/error.hpp"
#include "lattice/generate.hpp"

namespace lattice {
namespace {

using golden::Ids;

/// A model whose layers add nothing, so that a token's logits follow from the token alone, and whose head
/// computes the same: where the likeliest token is drawn, every guess comes true.
std::filesystem::path write_knowing_model(const std::filesystem::path& directory) {
  const std::filesystem::path from = golden::find_case("mtp").model;
  const auto source = Checkpoint::open(from);
  Replacements changed;
  for (const char* name :
       {"model.layers.0.linear_attn.out_proj.weight", "model.layers.0.mlp.down_proj.weight",
        "model.layers.1.self_attn.o_proj.weight", "model.layers.1.mlp.down_proj.weight",
        "mtp.layers.0.self_attn.o_proj.weight", "mtp.layers.0.mlp.down_proj.weight", "mtp.fc.weight",
        "mtp.pre_fc_norm_embedding.weight"}) {
    changed[name] = std::vector<float>(values_of(*source, name).size(), 0.0f);
  }
  const std::size_t size = changed["mtp.pre_fc_norm_embedding.weight"].size();
  for (std::size_t i = 0; i < size; ++i) changed["mtp.fc.weight"][i * 2 * size + i] = 1;
  changed["mtp.norm.weight"] = values_of(*source, "model.norm.weight");
  copy_model(from, directory, changed);
  return directory;
}

Model load(const std::filesystem::path& path, int threads, bool mtp = true) {
  LoadOptions options;
  options.device = "cpu";
  options.threads = threads;
  options.mtp = mtp;
  return Model::load(path, options);
}

const std::vector<Ids>& prompts() {
  static const std::vector<Ids> all = {
      {7}, {1, 2, 3, 1, 2, 3, 1, 2}, Ids(30, 5), golden::find_case("mtp").prompts[3].ids};
  return all;
}

struct Tally {
  std::int64_t drafted = 0;
  std::int64_t accepted = 0;
};

/// The same generation with guesses of every kind and without, and what follows it.
void expect_the_same(const Model& model, const Ids& prompt, const GenerateOptions& options,
                     std::int64_t context, Tally& by_head) {
  Session plain(model, context);
  const Generation expected = generate(plain, prompt, options);
  for (const Draft draft : {Draft::kLookup, Draft::kMtp, Draft::kAuto}) {
    for (const std::int64_t guesses : {0, 1, 3, 7}) {
      SCOPED_TRACE(std::string(draft_name(draft)) + ", guesses a pass: " + std::to_string(guesses));
      GenerateOptions with = options;
      with.draft = draft;
      with.draft_tokens = guesses;
      Session session(model, context);
      const Generation made = generate(session, prompt, with);
      ASSERT_EQ(made.tokens, expected.tokens);
      EXPECT_EQ(made.finish_reason, expected.finish_reason);
      EXPECT_EQ(made.decode_steps + made.accepted_tokens, made.decode_tokens);
      EXPECT_LE(made.accepted_tokens, made.drafted_tokens);
      EXPECT_TRUE(std::ranges::equal(session.logits(), plain.logits()));
      if (session.position() < context) {
        Session again(model, context);
        (void)generate(again, prompt, options);
        session.feed(9);
        again.feed(9);
        EXPECT_TRUE(std::ranges::equal(session.logits(), again.logits()));
      }
      if (draft == Draft::kLookup) continue;
      by_head.drafted += made.drafted_tokens;
      by_head.accepted += made.accepted_tokens;
    }
  }
}

/// Greedy and drawn, with a head that is mostly wrong.
TEST(MtpSpeculation, LeavesTokensAsTheyAre) {
  Tally tally;
  std::uint64_t seed = 1;
  for (const int threads : {1, 2, 3}) {
    const Model model = load(golden::find_case(threads == 2 ? "mtp_gguf" : "mtp").model, threads);
    // More threads than processors take turns at every barrier.
    for (const Ids& prompt : std::span(prompts()).first(threads == 3 ? 1 : prompts().size())) {
      for (const Sampling& sampling :
           {Sampling{}, Sampling{.temperature = 1}, Sampling{.temperature = 0.6f, .top_k = 20, .top_p = 0.9f},
            Sampling{.temperature = 0.9f, .min_p = 0.02f, .presence_penalty = 1.5f}}) {
        GenerateOptions options = ids_only(16);
        options.sampling = sampling;
        options.sampling.seed = ++seed;
        expect_the_same(model, prompt, options, 512, tally);
      }
    }
  }
  EXPECT_GT(tally.accepted, 0);
  EXPECT_GT(tally.drafted, 2 * tally.accepted);
}

/// And with one that is always right where the likeliest token is taken, and sometimes where one is drawn.
TEST(MtpSpeculation, TakesWhatComesTrue) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = write_knowing_model(directory.path());
  for (const int threads : {1, 2}) {
    const Model model = load(path, threads);
    Tally greedy, drawn;
    for (const Ids& prompt : prompts()) {
      expect_the_same(model, prompt, ids_only(40), 512, greedy);
      GenerateOptions options = ids_only(40);
      options.sampling = {.temperature = 0.5f, .seed = 3};
      expect_the_same(model, prompt, options, 512, drawn);
    }
    EXPECT_GT(greedy.drafted, 100);
    EXPECT_EQ(greedy.accepted, greedy.drafted);
    EXPECT_GT(drawn.accepted, 20);
    EXPECT_LT(drawn.accepted, drawn.drafted);
  }
}

TEST(MtpSpeculation, TakesAPassForEachHandfulOfTokens) {
  const TemporaryDirectory directory;
  const Model model = load(write_knowing_model(directory.path()), 1);
  GenerateOptions options = ids_only(41);  // one from the prompt's logits, and forty
  options.draft = Draft::kMtp;
  for (const std::int64_t guesses : {1, 3, 7}) {
    options.draft_tokens = guesses;
    Session session(model, 512);
    const Generation made = generate(session, prompts()[1], options);
    EXPECT_EQ(made.decode_steps, 40 / (guesses + 1));
    EXPECT_EQ(made.decode_tokens, 40);
  }
}

/// Wherever the text ends, within what was guessed or not.
TEST(MtpSpeculation, EndsWhereItWouldEnd) {
  const TemporaryDirectory directory;
  const Model model = load(write_knowing_model(directory.path()), 1);
  const Ids& prompt = prompts()[1];
  Tally tally;
  for (std::int64_t most = 1; most <= 9; ++most) expect_the_same(model, prompt, ids_only(most), 512, tally);
  for (std::int64_t room = 1; room <= 9; ++room) {
    expect_the_same(model, prompt, ids_only(0), static_cast<std::int64_t>(prompt.size()) + room, tally);
  }
  EXPECT_GT(tally.accepted, 0);
}

/// A callback may use its session: take snapshots, feed it, fill it up, empty it.
TEST(MtpSpeculation, DoesNotMindACallbackThatUsesItsSession) {
  const TemporaryDirectory directory;
  for (const std::filesystem::path& path :
       {golden::find_case("mtp").model, write_knowing_model(directory.path())}) {
    const Model model = load(path, 1);
    const auto tokens_of = [&](Draft draft) {
      Session session(model, 60);
      GenerateOptions options = ids_only(30);
      options.draft = draft;
      int calls = 0;
      options.on_token = [&](Token, std::string_view) {
        if (++calls % 4 == 0) session.take_snapshot();
        if (calls % 5 == 0) (void)session.logits();
        if (calls == 11) session.feed(3);
        if (calls == 15) session.reset();
        if (calls == 20) (void)session.sync(prompts()[1]);
        if (calls == 28) session.feed(Ids(static_cast<std::size_t>(60 - session.position() - 2), 4));
        return true;
      };
      return generate(session, prompts()[1], options).tokens;
    };
    const Ids expected = tokens_of(Draft::kNone);
    EXPECT_EQ(tokens_of(Draft::kMtp), expected);
    EXPECT_EQ(tokens_of(Draft::kLookup), expected);
  }
}

TEST(MtpSpeculation, IsAutomaticWhereTheHeadIsLoaded) {
  const std::filesystem::path path = golden::find_case("mtp").model;
  GenerateOptions options = ids_only(20);
  const auto drafted = [&](const Model& model, Draft draft) {
    options.draft = draft;
    Session session(model, 512);
    return generate(session, Ids{3, 1, 4}, options).drafted_tokens;
  };
  const Model with = load(path, 1, /*mtp=*/true);
  EXPECT_GT(drafted(with, Draft::kMtp), 0);
  EXPECT_EQ(drafted(with, Draft::kAuto), drafted(with, Draft::kMtp));
  const Model without = load(path, 1, /*mtp=*/false);
  EXPECT_EQ(drafted(without, Draft::kAuto), drafted(without, Draft::kLookup));
  // A checkpoint that has none does not mind being asked.
  const Model base = load(golden::find_case("base").model, 1, /*mtp=*/true);
  EXPECT_EQ(drafted(base, Draft::kAuto), drafted(base, Draft::kLookup));
}

TEST(MtpSpeculation, IsRefusedWhereItCannotBe) {
  const auto refusal = [](const Model& model) {
    GenerateOptions options = ids_only(4);
    options.draft = Draft::kMtp;
    return refusal_of(model, options);
  };
  const std::filesystem::path base = golden::find_case("base").model;
  EXPECT_EQ(refusal(load(base, 1)),
            base.string() +
                ": the checkpoint has no head that guesses ahead (MTP); draft by lookup, or not at all");
  EXPECT_NE(refusal(load(golden::find_case("mtp").model, 1, /*mtp=*/false))
                .find("loaded without its head that guesses ahead"),
            std::string::npos);
  for (const char* device : {"reference", "soft"}) {
    LoadOptions options;
    options.device = device;
    options.mtp = true;
    EXPECT_NE(refusal(Model::load(golden::find_case("mtp").model, options)).find("cannot take guesses back"),
              std::string::npos)
        << device;
  }
}

/// Where nobody drafts, the head's values are not even looked at.
TEST(MtpSpeculation, ADamagedHeadIsRefusedWhereItIsLoaded) {
  const TemporaryDirectory directory;
  const std::filesystem::path from = golden::find_case("mtp").model;
  std::vector<float> fc = values_of(*Checkpoint::open(from), "mtp.fc.weight");
  fc[5] = std::numeric_limits<float>::quiet_NaN();
  copy_model(from, directory.path(), {{"mtp.fc.weight", fc}});
  EXPECT_NO_THROW((void)load(directory.path(), 1, /*mtp=*/false));
  try {
    (void)load(directory.path(), 1, /*mtp=*/true);
    ADD_FAILURE() << "was loaded";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("tensor mtp.fc.weight has a value that is not finite in row 0"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace lattice
