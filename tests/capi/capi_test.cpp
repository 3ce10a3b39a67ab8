#include <array>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "capi/use_from_c.h"
#include "engine/fixtures.h"
#include "lattice/lattice.h"

namespace {

using lattice::CheckpointCopy;
namespace golden = lattice::golden;

std::string shipped() {
  return golden::shipped_model_path().string();
}
std::string base() {
  return golden::find_case("base").model.string();
}

/// Expects a call to have failed with `status` and a message that has `part`.
void expect_failure(lattice_status got, lattice_status status, const std::string& part) {
  EXPECT_EQ(got, status) << lattice_last_error();
  EXPECT_NE(std::string(lattice_last_error()).find(part), std::string::npos) << lattice_last_error();
}

/// A model and a session of it, freed at the end.
class CApi : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(lattice_model_load(base().c_str(), nullptr, &model), LATTICE_OK) << lattice_last_error();
    ASSERT_EQ(lattice_session_create(model, 0, &session), LATTICE_OK) << lattice_last_error();
  }
  void TearDown() override {
    lattice_session_free(session);
    lattice_model_free(model);
  }
  lattice_model* model = nullptr;
  lattice_session* session = nullptr;
  const std::array<int32_t, 3> tokens{1, 2, 3};
};

TEST(CApiUse, WorksFromC) {
  std::array<char, 1024> problem{};
  EXPECT_EQ(lattice_use_from_c(shipped().c_str(), problem.data(), problem.size()), 1) << problem.data();
}

TEST(CApiUse, ContinuesAsHuggingFaceDoes) {
  const golden::ShippedPrompt prompt = golden::shipped().prompts.front();
  lattice_model* model = nullptr;
  lattice_session* session = nullptr;
  ASSERT_EQ(lattice_model_load(shipped().c_str(), nullptr, &model), LATTICE_OK) << lattice_last_error();
  ASSERT_EQ(lattice_session_create(model, 0, &session), LATTICE_OK) << lattice_last_error();
  lattice_generate_options options;
  lattice_generation generation;
  ASSERT_EQ(lattice_generate_options_init(&options, sizeof options), LATTICE_OK);
  ASSERT_EQ(lattice_generation_init(&generation, sizeof generation), LATTICE_OK);
  options.ids_only = 1;
  options.ignore_eos = 1;
  options.max_tokens = static_cast<int64_t>(prompt.continuation.size());
  ASSERT_EQ(lattice_generate(session, prompt.ids.data(), prompt.ids.size(), &options, &generation),
            LATTICE_OK)
      << lattice_last_error();
  EXPECT_EQ(golden::Ids(generation.tokens, generation.tokens + generation.token_count), prompt.continuation);
  EXPECT_EQ(generation.text_length, 0u);
  lattice_generation_clear(&generation);
  EXPECT_EQ(generation.tokens, nullptr);
  lattice_generation_clear(&generation);  // once more does no harm
  lattice_session_free(session);
  lattice_model_free(model);
}

