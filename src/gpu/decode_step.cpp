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

/// Simdgroups of a threadgroup of gdn_step: on a device, enough that the state of a head of 128 is in
/// registers at once. And the threadgroups that share out a head.
struct MixerShape {
  std::uint32_t simdgroups;
  std::uint32_t parts;
};
MixerShape mixer_shape(std::uint32_t cores) {
  return cores == 0 ? MixerShape{4, 2} : MixerShape{8, 4};
}

std::unique_ptr<Buffer> floats(Device& device, std::int64_t count) {
  return device.allocate(padded_floats(count) * sizeof(float));
}

/// What a vector's floats make in planes (kernels/planes.h): of 16 columns one float2 more.
std::int64_t planes_floats(std::int64_t count) {
  return count + count / 8;
}
/// Floats or planes.
std::unique_ptr<Buffer> floats_or_planes(Device& device, std::int64_t count) {
  return floats(device, planes_floats(count));
}
/// Floats and behind them planes, with sums of squares of 32 columns each.
std::unique_ptr<Buffer> floats_and_planes(Device& device, std::int64_t count) {
  return floats(device, count + planes_floats(count) + count / 32);
}

}  // namespace

Workspace::Workspace(Device& device, const Config& config, KvFormat kv)
    : attention(AttentionDecode::of(device, config, kv)),
      hidden(floats_and_planes(device, config.hidden_size)),
      projections(floats(device, std::max(linear_projections(config), full_projections(config)))),
      mixed(floats_or_planes(device, std::max(config.linear_v_dim(), config.q_dim()))),
      heads(HeadNorm::of(device.cores(), config)),
      head_squares(floats(device, config.linear_v_heads * heads.parts)),
      partial(floats(device, config.attention_heads * attention.sharing.most_parts * (config.head_dim + 2))),
      activated(floats_or_planes(device, config.intermediate_size)),
      logits(floats(device, config.vocab_size)),
      sampling(device, config),
      none(floats(device, 1)) {
  const RotaryTables tables(config);
  low_angles = upload_vector(device, tables.low);
  high_angles = upload_vector(device, tables.high);
}

HeadNorm HeadNorm::of(std::uint32_t cores, const Config& config) noexcept {
  return {narrow(config.linear_head_dim), mixer_shape(cores).parts};
}

std::string gemv_kernel(const GemvShape& shape, DType format, const GemvForm& form) {
  const char* name = form.from_planes ? "gemv_planes_" : shape.bytes ? "gemv_bytes_" : "gemv_";
  return name + kernel_suffix(format);
}

std::uint32_t planes_for(const DeviceMatrix& reader) noexcept {
  return reader.format == DType::kQ4_0 ? LATTICE_PLANES_NIBBLES : LATTICE_PLANES_BYTES;
}

bool leaves_planes(const GemvShape& shape, const DeviceMatrix& matrix, std::uint32_t epilogue) noexcept {
  const std::uint32_t group_rows = epilogue == LATTICE_EPILOGUE_SWIGLU ? 2 * kSimdWidth : kSimdWidth;
  return shape.bytes && shape.simdgroups / shape.split * shape.rows % group_rows == 0 &&
         matrix.rows % group_rows == 0;
}

std::vector<FunctionConstant> gemv_constants(const GemvShape& shape, const DeviceMatrix& matrix,
                                             const GemvForm& form) {
  std::vector<FunctionConstant> out = {{LATTICE_FC_ROWS, shape.rows},
                                       {LATTICE_FC_SPLIT, shape.split},
                                       {LATTICE_FC_SIMDGROUPS, shape.simdgroups},
                                       {LATTICE_FC_UNROLL, shape.unroll},
                                       {LATTICE_FC_EPILOGUE, form.epilogue}};
  out.push_back({LATTICE_FC_NORM, form.heads.dim != 0 ? std::uint32_t{LATTICE_NORM_HEADS}
                                  : form.norm         ? LATTICE_NORM_RMS
                                                      : LATTICE_NORM_NONE});
  // Without LATTICE_NORM_HEADS nobody looks at these, but Metal wants a value for every constant.
  out.push_back({LATTICE_FC_VECTORS, form.heads.dim / 4});
  out.push_back({LATTICE_FC_HEAD_PARTS, form.heads.parts});
  const std::uint32_t round = round_chunks(shape);
  if (shape.bytes) {
    out.push_back({LATTICE_FC_ROUNDS, matrix.row_chunks % round != 0 ? std::uint32_t{LATTICE_ROUNDS_ANY}
                                      : matrix.row_chunks == round   ? LATTICE_ROUNDS_ONE
                                                                     : LATTICE_ROUNDS_MANY});
    if (shape.resident != 0) out.push_back({LATTICE_FC_RESIDENT, shape.resident});
  }
  if (shape.bytes) out.push_back({LATTICE_FC_TO_PLANES, form.to_planes});
  if (!shape.bytes || form.from_planes) out.push_back({LATTICE_FC_AHEAD, shape.ahead ? 1u : 0u});
  if (form.from_planes) {
    out.push_back({LATTICE_FC_LOADS, form.norm ? ceil_div(matrix.cols, kSimdWidth * kSimdWidth) : 0u});
    return out;
  }
  out.push_back({LATTICE_FC_LONG, exceeds_stage(shape, matrix) ? 1u : 0u});
  if (shape.bytes) {
    const std::uint32_t chunks =
        std::min(stage_chunks(shape, matrix.format), ceil_div(matrix.row_chunks, round) * round);
    out.push_back(
        {LATTICE_FC_LOADS, ceil_div(chunks * chunk_cols(matrix.format), shape.simdgroups * kSimdWidth * 4)});
  }
  return out;
}

