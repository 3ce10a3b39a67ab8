#include "gpu/prefill_step.h"

#include <algorithm>
#include <bit>

#include "gpu/grid.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/layer_args.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::AttentionPrefillArgs;
using lattice_gpu::EmbedPromptArgs;
using lattice_gpu::GdnPrefillArgs;
using lattice_gpu::GemmArgs;
using lattice_gpu::PackArgs;
using lattice_gpu::PromptSpan;
using lattice_gpu::RowsArgs;

constexpr std::uint32_t kRowSimdgroups = 4;        // of kernels that give a simdgroup a row or a head
constexpr std::uint32_t kAttentionSimdgroups = 4;  // of attention_prefill, each with 8 tokens
constexpr std::uint32_t kConvolveRun = 8;          // tokens of a simdgroup of gdn_convolve
constexpr std::uint32_t kDeltaThreads = 256;       // of gdn_chunks and gdn_scan
constexpr std::uint32_t kDeltaSlice = 16;          // value channels of a threadgroup of gdn_scan
constexpr std::uint32_t kAttentionTokens = 8 * kAttentionSimdgroups;
constexpr std::uint32_t kPackSimdgroups = 8;  // of kernels that give a threadgroup a row

constexpr std::uint32_t kGemmRows = 512;  // of a piece
constexpr std::uint32_t kProductRows = 2048;

static_assert(kGemmRows % LATTICE_GDN_CHUNK == 0 && kGemmRows % kAttentionTokens == 0);

std::unique_ptr<Buffer> floats(Device& device, std::int64_t rows, std::int64_t cols) {
  return device.allocate(static_cast<std::size_t>(rows * cols) * sizeof(float));
}

/// Whether a layer's MLP goes through the library: both matrices or none.
bool has_packed_mlp(const GpuLayer& layer, bool exact) {
  return library_takes(layer.gate_up, exact) && library_takes(layer.down, exact);
}

}  // namespace

std::uint32_t most_prefill_rows(const Device& device) noexcept {
  return device.has_products() ? kProductRows : kGemmRows;
}

std::uint32_t prefill_rows(std::int64_t tokens) noexcept {
  return std::max<std::uint32_t>(std::bit_ceil(narrow(tokens)), LATTICE_GDN_CHUNK);
}

void record_gemm(Device& device, Commands& commands, const Gemm& gemm, const GemmShape& shape,
                 std::uint32_t rows, const Buffer& span, const Buffer& none) {
  const DeviceMatrix& matrix = gemm.matrix;
  const FunctionConstant constants[] = {{LATTICE_FC_TILE_TOKENS, shape.tile_tokens},
                                        {LATTICE_FC_TILE_ROWS, shape.tile_rows},
                                        {LATTICE_FC_SIMD_TOKENS, shape.simd_tokens},
                                        {LATTICE_FC_SIMD_ROWS, shape.simd_rows},
                                        {LATTICE_FC_EPILOGUE, gemm.epilogue}};
  const GemmArgs args{matrix.rows,   matrix.row_chunks, matrix.row_blocks, matrix.row_groups,
                      gemm.x_stride, gemm.y_stride,     gemm.first};
  commands.dispatch(device.kernel("gemm_" + kernel_suffix(matrix.format), constants),
                    {span,
                     *matrix.quants,
                     matrix.scales != nullptr ? *matrix.scales : none,
                     gemm.x,
                     {gemm.y, gemm.y_first * sizeof(float)},
                     args},
                    {ceil_div(rows, shape.tile_tokens), ceil_div(matrix.rows, shape.tile_rows)},
                    shape.simd_tokens * shape.simd_rows * kSimdWidth);
}

