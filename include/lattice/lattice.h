/* Lattice for C, and for every language that can call C.
 *
 * Calls that can fail return a lattice_status and leave their outputs as they were when they do;
 * lattice_last_error() then has one sentence for a person. No exception leaves a call. A NULL where a pointer
 * is needed is LATTICE_ERROR_USAGE and no crash, unless "may be NULL" is said.
 *
 * Ownership: what a call hands out through a pointer to a pointer is the caller's, who gives it back to the
 * function that is named there, once. What a call returns as a plain const pointer belongs to the handle, and
 * is good as long as is said. Inputs are read during the call alone. Every xxx_free takes NULL.
 *
 * Structs with a `size` grow in later versions: call their xxx_init with sizeof first, which fills in
 * defaults, and then change fields. A program and a library of different versions then understand each other.
 *
 * Threads: a model may be used from several threads; a session from one at a time. Callbacks come on the
 * calling thread; they must return, not jump out (longjmp), and must not call the session that calls them.
 */
#ifndef LATTICE_H
#define LATTICE_H

#include <stddef.h>
#include <stdint.h>

#include "lattice/export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lattice_status {
  LATTICE_OK = 0,
  LATTICE_ERROR_INPUT = 1,   /* a file, a prompt or a request that cannot be used */
  LATTICE_ERROR_USAGE = 2,   /* an argument that cannot be */
  LATTICE_ERROR_MEMORY = 3,  /* the machine has not that much */
  LATTICE_ERROR_INTERNAL = 4 /* a defect of Lattice, or an exception that a callback threw */
} lattice_status;

/* "0.1.0". */
LATTICE_API const char* lattice_version(void);

/* What went wrong in the last call of this thread that failed, or "". Good until the thread's next call that
 * fails. */
LATTICE_API const char* lattice_last_error(void);

/* Gives back memory that a call handed out (strings and arrays). May be NULL. */
LATTICE_API void lattice_free(void* memory);

/* Called by what can take more than a second: `done` of `total` units of the work called `what`. */
typedef void (*lattice_progress_fn)(void* user_data, const char* what, int64_t done, int64_t total);

/* ---- Models ---- */

typedef struct lattice_model lattice_model;

/* How keys and values are kept. The default is binary16, or float with `exact` and on the reference device. A
 * key or value beyond binary16's 65504 makes drawing a token fail. */
enum { LATTICE_KV_DEFAULT = 0, LATTICE_KV_F32 = 1, LATTICE_KV_F16 = 2 };

typedef struct lattice_load_options {
  size_t size;
  const char* device;           /* "auto", "cpu", "reference"; NULL: "auto" */
  int32_t threads;              /* of the CPU; 0: one for every core */
  int32_t exact;                /* not 0: activations stay in float, and keys and values by default */
  int32_t kv;                   /* LATTICE_KV_… */
  lattice_progress_fn progress; /* may be NULL */
  void* progress_data;          /* handed to progress */
  int32_t mtp; /* not 0: loads the checkpoint's own head that guesses ahead as well, where it has one */
  int32_t pin_threads; /* not 0: keeps each thread of the CPU but the caller on one processor; Linux alone */
} lattice_load_options;

LATTICE_API lattice_status lattice_load_options_init(lattice_load_options* options, size_t size);

/* The path of the model that comes with Lattice. Give it back with lattice_free. */
LATTICE_API lattice_status lattice_shipped_model_path(char** path);

/* Opens a Hugging Face directory, an MLX-quantised directory or a .gguf file. `options` may be NULL. Give the
 * model back with lattice_model_free; sessions keep what they need of it. */
LATTICE_API lattice_status lattice_model_load(const char* path, const lattice_load_options* options,
                                              lattice_model** model);
LATTICE_API void lattice_model_free(lattice_model* model);

/* "cpu (avx2, 2 threads)". As long as the model; "" for NULL. */
LATTICE_API const char* lattice_model_device(const lattice_model* model);
/* 0 for NULL. */
LATTICE_API int64_t lattice_model_vocab_size(const lattice_model* model);
/* The longest context that the model was made for, in tokens. 0 for NULL. */
LATTICE_API int64_t lattice_model_max_context(const lattice_model* model);
/* Bytes that decoding the token at position `context` moves. 0 for NULL. */
LATTICE_API int64_t lattice_model_bytes_per_token(const lattice_model* model, int64_t context);
/* The ids that end a text. The array is the model's. */
LATTICE_API lattice_status lattice_model_eos_tokens(const lattice_model* model, const int32_t** tokens,
                                                    size_t* count);