TEST(CApiUse, RendersConversations) {
  const CheckpointCopy copy(golden::shipped_model_path());
  copy.write("chat_template.jinja", "{{ messages }}");
  lattice_model* model = nullptr;
  ASSERT_EQ(lattice_model_load(copy.path().c_str(), nullptr, &model), LATTICE_OK) << lattice_last_error();
  const lattice_tool_call call{"clock", R"({"zone": "UTC"})"};
  const lattice_message messages[] = {{"system", "Be brief.", nullptr, nullptr, 0},
                                      {"user", "What time is it?", nullptr, nullptr, 0},
                                      {"assistant", "", "They want the time.", &call, 1},
                                      {"tool", "12:00", nullptr, nullptr, 0}};
  const char* tools[] = {R"({"name": "clock"})"};
  lattice_chat_options options;
  ASSERT_EQ(lattice_chat_options_init(&options, sizeof options), LATTICE_OK);
  EXPECT_EQ(options.add_generation_prompt, 1);
  EXPECT_EQ(options.enable_thinking, -1);
  options.tools = tools;
  options.tool_count = 1;
  char* prompt = nullptr;
  size_t length = 0;
  ASSERT_EQ(lattice_model_apply_chat_template(model, messages, 4, &options, &prompt, &length), LATTICE_OK)
      << lattice_last_error();
  const std::string text(prompt, length);
  EXPECT_EQ(std::strlen(prompt), length);
  for (const char* part :
       {"Be brief.", "What time is it?", "clock", "UTC", "12:00", "<|im_start|>assistant"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }
  lattice_free(prompt);
  prompt = nullptr;
  options.enable_thinking = 2;
  expect_failure(lattice_model_apply_chat_template(model, messages, 4, &options, &prompt, nullptr),
                 LATTICE_ERROR_USAGE, "enable_thinking is 2");
  const lattice_message unknown{"wizard", "hi", nullptr, nullptr, 0};
  expect_failure(lattice_model_apply_chat_template(model, &unknown, 1, nullptr, &prompt, nullptr),
                 LATTICE_ERROR_USAGE, "");
  const lattice_message no_content{"user", nullptr, nullptr, nullptr, 0};
  expect_failure(lattice_model_apply_chat_template(model, &no_content, 1, nullptr, &prompt, nullptr),
                 LATTICE_ERROR_USAGE, "messages[].content is NULL");
  const lattice_message no_calls{"assistant", "", nullptr, nullptr, 1};
  expect_failure(lattice_model_apply_chat_template(model, &no_calls, 1, nullptr, &prompt, nullptr),
                 LATTICE_ERROR_USAGE, "tool_calls is NULL");
  EXPECT_EQ(prompt, nullptr) << "what fails leaves its outputs alone";
  lattice_model_free(model);
}

TEST(CApiUse, SaysItsVersionAndFindsItsModel) {
  EXPECT_STREQ(lattice_version(), LATTICE_VERSION);
  char* path = nullptr;
  ASSERT_EQ(lattice_shipped_model_path(&path), LATTICE_OK) << lattice_last_error();
  EXPECT_NE(std::string(path), "");
  lattice_free(path);
}

TEST_F(CApi, ChecksEveryPointer) {
  int32_t* ids = nullptr;
  const int32_t* eos = nullptr;
  const float* logits = nullptr;
  char* text = nullptr;
  size_t count = 0;
  int32_t flag = 0;
  lattice_model* other = nullptr;
  lattice_session* other_session = nullptr;
  lattice_sampling sampling;
  ASSERT_EQ(lattice_sampling_init(&sampling, sizeof sampling), LATTICE_OK);
  const auto refused = [](lattice_status status, const char* name) {
    expect_failure(status, LATTICE_ERROR_USAGE, std::string(name) + " is NULL");
  };
  refused(lattice_load_options_init(nullptr, sizeof(lattice_load_options)), "options");
  refused(lattice_chat_options_init(nullptr, sizeof(lattice_chat_options)), "options");
  refused(lattice_sampling_init(nullptr, sizeof(lattice_sampling)), "sampling");
  refused(lattice_generate_options_init(nullptr, sizeof(lattice_generate_options)), "options");
  refused(lattice_generation_init(nullptr, sizeof(lattice_generation)), "generation");
  refused(lattice_shipped_model_path(nullptr), "path");
  refused(lattice_model_load(nullptr, nullptr, &other), "path");
  refused(lattice_model_load(base().c_str(), nullptr, nullptr), "model");
  refused(lattice_model_eos_tokens(nullptr, &eos, &count), "model");
  refused(lattice_model_eos_tokens(model, nullptr, &count), "tokens");
  refused(lattice_model_eos_tokens(model, &eos, nullptr), "count");
  refused(lattice_model_default_sampling(nullptr, &sampling), "model");
  refused(lattice_model_default_sampling(model, nullptr), "sampling");
  refused(lattice_model_encode(nullptr, "a", 1, 1, &ids, &count), "model");
  refused(lattice_model_encode(model, nullptr, 1, 1, &ids, &count), "text");
  refused(lattice_model_encode(model, "a", 1, 1, nullptr, &count), "tokens");
  refused(lattice_model_encode(model, "a", 1, 1, &ids, nullptr), "count");
  refused(lattice_model_decode(nullptr, tokens.data(), 3, 0, &text, nullptr), "model");
  refused(lattice_model_decode(model, nullptr, 3, 0, &text, nullptr), "tokens");
  refused(lattice_model_decode(model, tokens.data(), 3, 0, nullptr, nullptr), "text");
  refused(lattice_model_has_chat_template(nullptr, &flag), "model");
  refused(lattice_model_has_chat_template(model, nullptr), "has");
  refused(lattice_model_apply_chat_template(nullptr, nullptr, 0, nullptr, &text, nullptr), "model");
  refused(lattice_model_apply_chat_template(model, nullptr, 1, nullptr, &text, nullptr), "messages");
  refused(lattice_model_apply_chat_template(model, nullptr, 0, nullptr, nullptr, nullptr), "prompt");
  refused(lattice_session_create(nullptr, 0, &other_session), "model");
  refused(lattice_session_create(model, 0, nullptr), "session");
  refused(lattice_session_feed(nullptr, tokens.data(), 3, nullptr, nullptr), "session");
  refused(lattice_session_feed(session, nullptr, 3, nullptr, nullptr), "tokens");
  refused(lattice_session_sync(nullptr, tokens.data(), 3, nullptr, nullptr, nullptr), "session");
  refused(lattice_session_sync(session, nullptr, 3, nullptr, nullptr, nullptr), "tokens");
  refused(lattice_session_take_snapshot(nullptr), "session");
  refused(lattice_session_reset(nullptr), "session");
  refused(lattice_session_logits(nullptr, &logits, &count), "session");
  refused(lattice_session_logits(session, nullptr, &count), "logits");
  refused(lattice_session_logits(session, &logits, nullptr), "count");
  refused(lattice_generate(nullptr, tokens.data(), 3, nullptr, nullptr), "session");
  refused(lattice_generate(session, nullptr, 3, nullptr, nullptr), "prompt");
  EXPECT_EQ(other, nullptr);
  EXPECT_EQ(other_session, nullptr);
  EXPECT_EQ(ids, nullptr);
  EXPECT_EQ(text, nullptr);

  EXPECT_STREQ(lattice_model_device(nullptr), "");
  EXPECT_EQ(lattice_model_vocab_size(nullptr), 0);
  EXPECT_EQ(lattice_model_max_context(nullptr), 0);
  EXPECT_EQ(lattice_model_bytes_per_token(nullptr, 0), 0);
  EXPECT_EQ(lattice_session_context(nullptr), 0);
  EXPECT_EQ(lattice_session_position(nullptr), 0);
  EXPECT_STREQ(lattice_finish_reason_name(99), "");
  lattice_free(nullptr);
  lattice_model_free(nullptr);
  lattice_session_free(nullptr);
  lattice_generation_clear(nullptr);
}

TEST_F(CApi, KeepsKeysAndValuesAsAsked) {
  const auto bytes = [](std::int32_t kv, std::int32_t exact) {
    lattice_load_options options;
    EXPECT_EQ(lattice_load_options_init(&options, sizeof options), LATTICE_OK);
    EXPECT_EQ(options.kv, LATTICE_KV_DEFAULT);
    options.kv = kv;
    options.exact = exact;
    lattice_model* loaded = nullptr;
    EXPECT_EQ(lattice_model_load(base().c_str(), &options, &loaded), LATTICE_OK) << lattice_last_error();
    const std::int64_t all = lattice_model_bytes_per_token(loaded, 100);
    lattice_model_free(loaded);
    return all;
  };
  const std::int64_t f16 = bytes(LATTICE_KV_F16, 0);
  const std::int64_t f32 = bytes(LATTICE_KV_F32, 0);
  EXPECT_LT(f16, f32);
  EXPECT_EQ(bytes(LATTICE_KV_DEFAULT, 0), f16);
  EXPECT_EQ(bytes(LATTICE_KV_DEFAULT, 1), f32);
  EXPECT_EQ(bytes(LATTICE_KV_F16, 1), f16);
}

TEST_F(CApi, TellsInputFromUsage) {
  lattice_model* other = nullptr;
  expect_failure(lattice_model_load("/no/such/model", nullptr, &other), LATTICE_ERROR_INPUT,
                 "/no/such/model");
  lattice_load_options options;
  ASSERT_EQ(lattice_load_options_init(&options, sizeof options), LATTICE_OK);
  options.device = "abacus";
  expect_failure(lattice_model_load(base().c_str(), &options, &other), LATTICE_ERROR_USAGE, "abacus");
  options.device = nullptr;  // means "auto"
  options.kv = 7;
  expect_failure(lattice_model_load(base().c_str(), &options, &other), LATTICE_ERROR_USAGE, "kv is 7");
  options.kv = LATTICE_KV_DEFAULT;
  EXPECT_EQ(lattice_model_load(base().c_str(), &options, &other), LATTICE_OK) << lattice_last_error();
  lattice_model_free(other);

  lattice_session* long_session = nullptr;
  expect_failure(lattice_session_create(model, -5, &long_session), LATTICE_ERROR_USAGE, "-5");
  EXPECT_EQ(long_session, nullptr);
  const float* logits = nullptr;
  size_t count = 0;
  expect_failure(lattice_session_logits(session, &logits, &count), LATTICE_ERROR_USAGE, "no logits");
  expect_failure(lattice_session_feed(session, nullptr, 0, nullptr, nullptr), LATTICE_ERROR_USAGE,
                 "no tokens");
  expect_failure(lattice_session_feed(session, tokens.data(), SIZE_MAX, nullptr, nullptr),
                 LATTICE_ERROR_USAGE, "tokens has 18446744073709551615 entries");
  int32_t* ids = nullptr;
  expect_failure(lattice_model_encode(model, "a", 1, 1, &ids, &count), LATTICE_ERROR_INPUT, base());
}

TEST_F(CApi, StructsOfOtherVersionsAreUnderstood) {
  expect_failure(lattice_sampling_init(reinterpret_cast<lattice_sampling*>(&session), 3), LATTICE_ERROR_USAGE,
                 "sampling.size is 3");
  // A caller of a later version, whose struct is longer.
  struct Newer {
    lattice_generate_options known;
    int64_t unknown[4];
  } newer;
  std::memset(static_cast<void*>(&newer), 0xff, sizeof newer);
  ASSERT_EQ(lattice_generate_options_init(&newer.known, sizeof newer), LATTICE_OK) << lattice_last_error();
  EXPECT_EQ(newer.known.size, sizeof newer);
  for (const int64_t field : newer.unknown) EXPECT_EQ(field, 0);
  newer.known.ids_only = 1;
  newer.known.max_tokens = 2;
  EXPECT_EQ(lattice_generate(session, tokens.data(), 3, &newer.known, nullptr), LATTICE_OK)
      << lattice_last_error();
  newer.unknown[3] = 1;  // a wish that this version cannot grant
  expect_failure(lattice_generate(session, tokens.data(), 3, &newer.known, nullptr), LATTICE_ERROR_USAGE,
                 "does not know");
  // One that was never initialised.
  lattice_generate_options wild;
  std::memset(static_cast<void*>(&wild), 0xa5, sizeof wild);
  expect_failure(lattice_generate(session, tokens.data(), 3, &wild, nullptr), LATTICE_ERROR_USAGE, "size is");
  lattice_generation zero{};
  expect_failure(lattice_generate(session, tokens.data(), 3, nullptr, &zero), LATTICE_ERROR_USAGE,
                 "generation.size is 0");
}

TEST_F(CApi, PassesOptionsOn) {
  lattice_sampling sampling;
  ASSERT_EQ(lattice_sampling_init(&sampling, sizeof sampling), LATTICE_OK);
  EXPECT_EQ(sampling.temperature, 0);
  sampling.top_p = 7;
  lattice_generate_options options;
  ASSERT_EQ(lattice_generate_options_init(&options, sizeof options), LATTICE_OK);
  options.sampling = &sampling;
  options.ids_only = 1;
  expect_failure(lattice_generate(session, tokens.data(), 3, &options, nullptr), LATTICE_ERROR_USAGE,
                 "top_p");

  lattice_model* other = nullptr;
  ASSERT_EQ(lattice_model_load(shipped().c_str(), nullptr, &other), LATTICE_OK) << lattice_last_error();
  ASSERT_EQ(lattice_model_default_sampling(other, &sampling), LATTICE_OK) << lattice_last_error();
  EXPECT_FLOAT_EQ(sampling.temperature, 0.7f);
  EXPECT_EQ(sampling.top_k, 40);
  EXPECT_FLOAT_EQ(sampling.top_p, 0.9f);
  EXPECT_EQ(sampling.size, sizeof sampling);
  lattice_model_free(other);
}

TEST_F(CApi, GuessesAheadWithoutChangingTheTokens) {
  lattice_load_options load;
  ASSERT_EQ(lattice_load_options_init(&load, sizeof load), LATTICE_OK);
  load.device = "cpu";
  EXPECT_EQ(load.mtp, 0);
  load.mtp = 1;
  EXPECT_EQ(load.pin_threads, 0);
  load.pin_threads = 1;
  lattice_model* on_cpu = nullptr;
  lattice_session* drafting = nullptr;
  const std::string with_head = golden::find_case("mtp").model.string();
  ASSERT_EQ(lattice_model_load(with_head.c_str(), &load, &on_cpu), LATTICE_OK) << lattice_last_error();
  ASSERT_EQ(lattice_session_create(on_cpu, 64, &drafting), LATTICE_OK) << lattice_last_error();
  const std::vector<int32_t> prompt(12, tokens[0]);
  lattice_sampling repeating;  // penalties the other way round: what the text has already is the likeliest
  ASSERT_EQ(lattice_sampling_init(&repeating, sizeof repeating), LATTICE_OK);
  repeating.repetition_penalty = 0.01f;
  lattice_generate_options options;
  ASSERT_EQ(lattice_generate_options_init(&options, sizeof options), LATTICE_OK);
  options.sampling = &repeating;
  options.ids_only = 1;
  options.ignore_eos = 1;
  options.max_tokens = 20;
  std::vector<int32_t> texts[4];
  for (const int32_t draft :
       {LATTICE_DRAFT_NONE, LATTICE_DRAFT_LOOKUP, LATTICE_DRAFT_MTP, LATTICE_DRAFT_AUTO}) {
    lattice_generation generation;
    ASSERT_EQ(lattice_generation_init(&generation, sizeof generation), LATTICE_OK);
    options.draft = draft;
    ASSERT_EQ(lattice_session_reset(drafting), LATTICE_OK);
    ASSERT_EQ(lattice_generate(drafting, prompt.data(), prompt.size(), &options, &generation), LATTICE_OK)
        << lattice_last_error();
    texts[draft].assign(generation.tokens, generation.tokens + generation.token_count);
    EXPECT_EQ(generation.decode_tokens, 19);
    EXPECT_EQ(generation.decode_steps + generation.accepted_tokens, 19);
    EXPECT_EQ(generation.drafted_tokens > 0, draft != LATTICE_DRAFT_NONE);
    lattice_generation_clear(&generation);
  }
  for (const auto& text : texts) EXPECT_EQ(text, texts[0]);
  options.draft_tokens = 1000;
  expect_failure(lattice_generate(drafting, prompt.data(), prompt.size(), &options, nullptr),
                 LATTICE_ERROR_USAGE, "at most");
  options.draft_tokens = 0;
  options.draft = LATTICE_DRAFT_MTP;
  lattice_model* headless = nullptr;
  lattice_session* without_head = nullptr;
  ASSERT_EQ(lattice_model_load(base().c_str(), &load, &headless), LATTICE_OK) << lattice_last_error();
  ASSERT_EQ(lattice_session_create(headless, 64, &without_head), LATTICE_OK) << lattice_last_error();
  expect_failure(lattice_generate(without_head, prompt.data(), prompt.size(), &options, nullptr),
                 LATTICE_ERROR_USAGE, "no head that guesses ahead");
  lattice_session_free(without_head);
  lattice_model_free(headless);
  options.draft = 17;
  expect_failure(lattice_generate(drafting, prompt.data(), prompt.size(), &options, nullptr),
                 LATTICE_ERROR_USAGE, "options.draft is 17");
  lattice_session_free(drafting);
  lattice_model_free(on_cpu);
}

TEST_F(CApi, ATokenCallbackEndsTheGeneration) {
  lattice_generate_options options;
  lattice_generation generation;
  ASSERT_EQ(lattice_generate_options_init(&options, sizeof options), LATTICE_OK);
  ASSERT_EQ(lattice_generation_init(&generation, sizeof generation), LATTICE_OK);
  int calls = 0;
  options.ids_only = 1;
  options.ignore_eos = 1;
  options.token_data = &calls;
  options.on_token = [](void* data, int32_t, const char*, size_t) -> int32_t {
    return ++*static_cast<int*>(data) < 4;
  };
  ASSERT_EQ(lattice_generate(session, tokens.data(), 3, &options, &generation), LATTICE_OK)
      << lattice_last_error();
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(generation.finish_reason, LATTICE_FINISH_CANCELLED);
  lattice_generation_clear(&generation);
}

TEST_F(CApi, NoExceptionCrossesTheBorder) {
  expect_failure(
      lattice_session_feed(
          session, tokens.data(), 3,
          [](void*, const char*, int64_t, int64_t) { throw std::runtime_error("from a callback"); }, nullptr),
      LATTICE_ERROR_INTERNAL, "from a callback");
  expect_failure(
      lattice_session_feed(
          session, tokens.data(), 3, [](void*, const char*, int64_t, int64_t) { throw 5; }, nullptr),
      LATTICE_ERROR_INTERNAL, "unknown");
  expect_failure(lattice_session_feed(
                     session, tokens.data(), 3,
                     [](void*, const char*, int64_t, int64_t) { throw std::bad_alloc(); }, nullptr),
                 LATTICE_ERROR_MEMORY, "memory");
}

TEST_F(CApi, EveryThreadHasItsOwnMessage) {
  expect_failure(lattice_session_create(model, -5, &session), LATTICE_ERROR_USAGE, "-5");
  std::string before = "untouched";
  std::string after;
  std::thread([&] {
    before = lattice_last_error();
    (void)lattice_model_load("/no/such/model", nullptr, &model);
    after = lattice_last_error();
  }).join();
  EXPECT_EQ(before, "");
  EXPECT_NE(after.find("/no/such/model"), std::string::npos);
  EXPECT_NE(std::string(lattice_last_error()).find("-5"), std::string::npos);
}

}  // namespace
