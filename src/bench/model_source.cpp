#include "bench/model_source.h"

#include <variant>

#include "bench/environment.h"
#include "bench/shapes.h"
#include "engine/devices.h"
#include "support/fail.h"
#include "support/thread_pool.h"

namespace lattice::bench {
namespace {

// Workspace, scratch of the threads, the bandwidth measurement's buffer, the program itself.
constexpr std::int64_t kOverhead = std::int64_t{1} << 30;

std::int64_t kv_element_bytes(const Options& options) {
  return kv_precision(find_device(options.load.device), options.load) == KvPrecision::kF16 ? 2 : 4;
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
  info.name = options.path ? options.path->string() : *options.shape;
  info.random = !options.path;
  info.kv = kv_element_bytes(options) == 2 ? "f16" : "f32";
  info.weight_bytes = weights.bytes_per_token();
  info.state_bytes = config.state_bytes();
  info.kv_bytes = config.kv_bytes_per_token(kv_element_bytes(options));
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

void check_memory(const Options& options, const Config& config, std::int64_t context, bool in_host_memory) {
  std::int64_t needed = RandomModel::pool_bytes(config, options.type) + kOverhead;
  if (in_host_memory) {  // and not a device's, which says itself when it is full
    needed += RandomModel::matrix_bytes(config, options.type) +
              config.kv_bytes_per_token(kv_element_bytes(options)) * context + config.state_bytes();
  }
  const std::optional<std::int64_t> available = available_memory();
  if (available && needed > *available) {
    fail(
        "{} in {} with a context of {} takes {:.1f} GB of memory, and {:.1f} GB are free; choose a smaller "
        "--shape, "
        "--type or --contexts",
        *options.shape, dtype_name(options.type), context, static_cast<double>(needed) * 1e-9,
        static_cast<double>(*available) * 1e-9);
  }
}

void open_path(const Options& options, OpenModel& out) {
  out.checkpoint = Checkpoint::open(*options.path);
  out.config = Config::from(*out.checkpoint);
  out.weights = Weights::bind(*out.checkpoint, out.config);
  if (!options.load.mtp) out.weights.mtp.reset();
}

void make_up(const Options& options, std::int64_t context, bool in_host_memory, OpenModel& out) {
  out.config = shape_config(*options.shape);
  out.config.mtp = options.load.mtp;
  check_memory(options, out.config, context, in_host_memory);
  ThreadPool pool(usable_processors());
  out.random = std::make_unique<RandomModel>(out.config, options.type, pool);
  out.weights = out.random->weights();
}

}  // namespace

std::unique_ptr<OpenModel> open_model(const Options& options, std::int64_t context) {
  const DeviceKind& device = find_device(options.load.device);
  device.check(options.load);
  auto out = std::make_unique<OpenModel>();
  if (options.path) {
    open_path(options, *out);
  } else {
    make_up(options, context, device.in_host_memory, *out);
  }
  out->info = describe(options, out->config, out->weights);
  out->backend = device.make(out->config, out->weights, options.load);
  out->info.device = out->backend->description();
  if (device.owns_weights) {  // what was packed need not be kept twice
    out->weights = {};
    out->random.reset();
    out->checkpoint.reset();
  }
  return out;
}

}  // namespace lattice::bench