void record_gemv(Device& device, Commands& commands, const Gemv& gemv, const GemvShape& shape,
                 const Buffer& none) {
  const DeviceMatrix& matrix = gemv.matrix;
  const GemvForm& form = gemv.form;
  if (!form.from_planes && !fits_stage(shape, matrix.format)) {
    fail_usage("{} simdgroups of {} chunks of {} a lane take in more columns than the {} of a stage",
               shape.split, shape.unroll, dtype_name(matrix.format), LATTICE_STAGE_COLS);
  }
  if (shape.bytes != matrix.is_tiled()) {
    fail_usage("a shape for {} was given for a matrix that {}", shape.bytes ? "tiles" : "rows",
               matrix.is_tiled() ? "lies in tiles" : "does not lie in tiles");
  }
  const GemvArgs args{matrix.rows, matrix.row_chunks, matrix.row_blocks,
                      matrix.cols, matrix.row_groups, gemv.epsilon};
  const auto or_none = [&](const Buffer* buffer) -> const Buffer& {
    return buffer != nullptr ? *buffer : none;
  };
  std::vector<Argument> arguments = {
      *matrix.quants, or_none(matrix.scales.get()), {gemv.x, gemv.x_first * sizeof(float)}};
  if (!shape.bytes) arguments.emplace_back(or_none(gemv.norm));
  arguments.emplace_back(shape.bytes && gemv.norm != nullptr ? *gemv.norm : or_none(gemv.head_squares));
  arguments.emplace_back(gemv.y, gemv.y_first * sizeof(float));
  if (shape.bytes) arguments.emplace_back(or_none(gemv.next_norm));
  arguments.emplace_back(args);
  commands.dispatch(
      device.kernel(gemv_kernel(shape, matrix.format, form), gemv_constants(shape, matrix, form)),
      std::move(arguments), {gemv_threadgroups(shape, matrix)}, shape.simdgroups * kSimdWidth);
}

std::unique_ptr<Commands> StepRecorder::layers(const GpuState& state, std::uint32_t parts) const {
  std::unique_ptr<Commands> commands = device_.new_commands();
  (void)record_layers(*commands, state, parts);
  return commands;
}

std::unique_ptr<Commands> StepRecorder::head() const {
  std::unique_ptr<Commands> commands = device_.new_commands();
  record_head(*commands, LATTICE_PLANES_NONE);  // behind a prompt as well
  return commands;
}

std::unique_ptr<Commands> StepRecorder::step(const GpuState& state, std::uint32_t parts) const {
  std::unique_ptr<Commands> commands = device_.new_commands();
  const std::uint32_t planes = record_layers(*commands, state, parts);
  commands->barrier();
  record_head(*commands, planes);
  return commands;
}

std::unique_ptr<Commands> StepRecorder::drawing_step(GpuState& state, std::uint32_t parts, Draw draw) const {
  std::unique_ptr<Commands> commands = step(state, parts);
  commands->barrier();
  record_sampling(device_, *commands, *work_.logits, work_.sampling, state, draw);
  return commands;
}

const Commands& StepRecorder::step_at(GpuState& state, std::int64_t position, bool with_head) const {
  const std::uint32_t parts = work_.attention.sharing.parts(position);
  std::unique_ptr<Commands>& recorded = state.step(parts, with_head);
  if (recorded == nullptr) recorded = with_head ? step(state, parts) : layers(state, parts);
  return *recorded;
}

