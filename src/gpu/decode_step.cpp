#include "gpu/decode_step.h"

#include <algorithm>
#include <bit>

#include "gpu/grid.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/layer_args.h"
#include "gpu/rotary_tables.h"
#include "support/fail.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::AttentionArgs;
using lattice_gpu::EmbedArgs;
using lattice_gpu::GdnArgs;
using lattice_gpu::GemvArgs;

/// Simdgroups of a threadgroup of gdn_step and of attention_decode: on a device, enough that the state of a
/// head of 128 is in registers at once, and that a core has its share of keys in flight.
struct MixerSimdgroups {
  std::uint32_t gdn;
  std::uint32_t attention;
};
MixerSimdgroups mixer_simdgroups(const Device& device) {
  return device.cores() == 0 ? MixerSimdgroups{4, 4} : MixerSimdgroups{16, 8};
}

std::unique_ptr<Buffer> floats(Device& device, std::int64_t count) {
  return device.allocate(padded_floats(count) * sizeof(float));
}

std::uint32_t threadgroups(const GemvShape& shape, const DeviceMatrix& matrix) {
  return ceil_div(matrix.rows * shape.split, shape.rows * shape.simdgroups);
}

/// Chunks of a row that a lane meets.
std::uint32_t lane_chunks(const GemvShape& shape, const DeviceMatrix& matrix) {
  return ceil_div(matrix.row_chunks, shape.split * kSimdWidth);
}

bool occupies(const GemvShape& shape, const DeviceMatrix& matrix, std::uint32_t cores) {
  return threadgroups(shape, matrix) * 10 >= cores * 9;
}

/// An output head: very many rows.
bool is_head(const DeviceMatrix& matrix, std::uint32_t cores) {
  constexpr std::uint32_t kManyRows = 1024;  // a core
  return matrix.rows / cores >= kManyRows;
}

/// Rows split until every core has some.
void split_rows(GemvShape& shape, const DeviceMatrix& matrix, std::uint32_t cores) {
  while (shape.split < shape.simdgroups && !occupies(shape, matrix, cores) &&
         2 * shape.split * kSimdWidth <= matrix.row_chunks &&
         2 * shape.split * kSimdWidth * chunk_cols(matrix.format) <= LATTICE_STAGE_COLS) {
    shape.split *= 2;
  }
}

/// As many loads a lane as its chunks allow, and no more than `most`.
void unroll(GemvShape& shape, const DeviceMatrix& matrix, std::uint32_t most) {
  while (shape.unroll < most && shape.unroll < lane_chunks(shape, matrix)) shape.unroll *= 2;
  while (shape.unroll > 1 && !fits_stage(shape, matrix.format)) shape.unroll /= 2;
}

/// Enough loads a lane, and rows split until every core has some.
GemvShape choose_unscaled(std::uint32_t cores, const DeviceMatrix& matrix) {
  GemvShape shape{.rows = 4, .split = 1, .simdgroups = 8, .unroll = 1};
  split_rows(shape, matrix, cores);
  unroll(shape, matrix, matrix.cols > LATTICE_STAGE_COLS ? 2 : 4);
  return shape;
}

GemvShape choose_q8_0(std::uint32_t cores, const DeviceMatrix& matrix) {
  constexpr std::uint32_t kShortRow = 64;  // chunks
  constexpr std::uint32_t kWideTile = 128;
  const bool is_short = matrix.row_chunks <= kShortRow;
  if (is_head(matrix, cores) && is_short) {
    return {.rows = 8, .split = 1, .simdgroups = 4, .unroll = 1};  // a core holds several threadgroups
  }
  if (matrix.cols > LATTICE_STAGE_COLS) {  // few rows, and long ones
    const GemvShape shape{.rows = 2, .split = 1, .simdgroups = 8, .unroll = 4, .ahead = true};
    return threadgroups(shape, matrix) >= cores ? shape : GemvShape{2, 2, 8, 2, true};
  }
  GemvShape shape{.rows = 4, .split = 1, .simdgroups = 8, .unroll = 1};
  if (!is_short && occupies(shape, matrix, cores)) {
    // Tiles without much of a remainder; two rows where four would leave a few threadgroups for later.
    if (matrix.row_chunks > kWideTile && matrix.row_chunks % kWideTile == 0) return {4, 2, 8, 2, true};
    const GemvShape wide{.rows = 4, .split = 1, .simdgroups = 16, .unroll = 1};
    if (is_head(matrix, cores)) return wide;
    const bool is_even = matrix.row_chunks % kShortRow == 0;
    const GemvShape four = is_even ? GemvShape{4, 1, 8, 2, true} : wide;
    return threadgroups(four, matrix) <= 2 * cores ? four : GemvShape{2, 1, 8, 2, true};
  }
  split_rows(shape, matrix, cores);
  unroll(shape, matrix, 2);
  shape.ahead = lane_chunks(shape, matrix) > shape.unroll;
  return shape;
}

