/* The C interface, used from C: this file is compiled as C99, where capi_test.cpp is C++. */

#include "capi/use_from_c.h"

#include <stdio.h>
#include <string.h>

#include "lattice/lattice.h"

/* Calls made in C: every function once, on the way that a program takes. Each step that fails says so. */
#define STEP(call)                                                    \
  do {                                                                \
    if ((call) != LATTICE_OK) {                                       \
      snprintf(problem, size, "%s: %s", #call, lattice_last_error()); \
      goto done;                                                      \
    }                                                                 \
  } while (0)
#define EXPECT(condition)                        \
  do {                                           \
    if (!(condition)) {                          \
      snprintf(problem, size, "%s", #condition); \
      goto done;                                 \
    }                                            \
  } while (0)

struct Calls {
  int count;
  int32_t last_token;
  size_t text_length;
};

static int32_t count_token(void* user_data, int32_t token, const char* text, size_t length) {
  struct Calls* calls = (struct Calls*)user_data;
  calls->count += 1;
  calls->last_token = token;
  calls->text_length += length;
  return strlen(text) == length;
}

static void count_progress(void* user_data, const char* what, int64_t done, int64_t total) {
  if (what[0] != '\0' && done <= total) *(int*)user_data += 1;
}

int lattice_use_from_c(const char* path, char* problem, size_t size) {
  lattice_load_options load;
  lattice_generate_options options;
  lattice_sampling sampling;
  lattice_generation generation;
  lattice_model* model = NULL;
  lattice_session* session = NULL;
  int32_t *prompt = NULL, *again = NULL;
  const int32_t* eos = NULL;
  char* text = NULL;
  const float* logits = NULL;
  size_t count = 0, again_count = 0, length = 0, vocab = 0, eos_count = 0;
  int64_t reused = -1;
  int32_t has_template = -1;
  struct Calls calls = {0, 0, 0};
  int progress_calls = 0, prefill_calls = 0;
  const char* stops[] = {"zebra", "xylophone"};
  const char* story = "Once upon a time";
  int ok = 0;

  memset(&generation, 0, sizeof generation);
  STEP(lattice_generation_init(&generation, sizeof generation));
  STEP(lattice_load_options_init(&load, sizeof load));
  load.device = "cpu";
  load.threads = 2;
  load.progress = count_progress;
  load.progress_data = &progress_calls;
  STEP(lattice_model_load(path, &load, &model));
  EXPECT(progress_calls > 0);
  EXPECT(strncmp(lattice_model_device(model), "cpu", 3) == 0);
  EXPECT(lattice_model_vocab_size(model) == 8192);
  EXPECT(lattice_model_max_context(model) == 4096);
  EXPECT(lattice_model_bytes_per_token(model, 10) > lattice_model_bytes_per_token(model, 0));
  STEP(lattice_model_eos_tokens(model, &eos, &eos_count));
  EXPECT(eos_count >= 1 && eos[0] == 8187);
  STEP(lattice_model_has_chat_template(model, &has_template));
  EXPECT(has_template == 0);

  STEP(lattice_model_encode(model, story, strlen(story), 1, &prompt, &count));
  STEP(lattice_model_decode(model, prompt, count, 0, &text, &length));
  EXPECT(length == strlen(story) && strcmp(text, story) == 0);

  STEP(lattice_session_create(model, 256, &session));
  EXPECT(lattice_session_context(session) == 256);
  lattice_model_free(model); /* the session keeps what it needs */
  model = NULL;
  STEP(lattice_session_feed(session, prompt, count, count_progress, &prefill_calls));
  EXPECT(prefill_calls > 0);
  EXPECT(lattice_session_position(session) == (int64_t)count);
  STEP(lattice_session_logits(session, &logits, &vocab));
  EXPECT(vocab == 8192);
  STEP(lattice_session_take_snapshot(session));

  STEP(lattice_sampling_init(&sampling, sizeof sampling));
  sampling.temperature = 0.8f;
  sampling.seed = 42;
  STEP(lattice_generate_options_init(&options, sizeof options));
  options.sampling = &sampling;
  options.max_tokens = 20;
  options.ignore_eos = 1;
  options.stop = stops;
  options.stop_count = 2;
  options.on_token = count_token;
  options.token_data = &calls;
  STEP(lattice_generate(session, prompt, count, &options, &generation));
  EXPECT(generation.token_count == 20);
  EXPECT(generation.finish_reason == LATTICE_FINISH_LENGTH);
  EXPECT(strcmp(lattice_finish_reason_name(generation.finish_reason), "length") == 0);
  EXPECT(generation.prompt_tokens == (int64_t)count);
  EXPECT(generation.reused_tokens == (int64_t)count);
  EXPECT(calls.count >= 20);
  EXPECT(calls.text_length == generation.text_length);
  EXPECT(strlen(generation.text) == generation.text_length);

  STEP(lattice_session_sync(session, prompt, count, NULL, NULL, &reused)); /* back to the snapshot */
  EXPECT(reused == (int64_t)count);
  again_count = generation.token_count;
  again = generation.tokens; /* the same seed gives the same tokens */
  generation.tokens = NULL;
  STEP(lattice_generate(session, prompt, count, &options, &generation));
  EXPECT(generation.token_count == again_count);
  EXPECT(memcmp(generation.tokens, again, again_count * sizeof *again) == 0);

  STEP(lattice_session_reset(session));
  EXPECT(lattice_session_position(session) == 0);
  ok = 1;

done:
  lattice_generation_clear(&generation);
  lattice_free(again);
  lattice_free(prompt);
  lattice_free(text);
  lattice_session_free(session);
  lattice_model_free(model);
  return ok;
}
