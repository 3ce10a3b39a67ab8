#include "gpu/decode_step.h"

#include <algorithm>
#include <bit>

#include "gpu/grid.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/layer_args.h"
#include "gpu/rotary_tables.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::AttentionArgs;
using lattice_gpu::EmbedArgs;
using lattice_gpu::GdnArgs;
using lattice_gpu::GemvArgs;

constexpr std::uint32_t kMaxParts = 32;        // beyond it, parts grow
constexpr std::int64_t kKeysPerPart = 256;     // fewer are not worth the merge
constexpr std::uint32_t kMixerSimdgroups = 4;  // of a threadgroup of gdn_step and attention_decode

std::unique_ptr<Buffer> floats(Device& device, std::int64_t count) {
  return device.allocate(padded_floats(count) * sizeof(float));
}

}  // namespace

Workspace::Workspace(Device& device, const Config& config)
    : hidden(floats(device, config.hidden_size)),
      projections(floats(device, std::max(linear_projections(config), full_projections(config)))),
      mixed(floats(device, std::max(config.linear_v_dim(), config.q_dim()))),
      partial(floats(device, config.attention_heads * kMaxParts * (config.head_dim + 2))),
      activated(floats(device, config.intermediate_size)),
      logits(floats(device, config.vocab_size)),
      sampling(device, config),
      none(floats(device, 1)) {
  const RotaryTables tables(config);
  low_angles = upload_vector(device, tables.low);
  high_angles = upload_vector(device, tables.high);
}

std::uint32_t attention_parts(std::int64_t position) noexcept {
  const std::int64_t wanted = position / kKeysPerPart + 1;
  // Powers of two, so that few different steps are recorded as a sequence grows.
  return std::min(kMaxParts, std::bit_ceil(narrow(std::min<std::int64_t>(wanted, kMaxParts))));
}

void record_gemv(Device& device, Commands& commands, const Gemv& gemv, const GemvShape& shape,
                 const Buffer& none) {
  const DeviceMatrix& matrix = gemv.matrix;
  const FunctionConstant constants[] = {{LATTICE_FC_ROWS, shape.rows},
                                        {LATTICE_FC_SPLIT, shape.split},
                                        {LATTICE_FC_SIMDGROUPS, shape.simdgroups},
                                        {LATTICE_FC_UNROLL, shape.unroll},
                                        {LATTICE_FC_NORM, gemv.norm != nullptr ? 1u : 0u},
                                        {LATTICE_FC_EPILOGUE, gemv.epilogue}};
  const GemvArgs args{matrix.rows, matrix.row_chunks, matrix.row_blocks, matrix.cols, gemv.epsilon};
  const std::uint32_t rows_a_group = shape.rows * (shape.simdgroups / shape.split);
  commands.dispatch(device.kernel("gemv_" + kernel_suffix(matrix.format), constants),
                    {*matrix.quants,
                     matrix.scales != nullptr ? *matrix.scales : none,
                     gemv.x,
                     gemv.norm != nullptr ? *gemv.norm : none,
                     {gemv.y, gemv.y_first * sizeof(float)},
                     args},
                    {ceil_div(matrix.rows, rows_a_group)}, shape.simdgroups * kSimdWidth);
}

std::unique_ptr<Commands> StepRecorder::layers(const GpuState& state, std::uint32_t parts) const {
  std::unique_ptr<Commands> commands = device_.new_commands();
  record_layers(*commands, state, parts);
  return commands;
}

std::unique_ptr<Commands> StepRecorder::head() const {
  std::unique_ptr<Commands> commands = device_.new_commands();
  record_head(*commands);
  return commands;
}

std::unique_ptr<Commands> StepRecorder::drawing_step(GpuState& state, std::uint32_t parts,
                                                     bool is_greedy) const {
  std::unique_ptr<Commands> commands = device_.new_commands();
  record_layers(*commands, state, parts);
  commands->barrier();
  record_head(*commands);
  commands->barrier();
  record_sampling(device_, *commands, *work_.logits, work_.sampling, state, is_greedy);
  return commands;
}

const Commands& StepRecorder::step_at(GpuState& state, std::int64_t position) const {
  const std::uint32_t parts = attention_parts(position);
  std::unique_ptr<Commands>& step = state.step(parts);
  if (step == nullptr) step = layers(state, parts);
  return *step;
}

const Commands& StepRecorder::drawing_step_at(GpuState& state, std::int64_t position, bool is_greedy) const {
  const std::uint32_t parts = attention_parts(position);
  std::unique_ptr<Commands>& step = state.drawing_step(parts, is_greedy);
  if (step == nullptr) step = drawing_step(state, parts, is_greedy);
  return *step;
}

void StepRecorder::record_layers(Commands& commands, const GpuState& state, std::uint32_t parts) const {
  embed(commands, state);
  for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
    const GpuLayer& layer = weights_.layers[i];
    commands.barrier();
    if (const auto* linear = std::get_if<GpuLinearMixer>(&layer.mixer)) {
      project_in(commands, linear->in, *layer.mixer_norm);
      mix(commands, *linear, state, state.layer(i));
    } else {
      const auto& full = std::get<GpuFullMixer>(layer.mixer);
      project_in(commands, full.in, *layer.mixer_norm);
      mix(commands, full, state, state.layer(i), parts);
    }
    commands.barrier();
    mlp(commands, layer);
  }
}