/// Four chunks at a time: each meets 32 columns, and so many registers.
GemvShape choose_q4_0(std::uint32_t cores, const DeviceMatrix& matrix) {
  if (is_head(matrix, cores)) return {.rows = 8, .split = 1, .simdgroups = 4, .unroll = 1};
  if (matrix.cols > LATTICE_STAGE_COLS) {
    return {.rows = 4, .split = 2, .simdgroups = 8, .unroll = 1, .ahead = true};
  }
  GemvShape shape{.rows = 4, .split = 1, .simdgroups = 8, .unroll = 1};
  if (threadgroups(shape, matrix) >= cores || matrix.row_chunks < 2 * kSimdWidth) return shape;
  shape.split = 2;
  const std::uint32_t chunks = lane_chunks(shape, matrix);
  if (threadgroups(shape, matrix) < cores && chunks == 2) return {2, 2, 8, 2, false};
  shape.ahead = chunks > 1;
  return shape;
}

}  // namespace

Workspace::Workspace(Device& device, const Config& config)
    : sharing(KeySharing::of(device.cores(), config.kv_heads)),
      hidden(floats(device, config.hidden_size)),
      projections(floats(device, std::max(linear_projections(config), full_projections(config)))),
      mixed(floats(device, std::max(config.linear_v_dim(), config.q_dim()))),
      partial(floats(device, config.attention_heads * sharing.most_parts * (config.head_dim + 2))),
      activated(floats(device, config.intermediate_size)),
      logits(floats(device, config.vocab_size)),
      sampling(device, config),
      none(floats(device, 1)) {
  const RotaryTables tables(config);
  low_angles = upload_vector(device, tables.low);
  high_angles = upload_vector(device, tables.high);
}

KeySharing KeySharing::of(std::uint32_t cores, std::int64_t kv_heads) noexcept {
  if (cores == 0) return {};
  constexpr std::int64_t kKeys = 128;
  const std::uint32_t heads = std::max(1u, narrow(kv_heads));
  return {std::bit_floor(std::max(1u, 2 * cores / heads)), kKeys};
}

std::uint32_t KeySharing::parts(std::int64_t position) const noexcept {
  const std::int64_t wanted = position / keys + 1;
  // Powers of two, so that few different steps are recorded as a sequence grows.
  return std::min(most_parts, std::bit_ceil(narrow(std::min<std::int64_t>(wanted, most_parts))));
}

bool fits_stage(const GemvShape& shape, DType format) noexcept {
  return shape.split * shape.unroll * kSimdWidth * chunk_cols(format) <= LATTICE_STAGE_COLS;
}

bool exceeds_stage(const GemvShape& shape, const DeviceMatrix& matrix) noexcept {
  const std::uint32_t most = LATTICE_STAGE_COLS / chunk_cols(matrix.format);
  return matrix.row_chunks > most - most % (shape.split * shape.unroll * kSimdWidth);
}

GemvShape choose_gemv_shape(std::uint32_t cores, const DeviceMatrix& matrix) {
  if (cores == 0) return {};
  switch (matrix.format) {
    case DType::kQ8_0:
      return choose_q8_0(cores, matrix);
    case DType::kQ4_0:
      return choose_q4_0(cores, matrix);
    default:
      return choose_unscaled(cores, matrix);
  }
}

std::vector<FunctionConstant> gemv_constants(const GemvShape& shape, bool norm, std::uint32_t epilogue,
                                             bool is_long) {
  return {{LATTICE_FC_ROWS, shape.rows},
          {LATTICE_FC_SPLIT, shape.split},
          {LATTICE_FC_SIMDGROUPS, shape.simdgroups},
          {LATTICE_FC_UNROLL, shape.unroll},
          {LATTICE_FC_NORM, norm ? 1u : 0u},
          {LATTICE_FC_EPILOGUE, epilogue},
          {LATTICE_FC_AHEAD, shape.ahead ? 1u : 0u},
          {LATTICE_FC_LONG, is_long ? 1u : 0u}};
}