const Commands& StepRecorder::drawing_step_at(GpuState& state, std::int64_t position, Draw draw) const {
  const std::uint32_t parts = work_.attention.sharing.parts(position);
  std::unique_ptr<Commands>& recorded = state.drawing_step(parts, draw);
  if (recorded == nullptr) recorded = drawing_step(state, parts, draw);
  return *recorded;
}

std::uint32_t StepRecorder::record_layers(Commands& commands, const GpuState& state,
                                          std::uint32_t parts) const {
  embed(commands, state);
  std::uint32_t planes = LATTICE_PLANES_NONE;
  for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
    const GpuLayer& layer = weights_.layers[i];
    const ResidualReader mlp_reader{{&layer.gate_up, 1}, *layer.mlp_norm};
    commands.barrier();
    project_in(commands, mixer_of(layer), planes);
    commands.barrier();
    if (const auto* linear = std::get_if<GpuLinearMixer>(&layer.mixer)) {
      planes = mix(commands, *linear, state, state.layer(i), mlp_reader);
    } else {
      planes = mix(commands, std::get<GpuFullMixer>(layer.mixer), state, state.layer(i), parts, mlp_reader);
    }
    commands.barrier();
    planes = mlp(commands, layer, planes, reader_behind(i));
  }
  return planes;
}

StepRecorder::ResidualReader StepRecorder::mixer_of(const GpuLayer& layer) const {
  return std::visit(
      [&](const auto& mixer) {
        return ResidualReader{mixer.in, *layer.mixer_norm};
      },
      layer.mixer);
}

StepRecorder::ResidualReader StepRecorder::reader_behind(std::size_t i) const {
  if (i + 1 < weights_.layers.size()) return mixer_of(weights_.layers[i + 1]);
  return {{&weights_.head, 1}, *weights_.final_norm};
}

std::uint32_t StepRecorder::planes_between(bool can_leave, std::span<const DeviceMatrix> readers) const {
  const auto wants = [&](const DeviceMatrix& reader) {
    return shape_of(reader).planes && planes_for(reader) == planes_for(readers.front());
  };
  return can_leave && std::ranges::all_of(readers, wants) ? planes_for(readers.front()) : LATTICE_PLANES_NONE;
}

std::uint32_t StepRecorder::add_to_residual(Commands& commands, Gemv gemv, const ResidualReader& next) const {
  gemv.form.epilogue = LATTICE_EPILOGUE_ADD;
  gemv.form.to_planes =
      planes_between(leaves_planes(shape_of(gemv.matrix), gemv.matrix, gemv.form.epilogue), next.matrices);
  gemv.next_norm = &next.norm;
  this->gemv(commands, gemv);
  return gemv.form.to_planes;
}

void StepRecorder::record_head(Commands& commands, std::uint32_t planes) const {
  gemv(commands, of_residual(weights_.head, *weights_.final_norm, planes, *work_.logits));
}

Gemv StepRecorder::of_residual(const DeviceMatrix& matrix, const Buffer& norm, std::uint32_t planes,
                               const Buffer& y) const {
  const bool from_planes = planes != LATTICE_PLANES_NONE;
  return {.matrix = matrix,
          .form = {.norm = true, .from_planes = from_planes},
          .x = *work_.hidden,
          .x_first = from_planes ? static_cast<std::size_t>(config_.hidden_size) : 0,
          .y = y,
          .norm = from_planes ? nullptr : &norm,
          .epsilon = static_cast<float>(config_.rms_norm_eps)};
}

void StepRecorder::embed(Commands& commands, const GpuState& state) const {
  const DeviceMatrix& matrix = weights_.embedding();
  const EmbedArgs args{narrow(config_.hidden_size), matrix.row_chunks, matrix.row_blocks, matrix.row_groups,
                       matrix.rows};
  commands.dispatch(device_.kernel("embed_" + kernel_suffix(matrix.format), {}),
                    {state.step_state(), *matrix.quants,
                     matrix.scales != nullptr ? *matrix.scales : *work_.none, *work_.hidden, args},
                    {ceil_div(matrix.row_chunks, kSimdWidth)}, kSimdWidth);
}

void StepRecorder::project_in(Commands& commands, const ResidualReader& reader, std::uint32_t planes) const {
  std::size_t first = 0;
  for (const DeviceMatrix& matrix : reader.matrices) {
    Gemv product = of_residual(matrix, reader.norm, planes, *work_.projections);
    product.y_first = first;
    gemv(commands, product);
    first += matrix.rows;
  }
}

