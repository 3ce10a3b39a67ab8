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
using lattice_gpu::PromptSpan;
using lattice_gpu::RowsArgs;

constexpr std::uint32_t kRowSimdgroups = 4;        // of kernels that give a simdgroup a row or a head
constexpr std::uint32_t kAttentionSimdgroups = 4;  // of attention_prefill, each with 8 tokens
constexpr std::uint32_t kDeltaThreads = 128;       // of gdn_chunks and gdn_scan
constexpr std::uint32_t kDeltaSlice = 16;          // value channels of a threadgroup of gdn_scan
constexpr std::uint32_t kAttentionTokens = 8 * kAttentionSimdgroups;

static_assert(kPrefillRows % LATTICE_GDN_CHUNK == 0 && kPrefillRows % kAttentionTokens == 0);

std::uint32_t stride_of(std::int64_t cols) {
  return static_cast<std::uint32_t>(padded_floats(cols));
}

std::unique_ptr<Buffer> floats(Device& device, std::int64_t rows, std::int64_t cols) {
  return device.allocate(static_cast<std::size_t>(rows * cols) * sizeof(float));
}

}  // namespace

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
  const GemmArgs args{matrix.rows,   matrix.row_chunks, matrix.row_blocks,
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

PrefillWorkspace::PrefillWorkspace(Device& device, const Config& config)
    : hidden_stride(stride_of(config.hidden_size)),
      projections_stride(stride_of(std::max(linear_projections(config), full_projections(config)))),
      mixed_stride(stride_of(std::max(config.linear_v_dim(), config.q_dim()))),
      activated_stride(stride_of(config.intermediate_size)),
      padded_dim((narrow(config.linear_head_dim) + 7) / 8 * 8),
      span(device.allocate(sizeof(PromptSpan))),
      tokens(device.allocate(kPrefillRows * sizeof(std::int32_t))),
      hidden(floats(device, kPrefillRows, hidden_stride)),
      normed(floats(device, kPrefillRows, hidden_stride)),
      projections(floats(device, kPrefillRows, projections_stride)),
      mixed(floats(device, kPrefillRows, mixed_stride)),
      activated(floats(device, kPrefillRows, activated_stride)),
      convolved(
          floats(device, kPrefillRows, (2 * config.linear_k_heads + config.linear_v_heads) * padded_dim)),
      gates(floats(device, kPrefillRows, 2 * config.linear_v_heads)),
      scaled(floats(device, kPrefillRows, 4 * config.linear_v_heads * padded_dim)),
      scores(floats(device, kPrefillRows, config.linear_v_heads * LATTICE_GDN_CHUNK)),
      decays(floats(device, kPrefillRows / LATTICE_GDN_CHUNK, config.linear_v_heads)) {}

std::unique_ptr<Commands> PrefillRecorder::layers(const GpuState& state, std::uint32_t rows) const {
  std::unique_ptr<Commands> commands = device_.new_commands();
  const Piece piece{*commands, rows};
  embed(piece);
  for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
    const GpuLayer& layer = weights_.layers[i];
    commands->barrier();
    norm(piece, *layer.mixer_norm);
    commands->barrier();
    if (const auto* linear = std::get_if<GpuLinearMixer>(&layer.mixer)) {
      mix(piece, *linear, state.layer(i));
    } else {
      mix(piece, std::get<GpuFullMixer>(layer.mixer), state.layer(i), state.capacity());
    }
    commands->barrier();
    mlp(piece, layer);
  }
  commands->barrier();
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
  norm({*commands, kPrefillRows}, *weights_.final_norm);
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
  const EmbedPromptArgs args{{narrow(config_.hidden_size), matrix.row_chunks, matrix.row_blocks, matrix.rows},
                             work_.hidden_stride};
  piece.commands.dispatch(device_.kernel("embed_prompt_" + kernel_suffix(matrix.format), {}),
                          {*work_.span, *work_.tokens, *matrix.quants,
                           matrix.scales != nullptr ? *matrix.scales : *decode_.none, *work_.hidden, args},
                          {ceil_div(matrix.row_chunks, kSimdWidth), piece.rows}, kSimdWidth);
}

void PrefillRecorder::norm(const Piece& piece, const Buffer& weight) const {
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kRowSimdgroups}};
  const RowsArgs args{.cols = narrow(config_.hidden_size),
                      .in_stride = work_.hidden_stride,
                      .out_stride = work_.hidden_stride,
                      .epsilon = static_cast<float>(config_.rms_norm_eps)};
  piece.commands.dispatch(device_.kernel("rms_norm", constants),
                          {*work_.span, *work_.hidden, weight, *work_.normed, args},
                          {ceil_div(piece.rows, kRowSimdgroups)}, kRowSimdgroups * kSimdWidth);
}