void record_gemv(Device& device, Commands& commands, const Gemv& gemv, const GemvShape& shape,
                 const Buffer& none) {
  const DeviceMatrix& matrix = gemv.matrix;
  if (!fits_stage(shape, matrix.format)) {
    fail_usage("{} simdgroups of {} chunks of {} a lane take in more columns than the {} of a stage",
               shape.split, shape.unroll, dtype_name(matrix.format), LATTICE_STAGE_COLS);
  }
  const std::vector<FunctionConstant> constants =
      gemv_constants(shape, gemv.norm != nullptr, gemv.epilogue, exceeds_stage(shape, matrix));
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

std::unique_ptr<Commands> StepRecorder::step(const GpuState& state, std::uint32_t parts) const {
  std::unique_ptr<Commands> commands = device_.new_commands();
  record_layers(*commands, state, parts);
  commands->barrier();
  record_head(*commands);
  return commands;
}

std::unique_ptr<Commands> StepRecorder::drawing_step(GpuState& state, std::uint32_t parts,
                                                     bool is_greedy) const {
  std::unique_ptr<Commands> commands = step(state, parts);
  commands->barrier();
  record_sampling(device_, *commands, *work_.logits, work_.sampling, state, is_greedy);
  return commands;
}

const Commands& StepRecorder::step_at(GpuState& state, std::int64_t position, bool with_head) const {
  const std::uint32_t parts = work_.sharing.parts(position);
  std::unique_ptr<Commands>& recorded = state.step(parts, with_head);
  if (recorded == nullptr) recorded = with_head ? step(state, parts) : layers(state, parts);
  return *recorded;
}

const Commands& StepRecorder::drawing_step_at(GpuState& state, std::int64_t position, bool is_greedy) const {
  const std::uint32_t parts = work_.sharing.parts(position);
  std::unique_ptr<Commands>& recorded = state.drawing_step(parts, is_greedy);
  if (recorded == nullptr) recorded = drawing_step(state, parts, is_greedy);
  return *recorded;
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
  const GdnArgs args{.tiled = config_.v_head_order == VHeadOrder::kTiled ? 1u : 0u,
                     .z_offset = narrow(z),
                     .b_offset = narrow(b),
                     .a_offset = narrow(b + config_.linear_v_heads),
                     .epsilon = static_cast<float>(config_.rms_norm_eps)};
  const std::uint32_t simdgroups = mixer_simdgroups(device_).gdn;
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, simdgroups},
                                        {LATTICE_FC_VECTORS, narrow(config_.linear_head_dim) / 4},
                                        {LATTICE_FC_TAPS, narrow(config_.conv_kernel)},
                                        {LATTICE_FC_K_HEADS, narrow(config_.linear_k_heads)},
                                        {LATTICE_FC_V_HEADS, narrow(config_.linear_v_heads)}};
  commands.dispatch(device_.kernel("gdn_step", constants),
                    {state.step_state(), *work_.projections, *mixer.taps, *mixer.decay_rate, *mixer.dt_bias,
                     *mixer.norm, *memory.ring, *memory.delta, *work_.mixed, args},
                    {narrow(config_.linear_v_heads)}, simdgroups * kSimdWidth);
  commands.barrier();
  gemv(commands,
       {.matrix = mixer.out, .x = *work_.mixed, .y = *work_.hidden, .epilogue = LATTICE_EPILOGUE_ADD});
}

void StepRecorder::mix(Commands& commands, const GpuFullMixer& mixer, const GpuState& state,
                       const GpuState::LayerMemory& memory, std::uint32_t parts) const {
  const AttentionArgs args = attention_args(config_, state.capacity(), parts);
  const std::uint32_t simdgroups = mixer_simdgroups(device_).attention;
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, simdgroups},
                                        {LATTICE_FC_GROUP, args.heads / args.kv_heads},
                                        {LATTICE_FC_LANE_DIMS, args.head_dim / kSimdWidth}};
  commands.dispatch(
      device_.kernel(kv_ == KvFormat::kF16 ? "attention_decode_f16" : "attention_decode_f32", constants),
      {state.step_state(), *work_.projections, *mixer.q_norm, *mixer.k_norm, *work_.low_angles,
       *work_.high_angles, *memory.keys, *memory.values, *work_.mixed, *work_.partial, args},
      {parts, args.kv_heads}, simdgroups * kSimdWidth);
  commands.barrier();
  if (parts > 1) {
    commands.dispatch(device_.kernel("attention_merge", constants),
                      {*work_.projections, *work_.partial, *work_.mixed, args}, {args.heads},
                      simdgroups * kSimdWidth);
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