PrefillWorkspace::PrefillWorkspace(Device& device, const Config& config, const GpuWeights& weights,
                                   bool exact)
    : rows(most_prefill_rows(device)),
      hidden_stride(row_stride(config.hidden_size)),
      projections_stride(row_stride(std::max(linear_projections(config), full_projections(config)))),
      mixed_stride(row_stride(std::max(config.linear_v_dim(), config.q_dim()))),
      activated_stride(row_stride(config.intermediate_size)),
      padded_dim((narrow(config.linear_head_dim) + 7) / 8 * 8),
      span(device.allocate(sizeof(PromptSpan))),
      tokens(device.allocate(rows * sizeof(std::int32_t))),
      hidden(floats(device, rows, hidden_stride)),
      normed(floats(device, rows, hidden_stride)),
      projections(floats(device, rows, projections_stride)),
      mixed(floats(device, rows, mixed_stride)),
      convolved(floats(device, rows, (2 * config.linear_k_heads + config.linear_v_heads) * padded_dim)),
      gates(floats(device, rows, 2 * config.linear_v_heads)),
      scaled(floats(device, rows, 4 * config.linear_v_heads * padded_dim)),
      scores(floats(device, rows, config.linear_v_heads * LATTICE_GDN_CHUNK)),
      decays(floats(device, rows / LATTICE_GDN_CHUNK, config.linear_v_heads)) {
  if (device.has_products()) packed = std::make_unique<PackedWorkspace>(device, config, weights, rows, exact);
  if (packed == nullptr || !std::ranges::all_of(weights.layers, [&](const GpuLayer& layer) {
        return has_packed_mlp(layer, exact);
      })) {
    activated = floats(device, rows, activated_stride);
  }
}

std::unique_ptr<Commands> PrefillRecorder::layers(const GpuState& state, std::uint32_t rows) const {
  std::unique_ptr<Commands> commands = device_.new_commands();
  Piece piece{*commands, rows};
  embed(piece);
  for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
    const GpuLayer& layer = weights_.layers[i];
    commands->barrier();
    if (const auto* linear = std::get_if<GpuLinearMixer>(&layer.mixer)) {
      mix(piece, layer, *linear, state.layer(i));
    } else {
      mix(piece, layer, std::get<GpuFullMixer>(layer.mixer), state.layer(i), state.capacity());
    }
    commands->barrier();
    mlp(piece, layer);
  }
  commands->barrier();
  if (piece.owes) add_sums(piece);
  const RowsArgs args{.cols = narrow(config_.hidden_size),
                      .in_stride = work_.hidden_stride,
                      .out_stride = 0,
                      .epsilon = 0};  // the last two are unused
  commands->dispatch(device_.kernel("last_row", {}), {*work_.span, *work_.hidden, *decode_.hidden, args},
                     {ceil_div(args.cols, kSimdWidth)}, kSimdWidth);
  return commands;
}

std::unique_ptr<Commands> PrefillRecorder::final_norm() const {
  std::unique_ptr<Commands> commands = device_.new_commands();
  norm_floats({*commands, work_.rows}, *weights_.final_norm);
  return commands;
}

std::unique_ptr<Commands> PrefillRecorder::head(std::uint32_t first, const Buffer& logits) const {
  std::unique_ptr<Commands> commands = device_.new_commands();
  gemm({*commands, kLogitRows}, {.matrix = weights_.head,
                                 .x = *work_.normed,
                                 .x_stride = work_.hidden_stride,
                                 .y = logits,
                                 .y_stride = narrow(config_.vocab_size),
                                 .first = first});
  return commands;
}

void PrefillRecorder::embed(const Piece& piece) const {
  const DeviceMatrix& matrix = weights_.embedding();
  const EmbedPromptArgs args{
      {narrow(config_.hidden_size), matrix.row_chunks, matrix.row_blocks, matrix.row_groups, matrix.rows},
      work_.hidden_stride};
  piece.commands.dispatch(device_.kernel("embed_prompt_" + kernel_suffix(matrix.format), {}),
                          {*work_.span, *work_.tokens, *matrix.quants,
                           matrix.scales != nullptr ? *matrix.scales : *decode_.none, *work_.hidden, args},
                          {ceil_div(matrix.row_chunks, kSimdWidth), piece.rows}, kSimdWidth);
}