void PrefillRecorder::project_in(const Piece& piece, const std::vector<DeviceMatrix>& matrices) const {
  std::size_t first = 0;
  for (const DeviceMatrix& matrix : matrices) {
    gemm(piece, {.matrix = matrix,
                 .x = *work_.normed,
                 .x_stride = work_.hidden_stride,
                 .y = *work_.projections,
                 .y_stride = work_.projections_stride,
                 .y_first = first});
    first += matrix.rows;
  }
  piece.commands.barrier();
}

void PrefillRecorder::mix(const Piece& piece, const GpuLinearMixer& mixer,
                          const GpuState::LayerMemory& memory) const {
  project_in(piece, mixer.in);
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
                            .rows = kPrefillRows,
                            .padded_dim = work_.padded_dim};
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kRowSimdgroups}};
  const std::uint32_t heads = 2 * args.k_heads + args.v_heads;
  commands.dispatch(device_.kernel("gdn_convolve", constants),
                    {*work_.span, *work_.projections, *mixer.taps, *mixer.decay_rate, *mixer.dt_bias,
                     *memory.ring, *work_.convolved, *work_.gates, args},
                    {ceil_div(heads, kRowSimdgroups), piece.rows}, kRowSimdgroups * kSimdWidth);
  commands.barrier();
  commands.dispatch(device_.kernel("gdn_keep", constants),
                    {*work_.span, *work_.projections, *memory.ring, args},
                    {ceil_div(narrow(config_.conv_dim()), kSimdWidth), args.conv_kernel}, kSimdWidth);
  commands.dispatch(
      device_.kernel("gdn_chunks", {}),
      {*work_.span, *work_.convolved, *work_.gates, *work_.scaled, *work_.scores, *work_.decays, args},
      {piece.rows / LATTICE_GDN_CHUNK, args.v_heads}, kDeltaThreads);
  commands.barrier();
  commands.dispatch(device_.kernel("gdn_scan", {}),
                    {*work_.span, *work_.scaled, *work_.scores, *work_.decays, *memory.delta, args},
                    {ceil_div(args.head_dim, kDeltaSlice), args.v_heads}, kDeltaThreads);
  commands.barrier();
  commands.dispatch(device_.kernel("gdn_gate", constants),
                    {*work_.span, *work_.projections, *mixer.norm, *work_.scaled, *work_.mixed, args},
                    {ceil_div(args.v_heads, kRowSimdgroups), piece.rows}, kRowSimdgroups * kSimdWidth);
  commands.barrier();
  project_out(piece, mixer.out);
}

void PrefillRecorder::mix(const Piece& piece, const GpuFullMixer& mixer, const GpuState::LayerMemory& memory,
                          std::int64_t capacity) const {
  project_in(piece, mixer.in);
  const AttentionPrefillArgs args{.heads = attention_args(config_, capacity, 1),
                                  .stride = work_.projections_stride,
                                  .out_stride = work_.mixed_stride};
  const std::string suffix = kv_ == KvFormat::kF16 ? "_f16" : "_f32";
  const FunctionConstant of_rows[] = {{LATTICE_FC_SIMDGROUPS, kRowSimdgroups},
                                      {LATTICE_FC_LANE_DIMS, args.heads.head_dim / kSimdWidth}};
  piece.commands.dispatch(device_.kernel("attention_prepare" + suffix, of_rows),
                          {*work_.span, *work_.projections, *mixer.q_norm, *mixer.k_norm, *decode_.low_angles,
                           *decode_.high_angles, *memory.keys, *memory.values, args},
                          {ceil_div(args.heads.heads + args.heads.kv_heads, kRowSimdgroups), piece.rows},
                          kRowSimdgroups * kSimdWidth);
  piece.commands.barrier();
  const FunctionConstant of_tiles[] = {{LATTICE_FC_SIMDGROUPS, kAttentionSimdgroups},
                                       {LATTICE_FC_LANE_DIMS, args.heads.head_dim / kSimdWidth}};
  piece.commands.dispatch(device_.kernel("attention_prefill" + suffix, of_tiles),
                          {*work_.span, *work_.projections, *memory.keys, *memory.values, *work_.mixed, args},
                          {ceil_div(piece.rows, kAttentionTokens), args.heads.heads},
                          kAttentionSimdgroups * kSimdWidth);
  piece.commands.barrier();
  project_out(piece, mixer.out);
}

void PrefillRecorder::project_out(const Piece& piece, const DeviceMatrix& matrix) const {
  gemm(piece, {.matrix = matrix,
               .x = *work_.mixed,
               .x_stride = work_.mixed_stride,
               .y = *work_.hidden,
               .y_stride = work_.hidden_stride,
               .epilogue = LATTICE_EPILOGUE_ADD});
}

void PrefillRecorder::mlp(const Piece& piece, const GpuLayer& layer) const {
  norm(piece, *layer.mlp_norm);
  piece.commands.barrier();
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

}  // namespace lattice::gpu