void StepRecorder::record_head(Commands& commands) const {
  gemv(commands, {.matrix = weights_.head,
                  .x = *work_.hidden,
                  .norm = weights_.final_norm.get(),
                  .y = *work_.logits,
                  .epsilon = static_cast<float>(config_.rms_norm_eps)});
}

void StepRecorder::embed(Commands& commands, const GpuState& state) const {
  const DeviceMatrix& matrix = weights_.embedding();
  const EmbedArgs args{narrow(config_.hidden_size), matrix.row_chunks, matrix.row_blocks, matrix.rows};
  commands.dispatch(device_.kernel("embed_" + kernel_suffix(matrix.format), {}),
                    {state.step_state(), *matrix.quants,
                     matrix.scales != nullptr ? *matrix.scales : *work_.none, *work_.hidden, args},
                    {ceil_div(matrix.row_chunks, kSimdWidth)}, kSimdWidth);
}

void StepRecorder::project_in(Commands& commands, const std::vector<DeviceMatrix>& matrices,
                              const Buffer& norm) const {
  std::size_t first = 0;
  for (const DeviceMatrix& matrix : matrices) {
    gemv(commands, {.matrix = matrix,
                    .x = *work_.hidden,
                    .norm = &norm,
                    .y = *work_.projections,
                    .y_first = first,
                    .epsilon = static_cast<float>(config_.rms_norm_eps)});
    first += matrix.rows;
  }
  commands.barrier();
}

void StepRecorder::mix(Commands& commands, const GpuLinearMixer& mixer, const GpuState& state,
                       const GpuState::LayerMemory& memory) const {
  const std::int64_t z = config_.conv_dim();
  const std::int64_t b = z + config_.linear_v_dim();
  const GdnArgs args{.k_heads = narrow(config_.linear_k_heads),
                     .v_heads = narrow(config_.linear_v_heads),
                     .head_dim = narrow(config_.linear_head_dim),
                     .conv_kernel = narrow(config_.conv_kernel),
                     .tiled = config_.v_head_order == VHeadOrder::kTiled ? 1u : 0u,
                     .z_offset = narrow(z),
                     .b_offset = narrow(b),
                     .a_offset = narrow(b + config_.linear_v_heads),
                     .epsilon = static_cast<float>(config_.rms_norm_eps)};
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kMixerSimdgroups}};
  commands.dispatch(device_.kernel("gdn_step", constants),
                    {state.step_state(), *work_.projections, *mixer.taps, *mixer.decay_rate, *mixer.dt_bias,
                     *mixer.norm, *memory.ring, *memory.delta, *work_.mixed, args},
                    {args.v_heads}, kMixerSimdgroups * kSimdWidth);
  commands.barrier();
  gemv(commands,
       {.matrix = mixer.out, .x = *work_.mixed, .y = *work_.hidden, .epilogue = LATTICE_EPILOGUE_ADD});
}

void StepRecorder::mix(Commands& commands, const GpuFullMixer& mixer, const GpuState& state,
                       const GpuState::LayerMemory& memory, std::uint32_t parts) const {
  const AttentionArgs args = attention_args(config_, state.capacity(), parts);
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kMixerSimdgroups},
                                        {LATTICE_FC_GROUP, args.heads / args.kv_heads},
                                        {LATTICE_FC_LANE_DIMS, args.head_dim / kSimdWidth}};
  commands.dispatch(
      device_.kernel(kv_ == KvFormat::kF16 ? "attention_decode_f16" : "attention_decode_f32", constants),
      {state.step_state(), *work_.projections, *mixer.q_norm, *mixer.k_norm, *work_.low_angles,
       *work_.high_angles, *memory.keys, *memory.values, *work_.mixed, *work_.partial, args},
      {parts, args.kv_heads}, kMixerSimdgroups * kSimdWidth);
  commands.barrier();
  if (parts > 1) {
    commands.dispatch(device_.kernel("attention_merge", constants),
                      {*work_.projections, *work_.partial, *work_.mixed, args}, {args.heads}, kSimdWidth);
    commands.barrier();
  }
  gemv(commands,
       {.matrix = mixer.out, .x = *work_.mixed, .y = *work_.hidden, .epilogue = LATTICE_EPILOGUE_ADD});
}

void StepRecorder::mlp(Commands& commands, const GpuLayer& layer) const {
  gemv(commands, {.matrix = layer.gate_up,
                  .x = *work_.hidden,
                  .norm = layer.mlp_norm.get(),
                  .y = *work_.activated,
                  .epilogue = LATTICE_EPILOGUE_SWIGLU,
                  .epsilon = static_cast<float>(config_.rms_norm_eps)});
  commands.barrier();
  gemv(commands,
       {.matrix = layer.down, .x = *work_.activated, .y = *work_.hidden, .epilogue = LATTICE_EPILOGUE_ADD});
}

}  // namespace lattice::gpu