bool PrefillRecorder::Group::wants_floats() const {
  return !std::ranges::all_of(matrices, [&](const DeviceMatrix* matrix) { return is_packed(*matrix); });
}

PrefillRecorder::Group PrefillRecorder::group(std::vector<const DeviceMatrix*> matrices, float bound) const {
  Group out{std::move(matrices), std::nullopt};
  if (work_.packed == nullptr) return out;
  out.packing = choose_packing(out.matrices, exact_);
  if (out.packing) out.factor = norm_factor(bound, *out.packing);
  return out;
}

/// The residual stream's RMSNorm, as the group wants it.
void PrefillRecorder::norm(Piece& piece, const Buffer& weight, const Group& group) const {
  if (!group.packing) {
    if (piece.owes) add_sums(piece);
    return norm_floats(piece, weight);
  }
  const PackedWorkspace& packed = *work_.packed;
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kPackSimdgroups},
                                        {LATTICE_FC_PARTS, group.packing->parts},
                                        {LATTICE_FC_BFLOAT, group.packing->bfloat ? 1u : 0u},
                                        {LATTICE_FC_ADD, piece.owes ? 1u : 0u},
                                        {LATTICE_FC_FLOATS, group.wants_floats() ? 1u : 0u}};
  const PackArgs args{.cols = narrow(config_.hidden_size),
                      .in_stride = work_.hidden_stride,
                      .sums_stride = packed.normed.stride,
                      .out_stride = packed.normed.stride,
                      .plane = packed.normed.plane,
                      .epsilon = static_cast<float>(config_.rms_norm_eps),
                      .factor = group.factor};
  piece.commands.dispatch(device_.kernel("norm_packed", constants),
                          {*work_.span, *work_.hidden, *packed.sums, *packed.scales, weight,
                           *packed.normed.bits, *work_.normed, args},
                          {piece.rows}, kPackSimdgroups * kSimdWidth);
  piece.owes = false;
}

void PrefillRecorder::norm_floats(const Piece& piece, const Buffer& weight) const {
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kRowSimdgroups}};
  const RowsArgs args{.cols = narrow(config_.hidden_size),
                      .in_stride = work_.hidden_stride,
                      .out_stride = work_.hidden_stride,
                      .epsilon = static_cast<float>(config_.rms_norm_eps)};
  piece.commands.dispatch(device_.kernel("rms_norm", constants),
                          {*work_.span, *work_.hidden, weight, *work_.normed, args},
                          {ceil_div(piece.rows, kRowSimdgroups)}, kRowSimdgroups * kSimdWidth);
}

/// Appends what makes half of a group's matrices, to run beside what stands between the same two barriers.
void PrefillRecorder::unpack(const Piece& piece, const Group& group, Unpacked place) const {
  std::size_t first = 0;
  for (const DeviceMatrix* matrix : group.matrices) {
    if (!group.is_packed(*matrix)) continue;
    record_unpack(device_, piece.commands, *matrix, place, first, *work_.packed);
    first += std::size_t{matrix->rows} * packed_cols(*matrix);
  }
}

/// The products of a group's matrices with their packed input, side by side in y.
void PrefillRecorder::multiply_packed(const Piece& piece, const Group& group, const PackedRows& x,
                                      Unpacked place, const Buffer& y, std::uint32_t y_stride) const {
  std::size_t first = 0;
  std::size_t y_first = 0;
  for (const DeviceMatrix* matrix : group.matrices) {
    if (group.is_packed(*matrix)) {
      record_product(piece.commands,
                     {.matrix = *matrix,
                      .packing = *group.packing,
                      .x = x,
                      .x_factor = group.factor,
                      .place = place,
                      .first = first,
                      .y = y,
                      .y_stride = y_stride,
                      .y_first = y_first},
                     piece.rows, *work_.packed);
      first += std::size_t{matrix->rows} * packed_cols(*matrix);
    }
    y_first += matrix->rows;
  }
}