/* Text of `length` bytes -> ids, to be given back with lattice_free. With `parse_special`, special tokens
 * that the text spells out ("<|im_end|>") become their ids: not for text of strangers. */
LATTICE_API lattice_status lattice_model_encode(const lattice_model* model, const char* text, size_t length,
                                                int32_t parse_special, int32_t** tokens, size_t* count);
/* Ids -> text with a NUL after its `length` bytes, to be given back with lattice_free. `length` may be NULL.
 */
LATTICE_API lattice_status lattice_model_decode(const lattice_model* model, const int32_t* tokens,
                                                size_t count, int32_t with_special, char** text,
                                                size_t* length);

/* ---- Conversations ---- */

typedef struct lattice_tool_call {
  const char* name;
  const char* arguments; /* a JSON object */
} lattice_tool_call;

typedef struct lattice_message {
  const char* role; /* "system", "user", "assistant" or "tool" */
  const char* content;
  const char* reasoning;               /* an assistant turn's thinking, where it is kept apart; may be NULL */
  const lattice_tool_call* tool_calls; /* may be NULL where there are none */
  size_t tool_call_count;
} lattice_message;

typedef struct lattice_chat_options {
  size_t size;
  int32_t add_generation_prompt; /* 1 */
  int32_t enable_thinking;       /* 0, 1, or -1: the template's own default */
  const char* const* tools;      /* JSON objects: function declarations; may be NULL where there are none */
  size_t tool_count;
} lattice_chat_options;

LATTICE_API lattice_status lattice_chat_options_init(lattice_chat_options* options, size_t size);

/* Whether the model has a chat template: 1 or 0. */
LATTICE_API lattice_status lattice_model_has_chat_template(const lattice_model* model, int32_t* has);
/* The conversation as the model was trained to see it, to be given back with lattice_free. `options` and
 * `length` may be NULL. */
LATTICE_API lattice_status lattice_model_apply_chat_template(const lattice_model* model,
                                                             const lattice_message* messages, size_t count,
                                                             const lattice_chat_options* options,
                                                             char** prompt, size_t* length);

/* ---- Sessions ---- */

/* One sequence of tokens and what the model remembers of it. */
typedef struct lattice_session lattice_session;

/* Room for `context` tokens; 0: the model's longest context. Memory is taken as it fills. Give it back with
 * lattice_session_free. */
LATTICE_API lattice_status lattice_session_create(const lattice_model* model, int64_t context,
                                                  lattice_session** session);
LATTICE_API void lattice_session_free(lattice_session* session);

/* Tokens that fit, and tokens fed so far. 0 for NULL. */
LATTICE_API int64_t lattice_session_context(const lattice_session* session);
LATTICE_API int64_t lattice_session_position(const lattice_session* session);

/* Feeds `tokens` (at least one). `progress` may be NULL. */
LATTICE_API lattice_status lattice_session_feed(lattice_session* session, const int32_t* tokens, size_t count,
                                                lattice_progress_fn progress, void* progress_data);
/* Makes the session hold exactly `tokens`, and reuses what it can: how many goes to `reused`, which may be
 * NULL. */
LATTICE_API lattice_status lattice_session_sync(lattice_session* session, const int32_t* tokens, size_t count,
                                                lattice_progress_fn progress, void* progress_data,
                                                int64_t* reused);
/* Remembers the present position, for sync to come back to. The newest one is kept. */
LATTICE_API lattice_status lattice_session_take_snapshot(lattice_session* session);
/* The logits of the next token, one for every id. The session's, good until it is fed, synced or reset. */
LATTICE_API lattice_status lattice_session_logits(const lattice_session* session, const float** logits,
                                                  size_t* count);
/* Forgets all tokens and the snapshot. */
LATTICE_API lattice_status lattice_session_reset(lattice_session* session);

/* ---- Generation ---- */