std::uint32_t StepRecorder::mix(Commands& commands, const GpuLinearMixer& mixer, const GpuState& state,
                                const GpuState::LayerMemory& memory, const ResidualReader& next) const {
  const std::int64_t z = config_.conv_dim();
  const std::int64_t b = z + config_.linear_v_dim();
  const GdnArgs args{.tiled = config_.v_head_order == VHeadOrder::kTiled ? 1u : 0u,
                     .z_offset = narrow(z),
                     .b_offset = narrow(b),
                     .a_offset = narrow(b + config_.linear_v_heads),
                     .epsilon = static_cast<float>(config_.rms_norm_eps)};
  const std::uint32_t simdgroups = mixer_shape(device_.cores()).simdgroups;
  const bool leaves = work_.heads.leaves_planes() && config_.linear_v_heads <= LATTICE_MOST_PLANE_HEADS;
  const std::uint32_t planes = planes_between(leaves, {&mixer.out, 1});
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, simdgroups},
                                        {LATTICE_FC_VECTORS, narrow(config_.linear_head_dim) / 4},
                                        {LATTICE_FC_TAPS, narrow(config_.conv_kernel)},
                                        {LATTICE_FC_K_HEADS, narrow(config_.linear_k_heads)},
                                        {LATTICE_FC_V_HEADS, narrow(config_.linear_v_heads)},
                                        {LATTICE_FC_HEAD_PARTS, work_.heads.parts},
                                        {LATTICE_FC_TO_PLANES, planes}};
  commands.dispatch(device_.kernel("gdn_step", constants),
                    {state.step_state(), *work_.projections, *mixer.taps, *mixer.decay_rate, *mixer.dt_bias,
                     *mixer.norm, *memory.ring, *memory.delta, *work_.mixed, *work_.head_squares, args},
                    {narrow(config_.linear_v_heads) * work_.heads.parts}, simdgroups * kSimdWidth);
  commands.barrier();
  return add_to_residual(commands,
                         {.matrix = mixer.out,
                          .form = {.heads = work_.heads, .from_planes = planes != LATTICE_PLANES_NONE},
                          .x = *work_.mixed,
                          .y = *work_.hidden,
                          .head_squares = work_.head_squares.get(),
                          .epsilon = static_cast<float>(config_.rms_norm_eps)},
                         next);
}

std::uint32_t StepRecorder::mix(Commands& commands, const GpuFullMixer& mixer, const GpuState& state,
                                const GpuState::LayerMemory& memory, std::uint32_t parts,
                                const ResidualReader& next) const {
  const AttentionArgs args = attention_args(config_, state.capacity(), parts);
  const AttentionDecode& attention = work_.attention;
  const std::uint32_t simdgroups = attention.simdgroups;
  const std::uint32_t planes = planes_between(true, {&mixer.out, 1});
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, simdgroups},
                                        {LATTICE_FC_GROUP, attention.group},
                                        {LATTICE_FC_LANE_DIMS, args.head_dim / kSimdWidth},
                                        {LATTICE_FC_ROTARY, narrow(config_.rotary_dim)},
                                        {LATTICE_FC_TO_PLANES, planes}};
  commands.dispatch(device_.kernel(attention.kernel, attention.constants(constants, parts)),
                    {state.step_state(), *work_.projections, *mixer.q_norm, *mixer.k_norm, *work_.low_angles,
                     *work_.high_angles, *memory.keys, *memory.values, *work_.mixed, *work_.partial, args},
                    {parts, args.kv_heads * attention.query_sets(parts)}, simdgroups * kSimdWidth);
  commands.barrier();
  if (parts > 1) {
    commands.dispatch(device_.kernel("attention_merge", constants),
                      {*work_.projections, *work_.partial, *work_.mixed, args}, {args.heads},
                      simdgroups * kSimdWidth);
    commands.barrier();
  }
  return add_to_residual(commands,
                         {.matrix = mixer.out,
                          .form = {.from_planes = planes != LATTICE_PLANES_NONE},
                          .x = *work_.mixed,
                          .y = *work_.hidden},
                         next);
}

std::uint32_t StepRecorder::mlp(Commands& commands, const GpuLayer& layer, std::uint32_t planes,
                                const ResidualReader& next) const {
  Gemv product = of_residual(layer.gate_up, *layer.mlp_norm, planes, *work_.activated);
  product.form.epilogue = LATTICE_EPILOGUE_SWIGLU;
  const bool leaves = leaves_planes(shape_of(layer.gate_up), layer.gate_up, product.form.epilogue);
  product.form.to_planes = planes_between(leaves, {&layer.down, 1});
  gemv(commands, product);
  commands.barrier();
  return add_to_residual(commands,
                         {.matrix = layer.down,
                          .form = {.from_planes = product.form.to_planes != LATTICE_PLANES_NONE},
                          .x = *work_.activated,
                          .y = *work_.hidden},
                         next);
}

}  // namespace lattice::gpu