void PrefillRecorder::pack(const Piece& piece, const char* kernel, const Group& group, const Buffer& x,
                           std::uint32_t x_stride, std::int64_t cols, const PackedRows& to) const {
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kPackSimdgroups},
                                        {LATTICE_FC_PARTS, group.packing->parts},
                                        {LATTICE_FC_BFLOAT, group.packing->bfloat ? 1u : 0u}};
  const PackArgs args{.cols = narrow(cols),
                      .in_stride = x_stride,
                      .sums_stride = 0,
                      .out_stride = to.stride,
                      .plane = to.plane,
                      .epsilon = 0,
                      .factor = 0};
  piece.commands.dispatch(device_.kernel(kernel, constants),
                          {*work_.span, x, *to.bits, *work_.packed->scales, args}, {piece.rows},
                          kPackSimdgroups * kSimdWidth);
}

/// Adds to the residual stream what the last product has left beside it.
void PrefillRecorder::add_sums(Piece& piece) const {
  const PackedWorkspace& packed = *work_.packed;
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kPackSimdgroups}};
  const PackArgs args{.cols = narrow(config_.hidden_size),
                      .in_stride = work_.hidden_stride,
                      .sums_stride = packed.normed.stride,
                      .out_stride = 0,
                      .plane = 0,
                      .epsilon = 0,
                      .factor = 0};
  piece.commands.dispatch(device_.kernel("add_rows", constants),
                          {*work_.span, *work_.hidden, *packed.sums, *packed.scales, args}, {piece.rows},
                          kPackSimdgroups * kSimdWidth);
  piece.commands.barrier();
  piece.owes = false;
}

void PrefillRecorder::project_in(const Piece& piece, const Group& group) const {
  if (group.packing) {
    multiply_packed(piece, group, work_.packed->normed, Unpacked::kIn, *work_.projections,
                    work_.projections_stride);
  }
  std::size_t first = 0;
  for (const DeviceMatrix* matrix : group.matrices) {
    if (!group.is_packed(*matrix)) {
      gemm(piece, {.matrix = *matrix,
                   .x = *work_.normed,
                   .x_stride = work_.hidden_stride,
                   .y = *work_.projections,
                   .y_stride = work_.projections_stride,
                   .y_first = first});
    }
    first += matrix->rows;
  }
  piece.commands.barrier();
}

