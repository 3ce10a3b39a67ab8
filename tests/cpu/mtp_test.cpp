#include <algorithm>
#include <cmath>
#include <random>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/cpu_backend.h"
#include "cpu/exact_backends.h"
#include "model/mtp_conformance.h"
#include "model/reference.h"

namespace lattice {
namespace {

using Ids = golden::Ids;
using Logits = Backend::Logits;

INSTANTIATE_TEST_SUITE_P(Cpu, MtpConformance, testing::ValuesIn(exact_backends()), backend_name);

/// A sequence that is fed on some backend, and what its head then says.
class Drafter {
 public:
  Drafter(const golden::LoadedModel& model, const CpuOptions& options)
      : Drafter(make_cpu_backend(model.config, model.weights, options)) {}
  explicit Drafter(std::unique_ptr<Backend> backend)
      : backend_(std::move(backend)), state_(backend_->new_state(kCapacity)) {}

  void feed(std::span<const std::int32_t> ids) { backend_->forward(*state_, ids, Logits::kNone, {}); }
  void rewind(std::int64_t to) { state_->rewind(to); }
  void go_on_with_a_clone() { state_ = state_->clone(); }
  std::vector<float> logits(std::int32_t token, std::size_t count) {
    guesses.resize(count);
    std::vector<float> rows(count * static_cast<std::size_t>(backend_->config().vocab_size));
    backend_->draft(*state_, token, guesses, rows);
    return rows;
  }
  [[nodiscard]] std::int64_t position() const { return state_->position(); }

  Ids guesses;  ///< of the last call of logits()

 private:
  static constexpr std::int64_t kCapacity = 600;

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<State> state_;
};

Ids random_ids(std::size_t count, std::int64_t vocab, std::mt19937& random) {
  Ids ids(count);
  for (auto& id : ids)
    id = std::uniform_int_distribution<std::int32_t>(0, static_cast<std::int32_t>(vocab) - 1)(random);
  return ids;
}

/// On other tokens than the golden files', drawn anew for each number of them, and with keys and values in
/// binary16. Both compute in float32: the bound is the conformance tests'; binary16 keeps 11 bits of keys and
/// values of about 1, which reach logits of standard deviation 3 as about 3 · 2^-11 · √(tokens' weight), and
/// the worst of some thousand as a few times that.
TEST(CpuMtp, AgreesWithTheReference) {
  std::mt19937 random(11);
  for (const char* name : {"mtp", "mtp_tied", "mtp_gguf"}) {
    const golden::LoadedModel model = golden::load_model(golden::find_case(name).model);
    for (const std::size_t count : {1, 2, 7, 8, 9, 31, 130, 200}) {
      SCOPED_TRACE(std::string(name) + ", " + std::to_string(count) + " tokens");
      const Ids ids = random_ids(count, model.config.vocab_size, random);
      Drafter reference(make_reference_backend(model.config, model.weights));
      reference.feed(ids);
      const std::vector<float> expected = reference.logits(ids[0], 4);
      for (const KvFormat kv : {KvFormat::kF32, KvFormat::kF16}) {
        CpuOptions options;
        options.exact = true;
        options.kv = kv;
        Drafter cpu(model, options);
        cpu.feed(ids);
        const std::vector<float> actual = cpu.logits(ids[0], 4);
        const double limit = kv == KvFormat::kF16 ? 2e-2 : 2e-3;
        for (std::size_t i = 0; i < actual.size(); ++i) {
          // Behind a guess that fell otherwise, the head goes another way.
          const std::size_t guess = i / static_cast<std::size_t>(model.config.vocab_size);
          if (!std::equal(cpu.guesses.begin(), cpu.guesses.begin() + static_cast<std::ptrdiff_t>(guess),
                          reference.guesses.begin())) {
            EXPECT_EQ(kv, KvFormat::kF16);
            break;
          }
          ASSERT_NEAR(actual[i], expected[i], limit) << "logit " << i;
        }
      }
    }
  }
}

TEST(CpuMtp, DoesNotDependOnTheNumberOfThreads) {
  std::mt19937 random(12);
  for (const char* name : {"mtp_tied", "mtp_gguf"}) {
    const golden::LoadedModel model = golden::load_model(golden::find_case(name).model);
    const Ids ids = random_ids(150, model.config.vocab_size, random);
    std::vector<float> expected;
    for (const int threads : {1, 2, 3, 5}) {
      CpuOptions options;
      options.threads = threads;
      Drafter cpu(model, options);
      cpu.feed(std::span(ids).first(140));
      cpu.feed(std::span(ids).subspan(140, 6));
      for (std::size_t i = 146; i < ids.size(); ++i) cpu.feed({&ids[i], 1});
      const std::vector<float> logits = cpu.logits(3, 7);
      if (threads == 1) expected = logits;
      EXPECT_EQ(logits, expected) << name << ", " << threads << " threads";
    }
  }
}

/// Steps taken together, of which some are taken back, beside the remaining ones taken one by one; prompts,
/// clones and drafts in between. Bit for bit.
TEST(CpuMtp, ComesBackWithTheTokensThatAreTakenBack) {
  std::mt19937 random(13);
  const auto any = [&](std::size_t from, std::size_t to) {
    return std::uniform_int_distribution<std::size_t>(from, to)(random);
  };
  for (const char* name : {"mtp", "mtp_tied", "mtp_gguf"}) {
    const golden::LoadedModel model = golden::load_model(golden::find_case(name).model);
    for (const KvFormat kv : {KvFormat::kF32, KvFormat::kF16}) {
      CpuOptions options;
      options.threads = 2;
      options.kv = kv;
      Drafter walk(model, options), plain(model, options);
      for (int i = 0; i < 60; ++i) {
        SCOPED_TRACE(std::string(name) + ", step " + std::to_string(i));
        const std::int64_t before = walk.position();
        if (i % 20 == 9) {
          const Ids prompt = random_ids(any(9, 40), model.config.vocab_size, random);
          walk.feed(prompt);
          plain.feed(prompt);
        } else {
          const Ids ids = random_ids(any(1, 8), model.config.vocab_size, random);
          const std::size_t kept = any(1, ids.size());
          walk.feed(ids);
          walk.rewind(before + static_cast<std::int64_t>(kept));
          for (std::size_t k = 0; k < kept; ++k) plain.feed({&ids[k], 1});
        }
        if (i % 7 == 3) walk.go_on_with_a_clone();
        ASSERT_EQ(walk.position(), plain.position());
        ASSERT_TRUE(walk.logits(1, 3) == plain.logits(1, 3));
        ASSERT_EQ(walk.guesses, plain.guesses);
      }
    }
  }
}

/// Int8 activations are an approximation (activation_test.cpp). What they must not do is to make a head that
/// is of no use: over random tokens it guesses mostly as it does in float.
TEST(CpuMtp, GuessesMostlyTheSameWithInt8Activations) {
  std::mt19937 random(14);
  const golden::LoadedModel model = golden::load_model(golden::find_case("mtp_gguf").model);
  CpuOptions exact;
  exact.exact = true;
  Drafter in_float(model, exact), in_int8(model, {});
  int same = 0;
  constexpr int kTokens = 200;
  for (int i = 0; i < kTokens; ++i) {
    const Ids ids = random_ids(1, model.config.vocab_size, random);
    in_float.feed(ids);
    in_int8.feed(ids);
    (void)in_float.logits(2, 1);
    (void)in_int8.logits(2, 1);
    same += in_float.guesses == in_int8.guesses ? 1 : 0;
  }
  EXPECT_GT(same, kTokens / 2) << same << " of " << kTokens;
}

}  // namespace
}  // namespace lattice