typedef struct lattice_sampling {
  size_t size;
  float temperature; /* 0: greedy */
  int32_t top_k;     /* 0: all */
  float top_p;
  float min_p;
  float repetition_penalty;
  float presence_penalty;
  float frequency_penalty;
  uint64_t seed; /* same seed, same text */
} lattice_sampling;

/* Greedy. */
LATTICE_API lattice_status lattice_sampling_init(lattice_sampling* sampling, size_t size);
/* What the checkpoint recommends. `sampling` must have been initialised. */
LATTICE_API lattice_status lattice_model_default_sampling(const lattice_model* model,
                                                          lattice_sampling* sampling);

/* Called for every token: `text` is what it adds to the text, whole characters only, with a NUL after its
 * `length` bytes; often empty for one token and longer for the next. The last call has the token -1 and what
 * was held back. 0 ends the generation. */
typedef int32_t (*lattice_token_fn)(void* user_data, int32_t token, const char* text, size_t length);

/* How tokens are guessed ahead of the model, which then checks several in one pass over its weights. The text
 * is the same whatever is guessed. */
typedef enum lattice_draft {
  LATTICE_DRAFT_NONE = 0,
  LATTICE_DRAFT_LOOKUP = 1, /* what followed the same tokens earlier in the text; needs the device cpu */
  LATTICE_DRAFT_MTP = 2, /* what the checkpoint's own head says, loaded with lattice_load_options.mtp; cpu */
  LATTICE_DRAFT_AUTO = 3 /* by the head where it is loaded, else by lookup; needs the device cpu */
} lattice_draft;

typedef struct lattice_generate_options {
  size_t size;
  const lattice_sampling* sampling; /* NULL: greedy */
  int64_t max_tokens;               /* 0: as many as the context has room for */
  const char* const* stop; /* the text ends before the first of these; may be NULL where there are none */
  size_t stop_count;
  int32_t ignore_eos;                   /* not 0: goes on past the end of the text */
  int32_t ids_only;                     /* not 0: no text is made, and no tokenizer needed */
  int32_t with_special;                 /* not 0: special tokens show in the text */
  lattice_progress_fn prefill_progress; /* may be NULL */
  void* progress_data;
  lattice_token_fn on_token; /* may be NULL */
  void* token_data;
  int32_t draft;        /* a lattice_draft */
  int64_t draft_tokens; /* guesses a pass, at most; 0: as many as suit device and draft */
} lattice_generate_options;

LATTICE_API lattice_status lattice_generate_options_init(lattice_generate_options* options, size_t size);

typedef enum lattice_finish_reason {
  LATTICE_FINISH_EOS = 0,
  LATTICE_FINISH_STOP = 1,
  LATTICE_FINISH_LENGTH = 2,
  LATTICE_FINISH_CONTEXT = 3,
  LATTICE_FINISH_CANCELLED = 4
} lattice_finish_reason;

/* "eos", "stop", "length", "context", "cancelled"; "" for anything else. */
LATTICE_API const char* lattice_finish_reason_name(int32_t reason);

/* What was generated. Its tokens and text are given back with lattice_generation_clear. */
typedef struct lattice_generation {
  size_t size;
  int32_t* tokens; /* without the token that ended it */
  size_t token_count;
  char* text; /* with a NUL after its text_length bytes */
  size_t text_length;
  int32_t finish_reason; /* a lattice_finish_reason */
  int64_t prompt_tokens;
  int64_t reused_tokens; /* of the prompt, which the session held already */
  double prefill_seconds;
  double first_token_seconds;
  double decode_seconds;
  int64_t decode_steps;    /* passes after the prompt's */
  int64_t decode_tokens;   /* drawn in them: more than passes where guesses came true */
  int64_t drafted_tokens;  /* guesses that were checked */
  int64_t accepted_tokens; /* of these, those that came true */
} lattice_generation;

LATTICE_API lattice_status lattice_generation_init(lattice_generation* generation, size_t size);
LATTICE_API void lattice_generation_clear(lattice_generation* generation);

/* Brings `session` to `prompt` and lets the model go on. `options` may be NULL; `generation`, which must have
 * been initialised and is cleared first, may be NULL where the callback is enough. */
LATTICE_API lattice_status lattice_generate(lattice_session* session, const int32_t* prompt, size_t count,
                                            const lattice_generate_options* options,
                                            lattice_generation* generation);

#ifdef __cplusplus
}
#endif

#endif