void PrefillRecorder::mix(Piece& piece, const GpuLayer& layer, const GpuLinearMixer& mixer,
                          const GpuState::LayerMemory& memory) const {
  const Group in = group(layer.in_matrices(), layer.mixer_norm_bound);
  norm(piece, *layer.mixer_norm, in);
  unpack(piece, in, Unpacked::kIn);
  piece.commands.barrier();
  project_in(piece, in);
  Commands& commands = piece.commands;
  const std::int64_t z = config_.conv_dim();
  const std::int64_t b = z + config_.linear_v_dim();
  const GdnPrefillArgs args{.k_heads = narrow(config_.linear_k_heads),
                            .v_heads = narrow(config_.linear_v_heads),
                            .head_dim = narrow(config_.linear_head_dim),
                            .conv_kernel = narrow(config_.conv_kernel),
                            .tiled = config_.v_head_order == VHeadOrder::kTiled ? 1u : 0u,
                            .z_offset = narrow(z),
                            .b_offset = narrow(b),
                            .a_offset = narrow(b + config_.linear_v_heads),
                            .epsilon = static_cast<float>(config_.rms_norm_eps),
                            .stride = work_.projections_stride,
                            .out_stride = work_.mixed_stride,
                            .rows = work_.rows,
                            .padded_dim = work_.padded_dim};
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kRowSimdgroups},
                                        {LATTICE_FC_VECTORS, args.head_dim / 4},
                                        {LATTICE_FC_TAPS, args.conv_kernel}};
  const FunctionConstant of_delta[] = {{LATTICE_FC_VECTORS, args.head_dim / 4}};
  const std::uint32_t heads = 2 * args.k_heads + args.v_heads;
  commands.dispatch(device_.kernel("gdn_convolve", constants),
                    {*work_.span, *work_.projections, *mixer.taps, *mixer.decay_rate, *mixer.dt_bias,
                     *memory.ring, *work_.convolved, *work_.gates, args},
                    {ceil_div(heads, kRowSimdgroups), piece.rows / kConvolveRun},
                    kRowSimdgroups * kSimdWidth);
  commands.barrier();
  commands.dispatch(device_.kernel("gdn_keep", constants),
                    {*work_.span, *work_.projections, *memory.ring, args},
                    {ceil_div(narrow(config_.conv_dim()), kSimdWidth), args.conv_kernel}, kSimdWidth);
  commands.dispatch(
      device_.kernel("gdn_chunks", of_delta),
      {*work_.span, *work_.convolved, *work_.gates, *work_.scaled, *work_.scores, *work_.decays, args},
      {piece.rows / LATTICE_GDN_CHUNK, args.v_heads}, kDeltaThreads);
  commands.barrier();
  commands.dispatch(device_.kernel("gdn_scan", of_delta),
                    {*work_.span, *work_.scaled, *work_.scores, *work_.decays, *memory.delta, args},
                    {ceil_div(args.head_dim, kDeltaSlice), args.v_heads}, kDeltaThreads);
  unpack_ahead(piece, layer);
  commands.barrier();
  commands.dispatch(device_.kernel("gdn_gate", constants),
                    {*work_.span, *work_.projections, *mixer.norm, *work_.scaled, *work_.mixed, args},
                    {ceil_div(args.v_heads, kRowSimdgroups), piece.rows}, kRowSimdgroups * kSimdWidth);
  commands.barrier();
  project_out(piece, mixer.out, config_.linear_v_dim());
}

void PrefillRecorder::mix(Piece& piece, const GpuLayer& layer, const GpuFullMixer& mixer,
                          const GpuState::LayerMemory& memory, std::int64_t capacity) const {
  const Group in = group(layer.in_matrices(), layer.mixer_norm_bound);
  norm(piece, *layer.mixer_norm, in);
  unpack(piece, in, Unpacked::kIn);
  piece.commands.barrier();
  project_in(piece, in);
  const AttentionPrefillArgs args{.heads = attention_args(config_, capacity, 1),
                                  .stride = work_.projections_stride,
                                  .out_stride = work_.mixed_stride};
  const std::string suffix = kv_ == KvFormat::kF16 ? "_f16" : "_f32";
  const FunctionConstant of_rows[] = {{LATTICE_FC_SIMDGROUPS, kRowSimdgroups},
                                      {LATTICE_FC_LANE_DIMS, args.heads.head_dim / kSimdWidth},
                                      {LATTICE_FC_ROTARY, narrow(config_.rotary_dim)}};
  piece.commands.dispatch(device_.kernel("attention_prepare" + suffix, of_rows),
                          {*work_.span, *work_.projections, *mixer.q_norm, *mixer.k_norm, *decode_.low_angles,
                           *decode_.high_angles, *memory.keys, *memory.values, args},
                          {ceil_div(args.heads.heads + args.heads.kv_heads, kRowSimdgroups), piece.rows},
                          kRowSimdgroups * kSimdWidth);
  piece.commands.barrier();
  const FunctionConstant of_tiles[] = {{LATTICE_FC_SIMDGROUPS, kAttentionSimdgroups},
                                       {LATTICE_FC_LANE_DIMS, args.heads.head_dim / kSimdWidth},
                                       {LATTICE_FC_ROTARY, narrow(config_.rotary_dim)}};
  piece.commands.dispatch(device_.kernel("attention_prefill" + suffix, of_tiles),
                          {*work_.span, *work_.projections, *memory.keys, *memory.values, *work_.mixed, args},
                          {args.heads.heads, ceil_div(piece.rows, kAttentionTokens)},
                          kAttentionSimdgroups * kSimdWidth);
  unpack_ahead(piece, layer);
  piece.commands.barrier();
  project_out(piece, mixer.out, config_.q_dim());
}

