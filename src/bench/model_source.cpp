#include "bench/model_source.h"

#include <algorithm>
#include <variant>

#include <fmt/ranges.h>

#include "bench/environment.h"
#include "bench/random_model.h"
#include "bench/shapes.h"
#include "cpu/cpu_backend.h"
#include "model/reference.h"
#include "support/fail.h"
#include "support/printable.h"
#include "support/thread_pool.h"

namespace lattice::bench {
namespace {

// Workspace, scratch of the threads, the bandwidth measurement's buffer, the program itself.
constexpr std::int64_t kOverhead = std::int64_t{1} << 30;

std::unique_ptr<Backend> make_backend(const Options& options, const Config& config, const Weights& weights) {
  if (options.device == "reference") return make_reference_backend(config, weights);
  CpuOptions cpu;
  cpu.threads = options.threads;
  cpu.exact = options.exact;
  cpu.kv = options.f16_kv ? KvFormat::kF16 : KvFormat::kF32;
  cpu.progress = options.progress;
  return make_cpu_backend(config, weights, cpu);
}

/// Every matrix that a token is multiplied with.
template <typename Visit>
void for_each_matrix(const Weights& weights, const Visit& visit) {
  for (const Layer& layer : weights.layers) {
    if (const auto* linear = std::get_if<LinearMixer>(&layer.mixer)) {
      for (const MatrixView* m : {&linear->qkv, &linear->z, &linear->b, &linear->a, &linear->out}) visit(*m);
    } else {
      const auto& full = std::get<FullMixer>(layer.mixer);
      for (const MatrixView* m : {&full.q, &full.k, &full.v, &full.o}) visit(*m);
    }
    for (const MatrixView* m : {&layer.gate, &layer.up, &layer.down}) visit(*m);
  }
  visit(weights.head);
}

ModelInfo describe(const Options& options, const Config& config, const Weights& weights) {
  ModelInfo info;
  info.kv = options.f16_kv ? "f16" : "f32";
  info.weight_bytes = weights.bytes_per_token();
  info.state_bytes = config.state_bytes();
  info.kv_bytes = config.kv_bytes_per_token(options.f16_kv ? 2 : 4);
  info.head_parameters = weights.head.rows * weights.head.cols;
  const DType head = weights.head.dtype;
  bool mixed = false;
  for_each_matrix(weights, [&](const MatrixView& matrix) {
    info.parameters += matrix.rows * matrix.cols;
    mixed |= matrix.dtype != head;
  });
  info.type = mixed ? "mixed" : std::string(dtype_name(head));
  return info;
}

void check_memory(const Options& options, const Config& config, std::int64_t context) {
  const std::int64_t needed = RandomModel::matrix_bytes(config, options.type) +
                              RandomModel::pool_bytes(config, options.type) +
                              config.kv_bytes_per_token(options.f16_kv ? 2 : 4) * context + config.state_bytes() +
                              kOverhead;
  const std::optional<std::int64_t> available = available_memory();
  if (available && needed > *available) {
    fail("{} in {} with a context of {} takes {:.1f} GB of memory, and {:.1f} GB are free; choose a smaller --shape, "
         "--type or --contexts",
         *options.shape, dtype_name(options.type), context, static_cast<double>(needed) * 1e-9,
         static_cast<double>(*available) * 1e-9);
  }
}

OpenModel open_path(const Options& options) {
  OpenModel out;
  out.checkpoint = Checkpoint::open(*options.path);
  const Config config = Config::from(*out.checkpoint);
  out.weights = std::make_unique<Weights>(Weights::bind(*out.checkpoint, config));
  out.info = describe(options, config, *out.weights);
  out.info.name = options.path->string();
  out.backend = make_backend(options, config, *out.weights);
  return out;
}

OpenModel make_up(const Options& options, std::int64_t context) {
  const Config config = shape_config(*options.shape);
  check_memory(options, config, context);
  if (options.device == "reference") {
    fail_usage("the reference device reads weights where they are, and random ones are made for devices that repack "
               "them; measure it with a model file");
  }
  ThreadPool pool(usable_processors());
  if (options.progress) options.progress("making random weights", 0, 1);
  const RandomModel model(config, options.type, pool);
  if (options.progress) options.progress("making random weights", 1, 1);
  OpenModel out;
  out.info = describe(options, config, model.weights());
  out.info.name = *options.shape;
  out.info.random = true;
  out.backend = make_backend(options, config, model.weights());
  return out;  // the random bytes go: the backend has packed its own
}

}  // namespace

const std::vector<std::string>& device_names() {
  static const std::vector<std::string> names = {"cpu", "reference"};
  return names;
}

OpenModel open_model(const Options& options, std::int64_t context) {
  if (std::ranges::find(device_names(), options.device) == device_names().end()) {
    fail_usage("this build has no device {}; it has {}", printable(options.device),
               fmt::join(device_names(), ", "));
  }
  OpenModel out = options.path ? open_path(options) : make_up(options, context);
  out.info.device = out.backend->description();
  return out;
}

}  // namespace lattice::bench
