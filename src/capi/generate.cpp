#include "lattice/generate.hpp"

#include <memory>
#include <string>

#include "capi/handles.h"
#include "capi/structs.h"
#include "support/fail.h"

using namespace lattice;
using namespace lattice::capi;

namespace {

Sampling sampling_of(const lattice_sampling* given) {
  const auto sampling = read(given, "sampling");
  Sampling out;
  out.temperature = sampling.temperature;
  out.top_k = sampling.top_k;
  out.top_p = sampling.top_p;
  out.min_p = sampling.min_p;
  out.repetition_penalty = sampling.repetition_penalty;
  out.presence_penalty = sampling.presence_penalty;
  out.frequency_penalty = sampling.frequency_penalty;
  out.seed = sampling.seed;
  return out;
}

Draft draft_of(int32_t draft) {
  switch (draft) {
    case LATTICE_DRAFT_NONE:
      return Draft::kNone;
    case LATTICE_DRAFT_LOOKUP:
      return Draft::kLookup;
    case LATTICE_DRAFT_MTP:
      return Draft::kMtp;
    case LATTICE_DRAFT_AUTO:
      return Draft::kAuto;
    default:
      fail_usage("options.draft is {}, not one of lattice_draft", draft);
  }
}

GenerateOptions generate_options(const lattice_generate_options* given) {
  const auto options = read(given, "options");
  GenerateOptions out;
  out.sampling = sampling_of(options.sampling);
  out.max_tokens = options.max_tokens;
  for (const char* stop : array(options.stop, options.stop_count, "options.stop")) {
    out.stop.emplace_back(string(stop, "options.stop[]"));
  }
  out.ignore_eos = options.ignore_eos != 0;
  out.decode_text = options.ids_only == 0;
  out.with_special = options.with_special != 0;
  out.draft = draft_of(options.draft);
  out.draft_tokens = options.draft_tokens;
  out.prefill_progress = progress_callback(options.prefill_progress, options.progress_data);
  if (options.on_token != nullptr) {
    out.on_token = [on_token = options.on_token, data = options.token_data](Token token,
                                                                            std::string_view text) {
      return on_token(data, token, std::string(text).c_str(), text.size()) != 0;
    };
  }
  return out;
}

int32_t finish_reason_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos:
      return LATTICE_FINISH_EOS;
    case FinishReason::kStop:
      return LATTICE_FINISH_STOP;
    case FinishReason::kLength:
      return LATTICE_FINISH_LENGTH;
    case FinishReason::kContext:
      return LATTICE_FINISH_CONTEXT;
    case FinishReason::kCancelled:
      break;
  }
  return LATTICE_FINISH_CANCELLED;
}

/// Hands a generation out: both copies, or neither.
void give(const Generation& from, lattice_generation& to) {
  std::unique_ptr<int32_t, void (*)(void*)> tokens(handed_out(std::span<const Token>(from.tokens)),
                                                   std::free);
  to.text = handed_out(std::span<const char>(from.text));
  to.tokens = tokens.release();
  to.token_count = from.tokens.size();
  to.text_length = from.text.size();
  to.finish_reason = finish_reason_of(from.finish_reason);
  to.prompt_tokens = from.prompt_tokens;
  to.reused_tokens = from.reused_tokens;
  to.prefill_seconds = from.prefill_seconds;
  to.first_token_seconds = from.first_token_seconds;
  to.decode_seconds = from.decode_seconds;
  to.decode_steps = from.decode_steps;
  to.decode_tokens = from.decode_tokens;
  to.drafted_tokens = from.drafted_tokens;
  to.accepted_tokens = from.accepted_tokens;
}

}  // namespace

const char* lattice_finish_reason_name(int32_t reason) {
  switch (reason) {
    case LATTICE_FINISH_EOS:
      return "eos";
    case LATTICE_FINISH_STOP:
      return "stop";
    case LATTICE_FINISH_LENGTH:
      return "length";
    case LATTICE_FINISH_CONTEXT:
      return "context";
    case LATTICE_FINISH_CANCELLED:
      return "cancelled";
    default:
      return "";
  }
}

void lattice_generation_clear(lattice_generation* generation) {
  if (generation == nullptr) return;
  std::free(generation->tokens);
  std::free(generation->text);
  generation->tokens = nullptr;
  generation->token_count = 0;
  generation->text = nullptr;
  generation->text_length = 0;
}

lattice_status lattice_generate(lattice_session* session, const int32_t* prompt, size_t count,
                                const lattice_generate_options* options, lattice_generation* generation) {
  return guarded([&] {
    require(session, "session");
    if (generation != nullptr) {
      check_size(generation->size, kFirstSize<lattice_generation>, "generation");
      lattice_generation_clear(generation);
    }
    const Generation done =
        generate(session->session, array(prompt, count, "prompt"), generate_options(options));
    if (generation != nullptr) give(done, *generation);
  });
}
