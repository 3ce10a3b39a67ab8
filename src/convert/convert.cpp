#include "convert/convert.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <system_error>
#include <variant>

#include "convert/gguf_architecture.h"
#include "convert/gguf_tokenizer.h"
#include "convert/matrix_stream.h"
#include "convert/tensor_plan.h"
#include "formats/gguf_types.h"
#include "formats/gguf_writer.h"
#include "model/config.h"
#include "model/weights.h"
#include "support/fail.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;

/// Keys of a GGUF checkpoint that are not carried over: the decoder's own, which are all written anew from
/// its configuration (without the vision encoder, and in this file's order of V heads), and
/// those that tell how the other file was quantised.
constexpr std::string_view kNotCarriedOver[] = {"qwen35.", "quantize."};

void check_type(DType type) {
  constexpr DType kWritable[] = {DType::kQ8_0, DType::kQ4_0, DType::kBF16, DType::kF16, DType::kF32};
  if (std::ranges::find(kWritable, type) != std::end(kWritable)) return;
  fail_usage("{} cannot be written; choose q8_0, q4_0, bf16, f16 or f32", dtype_name(type));
}

/// Throws Error(kUsage) where writing `out` would destroy what is being read.
void check_not_input(const Checkpoint& checkpoint, const fs::path& out) {
  std::error_code ignored;
  if (!fs::exists(out, ignored)) return;
  const auto same = [&out](const fs::path& input) {
    std::error_code error;
    return fs::equivalent(out, input, error);
  };
  const bool is_weights = std::ranges::any_of(checkpoint.weight_files(), same);
  // Whatever else stands in a model directory (config.json, tokenizer.json) is the model's too.
  const bool beside_config =
      checkpoint.kind() != CheckpointKind::kGguf && out.extension() != ".gguf" &&
      fs::equivalent(fs::absolute(out, ignored).parent_path(), checkpoint.path(), ignored);
  if (is_weights || beside_config) {
    fail_usage("{}: is a file of the model that is to be converted; choose another name for the result",
               out.string());
  }
}

void add_metadata(GgufWriter& writer, const Checkpoint& checkpoint, const Config& config, bool has_mtp,
                  DType type, std::vector<std::string>& warnings) {
  add_architecture(writer, checkpoint, config, has_mtp, type);
  if (const GgufMetadata* metadata = checkpoint.gguf()) {
    writer.copy_missing(*metadata, kNotCarriedOver);
    return;
  }
  add_sampling_defaults(writer, checkpoint);
  add_tokenizer(writer, checkpoint, config, warnings);
}

/// Says which matrices did not get the type that was chosen for them.
void warn_of_fallbacks(std::span<const PlannedTensor> tensors, std::vector<std::string>& warnings) {
  for (const PlannedTensor& tensor : tensors) {
    if (tensor.type == tensor.wanted) continue;
    warnings.push_back(fmt::format("{} is written in {}, not {}: its rows of {} are not made of blocks of {}",
                                   tensor.name, dtype_name(tensor.type), dtype_name(tensor.wanted),
                                   tensor.shape.back(), block_elements(tensor.wanted)));
  }
}

/// Counts the bytes written and tells whoever watches.
class WatchedWriter {
 public:
  WatchedWriter(GgufWriter& writer, const Progress& progress, std::int64_t total)
      : writer_(writer), progress_(progress), total_(total) {}

  void write(const std::string& name, std::span<const std::byte> bytes) {
    writer_.write(name, bytes);
    done_ += static_cast<std::int64_t>(bytes.size());
    if (progress_) progress_("write", done_, total_);
  }

 private:
  GgufWriter& writer_;
  const Progress& progress_;
  std::int64_t total_;
  std::int64_t done_ = 0;
};

std::int64_t bytes_of(const PlannedTensor& tensor) {
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < tensor.shape.size(); ++i) rows *= tensor.shape[i];
  return rows * (tensor.shape.back() / block_elements(tensor.type)) * block_bytes(tensor.type);
}

}  // namespace

ConvertReport convert_to_gguf(const Checkpoint& checkpoint, const fs::path& out,
                              const ConvertOptions& options) {
  const TypeChoice types{options.type, options.head_type.value_or(options.type)};
  check_type(types.matrices);
  check_type(types.head);
  check_not_input(checkpoint, out);
  const Config config = Config::from(checkpoint);
  // The matrices' values are checked as they pass through.
  const Weights weights = Weights::bind(checkpoint, config, Weights::ValueCheck::kSmall);
  const std::vector<PlannedTensor> tensors = plan_tensors(config, weights, types);

  ConvertReport report;
  warn_of_fallbacks(tensors, report.warnings);
  GgufWriter writer(out);
  add_metadata(writer, checkpoint, config, weights.mtp.has_value(), options.type, report.warnings);
  for (const PlannedTensor& tensor : tensors) {
    writer.add_tensor(tensor.name, tensor.shape, ggml_type(tensor.type));
    report.tensor_bytes += bytes_of(tensor);
    ++report.tensors;
  }
  WatchedWriter sink(writer, options.progress, report.tensor_bytes);
  MatrixStream stream(checkpoint.path().string(), options.threads);
  for (const PlannedTensor& tensor : tensors) {
    if (const auto* values = std::get_if<std::vector<float>>(&tensor.content)) {
      sink.write(tensor.name, std::as_bytes(std::span(*values)));
      continue;
    }
    stream.convert(tensor.name, std::get<PlannedMatrix>(tensor.content), tensor.type,
                   [&](std::span<const std::byte> bytes) { sink.write(tensor.name, bytes); });
  }
  writer.finish();
  return report;
}

}  // namespace lattice
