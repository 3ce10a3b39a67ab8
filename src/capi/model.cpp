#include <memory>
#include <optional>
#include <vector>

#include "capi/handles.h"
#include "capi/structs.h"

using namespace lattice;
using namespace lattice::capi;

namespace {

std::optional<KvPrecision> kv_precision(std::int32_t kv) {
  switch (kv) {
    case LATTICE_KV_DEFAULT:
      return std::nullopt;
    case LATTICE_KV_F32:
      return KvPrecision::kF32;
    case LATTICE_KV_F16:
      return KvPrecision::kF16;
    default:
      fail_usage("options.kv is {}, none of LATTICE_KV_DEFAULT, LATTICE_KV_F32 and LATTICE_KV_F16", kv);
  }
}

LoadOptions load_options(const lattice_load_options* given) {
  const auto options = read(given, "options");
  LoadOptions out;
  if (options.device != nullptr) out.device = options.device;
  out.threads = options.threads;
  out.exact = options.exact != 0;
  out.kv = kv_precision(options.kv);
  out.progress = progress_callback(options.progress, options.progress_data);
  out.mtp = options.mtp != 0;
  out.pin_threads = options.pin_threads != 0;
  return out;
}

ChatMessage message_of(const lattice_message& given) {
  ChatMessage message;
  message.role = string(given.role, "messages[].role");
  message.content = string(given.content, "messages[].content");
  if (given.reasoning != nullptr) message.reasoning = given.reasoning;
  for (const lattice_tool_call& call :
       array(given.tool_calls, given.tool_call_count, "messages[].tool_calls")) {
    message.tool_calls.push_back({std::string(string(call.name, "messages[].tool_calls[].name")),
                                  std::string(string(call.arguments, "messages[].tool_calls[].arguments"))});
  }
  return message;
}

ChatOptions chat_options(const lattice_chat_options* given) {
  const auto options = read(given, "options");
  ChatOptions out;
  out.add_generation_prompt = options.add_generation_prompt != 0;
  if (options.enable_thinking < -1 || options.enable_thinking > 1) {
    fail_usage("options.enable_thinking is {}, not -1, 0 or 1", options.enable_thinking);
  }
  if (options.enable_thinking >= 0) out.enable_thinking = options.enable_thinking == 1;
  for (const char* tool : array(options.tools, options.tool_count, "options.tools")) {
    out.tools.emplace_back(string(tool, "options.tools[]"));
  }
  return out;
}

/// Hands `text` out; `length` may be NULL.
void give(const std::string& text, char** out, size_t* length) {
  *out = handed_out(std::span<const char>(text));
  if (length != nullptr) *length = text.size();
}

}  // namespace

lattice_status lattice_shipped_model_path(char** path) {
  return guarded([&] {
    require(path, "path");
    give(shipped_model_path().string(), path, nullptr);
  });
}

lattice_status lattice_model_load(const char* path, const lattice_load_options* options,
                                  lattice_model** model) {
  return guarded([&] {
    require(path, "path");
    require(model, "model");
    Model loaded = Model::load(path, load_options(options));
    std::string device = loaded.device();
    *model = new lattice_model{std::move(loaded), std::move(device)};
  });
}

void lattice_model_free(lattice_model* model) {
  delete model;
}

const char* lattice_model_device(const lattice_model* model) {
  return model == nullptr ? "" : model->device.c_str();
}
int64_t lattice_model_vocab_size(const lattice_model* model) {
  return model == nullptr ? 0 : model->model.vocab_size();
}
int64_t lattice_model_max_context(const lattice_model* model) {
  return model == nullptr ? 0 : model->model.max_context();
}
int64_t lattice_model_bytes_per_token(const lattice_model* model, int64_t context) {
  return model == nullptr ? 0 : model->model.bytes_per_token(context);
}

lattice_status lattice_model_eos_tokens(const lattice_model* model, const int32_t** tokens, size_t* count) {
  return guarded([&] {
    require(model, "model");
    require(tokens, "tokens");
    require(count, "count");
    const std::span<const Token> all = model->model.eos_tokens();
    *tokens = all.data();
    *count = all.size();
  });
}

lattice_status lattice_model_default_sampling(const lattice_model* model, lattice_sampling* sampling) {
  return guarded([&] {
    require(model, "model");
    require(sampling, "sampling");
    const Sampling& ours = model->model.default_sampling();
    initialise(sampling, sampling->size, "sampling");
    sampling->temperature = ours.temperature;
    sampling->top_k = ours.top_k;
    sampling->top_p = ours.top_p;
    sampling->min_p = ours.min_p;
    sampling->repetition_penalty = ours.repetition_penalty;
    sampling->presence_penalty = ours.presence_penalty;
    sampling->frequency_penalty = ours.frequency_penalty;
    sampling->seed = ours.seed;
  });
}

lattice_status lattice_model_encode(const lattice_model* model, const char* text, size_t length,
                                    int32_t parse_special, int32_t** tokens, size_t* count) {
  return guarded([&] {
    require(model, "model");
    require(tokens, "tokens");
    require(count, "count");
    const std::span<const char> bytes = array(text, length, "text");
    const std::vector<Token> ids = model->model.encode({bytes.data(), bytes.size()}, parse_special != 0);
    *tokens = handed_out(std::span<const Token>(ids));
    *count = ids.size();
  });
}

lattice_status lattice_model_decode(const lattice_model* model, const int32_t* tokens, size_t count,
                                    int32_t with_special, char** text, size_t* length) {
  return guarded([&] {
    require(model, "model");
    require(text, "text");
    give(model->model.decode(array(tokens, count, "tokens"), with_special != 0), text, length);
  });
}

lattice_status lattice_model_has_chat_template(const lattice_model* model, int32_t* has) {
  return guarded([&] {
    require(model, "model");
    require(has, "has");
    *has = model->model.has_chat_template() ? 1 : 0;
  });
}

lattice_status lattice_model_apply_chat_template(const lattice_model* model, const lattice_message* messages,
                                                 size_t count, const lattice_chat_options* options,
                                                 char** prompt, size_t* length) {
  return guarded([&] {
    require(model, "model");
    require(prompt, "prompt");
    std::vector<ChatMessage> conversation;
    for (const lattice_message& message : array(messages, count, "messages")) {
      conversation.push_back(message_of(message));
    }
    give(model->model.apply_chat_template(conversation, chat_options(options)), prompt, length);
  });
}
