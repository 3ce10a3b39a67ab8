#include "lattice/model.hpp"

#include <algorithm>

#include "engine/devices.h"
#include "engine/model_impl.h"
#include "engine/sampling_defaults.h"
#include "engine/traffic.h"
#include "support/fail.h"
#include "support/mapped_file.h"

namespace lattice {
namespace {

/// The tokens that end a turn and a text in Qwen's chat models. A checkpoint's configuration often names one
/// alone, and the model then runs on past its reply.
constexpr std::string_view kChatEnds[] = {"<|im_end|>", "<|endoftext|>"};

}  // namespace

Model::Impl::Impl(const std::filesystem::path& path_given, const LoadOptions& options)
    : path(path_given),
      checkpoint(Checkpoint::open(path_given)),
      config(Config::from(*checkpoint)),
      default_sampling(sampling_defaults(*checkpoint)),
      text(*checkpoint, config.vocab_size) {
  const DeviceKind& device = find_device(options.device);
  using Check = Weights::ValueCheck;
  weights = Weights::bind(*checkpoint, config, options.mtp ? Check::kAll : Check::kDecoder);
  has_mtp_tensors = weights.mtp.has_value();
  if (!options.mtp) weights.mtp.reset();
  weight_bytes_per_token = weights.bytes_per_token();
  kv_element_bytes = kv_precision(device, options) == KvPrecision::kF16 ? 2 : 4;
  backend = device.make(config, weights, options);
  if (device.owns_weights) {
    weights = {};
    for (const Tensor& tensor : checkpoint->tensors()) drop_from_memory(tensor.data);
  }
}

std::span<const Token> Model::Impl::eos_tokens() const noexcept {
  std::call_once(eos_once_, [this] {
    eos_ = config.eos_token_ids;
    try {
      if (text.chat_template() == nullptr) return;
      std::vector<Token> all = eos_;
      for (const std::string_view end : kChatEnds) {
        if (const std::optional<Token> id = text.tokenizer().id_of(end)) all.push_back(*id);
      }
      std::sort(all.begin(), all.end());
      all.erase(std::unique(all.begin(), all.end()), all.end());
      eos_ = std::move(all);
    } catch (const std::exception&) {
      // Without a tokenizer that works there is no chat, whose ends these are; who needs one hears why from
      // encode().
    }
  });
  return eos_;
}

Model Model::load(const std::filesystem::path& path, const LoadOptions& options) {
  find_device(options.device).check(options);  // what cannot be is said before gigabytes are read
  return Model(std::make_shared<Impl>(path, options));
}

const std::filesystem::path& Model::path() const noexcept {
  return impl_->path;
}
std::string Model::device() const {
  return impl_->backend->description();
}
std::int64_t Model::vocab_size() const noexcept {
  return impl_->config.vocab_size;
}
std::int64_t Model::max_context() const noexcept {
  return impl_->config.max_position_embeddings;
}
std::span<const Token> Model::eos_tokens() const noexcept {
  return impl_->eos_tokens();
}
const Sampling& Model::default_sampling() const noexcept {
  return impl_->default_sampling;
}
std::int64_t Model::bytes_per_token(std::int64_t context) const noexcept {
  return lattice::bytes_per_token(impl_->config, impl_->weight_bytes_per_token, impl_->kv_element_bytes,
                                  context);
}

std::vector<Token> Model::encode(std::string_view text, bool parse_special) const {
  return impl_->text.tokenizer().encode(text, parse_special);
}
std::string Model::decode(std::span<const Token> ids, bool with_special) const {
  return impl_->text.tokenizer().decode(ids, with_special);
}

bool Model::has_chat_template() const {
  return impl_->text.chat_template() != nullptr;
}
std::string Model::apply_chat_template(const std::vector<ChatMessage>& messages,
                                       const ChatOptions& options) const {
  const ChatTemplate* chat = impl_->text.chat_template();
  if (chat == nullptr) fail("{}: the checkpoint has no chat template", impl_->path.string());
  return chat->render(messages, options);
}
std::vector<std::string> Model::warnings() const {
  const ChatTemplate* chat = impl_->text.chat_template();
  if (chat == nullptr || chat->warning().empty()) return {};
  return {chat->warning()};
}

}  // namespace lattice