/// Makes half of the matrices that come next, beside a mixer's longest dispatch.
void PrefillRecorder::unpack_ahead(const Piece& piece, const GpuLayer& layer) const {
  unpack(piece, group({&layer.out_matrix()}), Unpacked::kOut);
  unpack(piece, mlp_group(layer, layer.gate_up), Unpacked::kGateUp);
  unpack(piece, mlp_group(layer, layer.down), Unpacked::kDown);
}

void PrefillRecorder::project_out(Piece& piece, const DeviceMatrix& matrix, std::int64_t cols) const {
  const Group out = group({&matrix});
  if (!out.packing) {
    return gemm(piece, {.matrix = matrix,
                        .x = *work_.mixed,
                        .x_stride = work_.mixed_stride,
                        .y = *work_.hidden,
                        .y_stride = work_.hidden_stride,
                        .epilogue = LATTICE_EPILOGUE_ADD});
  }
  const PackedWorkspace& packed = *work_.packed;
  pack(piece, "pack_rows", out, *work_.mixed, work_.mixed_stride, cols, packed.mixed);
  piece.commands.barrier();
  multiply_packed(piece, out, packed.mixed, Unpacked::kOut, *packed.sums, packed.normed.stride);
  piece.owes = true;
}

/// One of an MLP's matrices: packed only where both are.
PrefillRecorder::Group PrefillRecorder::mlp_group(const GpuLayer& layer, const DeviceMatrix& matrix,
                                                  float bound) const {
  return has_packed_mlp(layer, exact_) ? group({&matrix}, bound) : Group{{&matrix}, std::nullopt};
}

void PrefillRecorder::mlp(Piece& piece, const GpuLayer& layer) const {
  const Group gate_up = mlp_group(layer, layer.gate_up, layer.mlp_norm_bound);
  norm(piece, *layer.mlp_norm, gate_up);
  piece.commands.barrier();
  if (gate_up.packing) return packed_mlp(piece, layer, gate_up);
  gemm(piece, {.matrix = layer.gate_up,
               .x = *work_.normed,
               .x_stride = work_.hidden_stride,
               .y = *work_.activated,
               .y_stride = work_.activated_stride,
               .epilogue = LATTICE_EPILOGUE_SWIGLU});
  piece.commands.barrier();
  gemm(piece, {.matrix = layer.down,
               .x = *work_.activated,
               .x_stride = work_.activated_stride,
               .y = *work_.hidden,
               .y_stride = work_.hidden_stride,
               .epilogue = LATTICE_EPILOGUE_ADD});
}

void PrefillRecorder::packed_mlp(Piece& piece, const GpuLayer& layer, const Group& gate_up) const {
  const PackedWorkspace& packed = *work_.packed;
  multiply_packed(piece, gate_up, packed.normed, Unpacked::kGateUp, *packed.gate_up, packed.gate_up_stride);
  piece.commands.barrier();
  const Group down = mlp_group(layer, layer.down);
  pack(piece, "swiglu_packed", down, *packed.gate_up, packed.gate_up_stride, config_.intermediate_size,
       packed.activated);
  piece.commands.barrier();
  multiply_packed(piece, down, packed.activated, Unpacked::kDown, *packed.sums, packed.normed.stride);
  piece.owes = true;
}

}  // namespace lattice::gpu
