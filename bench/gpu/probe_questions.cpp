// Eight questions about a GPU, each of which decides something here. docs/apple-silicon.md tells them.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/shapes.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/layer_args.h"
#include "gpu/prefill_step.h"
#include "gpu/rotary_tables.h"
#include "gpu/sampling_step.h"
#include "probe.h"
#include "support/random.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::CopyArgs;
using lattice_gpu::GdnArgs;
using lattice_gpu::PromptSpan;
using lattice_gpu::StepState;
using Clock = std::chrono::steady_clock;

constexpr double kMicro = 1e6;
constexpr std::size_t kMiB = std::size_t{1} << 20;

template <typename... T>
void say(fmt::format_string<T...> text, T&&... values) {
  fmt::print(text, std::forward<T>(values)...);
  fmt::print("\n");
  std::fflush(stdout);
}

std::string micros(const bench::Samples& seconds, double count = 1) {
  return fmt::format("{:.2f} µs [{:.2f}, {:.2f}]", seconds.median() / count * kMicro,
                     seconds.min() / count * kMicro, seconds.max() / count * kMicro);
}

/// Sixteen bytes, over and over: dispatches that do nothing but be dispatched.
std::unique_ptr<Commands> tiny_copies(Probe& probe, const Buffer& memory, std::uint32_t count,
                                      bool dependent) {
  constexpr std::size_t kSlot = 256;
  auto commands = probe.device->new_commands();
  const Kernel& kernel = probe.device->kernel("copy", {});
  for (std::uint32_t i = 0; i < count; ++i) {
    // Independent ones read the first slot, and write one each.
    commands->dispatch(kernel, {{memory, dependent ? i * kSlot : 0}, {memory, (i + 1) * kSlot}, CopyArgs{1}},
                       {1}, 32);
    if (dependent) commands->barrier();
  }
  return commands;
}

void ask_dispatch(Probe& probe) {
  const std::uint32_t count = probe.quick ? 8 : 512;
  const auto memory = probe.random((count + 1) * 256, 1);
  const bench::Samples chain = probe.time(*tiny_copies(probe, *memory, count, true));
  const bench::Samples together = probe.time(*tiny_copies(probe, *memory, count, false));
  say("a dispatch that waits for the one before: {}", micros(chain, count));
  say("a dispatch that does not: {}", micros(together, count));
  const auto one = tiny_copies(probe, *memory, 1, true);
  double best = 1;
  for (int i = 0; i < (probe.quick ? 2 : 50); ++i) {
    const auto start = Clock::now();
    probe.device->submit(*one);
    probe.device->wait();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  say("a submission of one dispatch and the wait for it: {:.1f} µs at best", best * kMicro);
  say("the same, queued behind one another: {}", micros(probe.time(*one)));
}

/// Products with `matrices` in turn, each behind the one before.
std::unique_ptr<Commands> gemv_chain(Probe& probe, const std::vector<DeviceMatrix>& matrices, const Buffer& x,
                                     const Buffer& y, const GemvShape& shape) {
  auto commands = probe.device->new_commands();
  for (const DeviceMatrix& matrix : matrices) {
    record_gemv(*probe.device, *commands, {.matrix = matrix, .x = x, .y = y}, shape, x);
    commands->barrier();
  }
  return commands;
}

/// So many matrices that `bytes` are in them, at least one.
std::vector<DeviceMatrix> matrices_of(Probe& probe, DType format, std::uint32_t rows, std::uint32_t cols,
                                      std::size_t bytes) {
  std::vector<DeviceMatrix> out;
  std::size_t have = 0;
  while (have < bytes || out.empty()) {
    out.push_back(probe.matrix(format, rows, cols, out.size()));
    have += matrix_bytes(out.back());
  }
  return out;
}

void ask_bandwidth(Probe& probe) {
  constexpr std::uint32_t kCols = 4096;
  const double copied = probe.device->measure_copy_bandwidth();
  if (copied > 0) say("copies, read and written: {:.0f} GB/s", copied * 1e-9);
  const auto x = probe.random(kCols * sizeof(float), 1);
  for (const DType format : {DType::kF16, DType::kQ8_0, DType::kQ4_0}) {
    std::string line = fmt::format("{:5} GEMV, GB/s by what is read over and over:", dtype_name(format));
    for (const std::size_t mebibytes : {1, 4, 16, 64, 256, 1024}) {
      if (probe.quick && mebibytes > 1) break;
      const std::size_t row_bytes = std::size_t{16} * kCols / chunk_cols(format);
      // Matrices of at most 64 MiB: one alone, or as many as are wanted.
      const auto rows = static_cast<std::uint32_t>(std::min<std::size_t>(mebibytes, 64) * kMiB / row_bytes /
                                                   (probe.quick ? 16 : 1));
      const auto matrices = matrices_of(probe, format, rows, kCols, probe.quick ? 1 : mebibytes * kMiB);
      const auto y = probe.device->allocate(rows * sizeof(float));
      std::size_t bytes = 0;
      for (const DeviceMatrix& matrix : matrices) bytes += matrix_bytes(matrix);
      const bench::Samples timing = probe.time(
          *gemv_chain(probe, matrices, *x, *y, choose_gemv_shape(probe.device->cores(), matrices[0])));
      line += fmt::format("  {} MiB: {:.0f}", mebibytes, static_cast<double>(bytes) / timing.median() * 1e-9);
    }
    say("{}", line);
  }
}

std::vector<GemvShape> gemv_candidates(DType format, bool quick) {
  std::vector<GemvShape> out;
  for (const std::uint32_t rows : {1u, 2u, 4u, 8u}) {
    for (const std::uint32_t split : {1u, 2u, 4u, 8u}) {
      for (const std::uint32_t simdgroups : {4u, 8u, 16u}) {
        for (const std::uint32_t unroll : {1u, 2u, 4u}) {
          const GemvShape shape{rows, split, simdgroups, unroll, false};
          constexpr std::uint32_t kMostChunks = 16;  // in flight a lane
          if (split <= simdgroups && rows * unroll <= kMostChunks && fits_stage(shape, format))
            out.push_back(shape);
        }
      }
    }
  }
  if (quick) out.resize(2);
  return out;
}

void ask_gemv(Probe& probe) {
  for (const DType format : {DType::kQ8_0, DType::kQ4_0}) {
    for (const auto& [name, rows, cols] :
         {std::tuple("out", 1024u, 2048u), std::tuple("in", 8224u, 1024u),
          std::tuple("gate_up", 7168u, 1024u), std::tuple("down", 1024u, 3584u),
          std::tuple("27b down", 5120u, 17408u), std::tuple("head", 248320u, 1024u)}) {
      if (probe.quick && rows > 1024) continue;
      const auto matrices =
          matrices_of(probe, format, probe.quick ? 32 : rows, cols, probe.quick ? 1 : 256 * kMiB);
      const auto x = probe.random((cols + 64) * sizeof(float), 1);
      const auto y = probe.device->allocate(rows * sizeof(float));
      const GemvShape chosen = choose_gemv_shape(probe.device->cores(), matrices[0]);
      const double count = static_cast<double>(matrices.size());
      const double bytes = static_cast<double>(matrix_bytes(matrices[0]));
      const double before = probe.time(*gemv_chain(probe, matrices, *x, *y, chosen)).median() / count;
      std::vector<std::pair<double, GemvShape>> tried;
      for (const GemvShape& shape : gemv_candidates(format, probe.quick)) {
        tried.emplace_back(probe.time(*gemv_chain(probe, matrices, *x, *y, shape)).median() / count, shape);
      }
      std::ranges::sort(tried, {}, [](const auto& one) { return one.first; });
      say("{} {} ({} × {}): as chosen {:.1f} µs, {:.0f} GB/s with {}", dtype_name(format), name, rows, cols,
          before * kMicro, bytes / before * 1e-9, text(chosen));
      for (std::size_t i = 0; i < std::min<std::size_t>(tried.size(), 3); ++i) {
        say("    {:.1f} µs, {:.0f} GB/s with {}", tried[i].first * kMicro, bytes / tried[i].first * 1e-9,
            text(tried[i].second));
      }
    }
  }
}

void ask_gdn(Probe& probe) {
  for (const char* name : {"0.8b", "4b", "27b"}) {
    if (probe.quick && std::string_view(name) != "0.8b") break;
    const Config config = bench::shape_config(name);
    const auto heads = static_cast<std::uint32_t>(config.linear_v_heads);
    const auto dim = static_cast<std::uint32_t>(config.linear_head_dim);
    const auto channels = static_cast<std::uint32_t>(config.conv_dim());
    const StepState step{1, 100};
    const auto step_buffer = probe.device->allocate(sizeof step);
    step_buffer->upload(std::span(&step, 1));
    const auto floats = [&](std::size_t count, std::uint64_t seed) {
      return probe.random(count * sizeof(float), seed);
    };
    const auto projections = floats(static_cast<std::size_t>(linear_projections(config)), 1);
    const auto taps = floats(std::size_t{channels} * 4, 2);
    const auto rate = floats(heads, 3);
    const auto bias = floats(heads, 4);
    const auto norm = floats(dim, 5);
    const auto out = floats(std::size_t{heads} * dim, 6);
    const GdnArgs args{0, channels, channels + heads * dim, channels + heads * dim + heads, 1e-6f};
    constexpr std::uint32_t kLayers = 12;  // a state each, as a model has
    std::vector<std::unique_ptr<Buffer>> rings;
    std::vector<std::unique_ptr<Buffer>> states;
    for (std::uint32_t i = 0; i < (probe.quick ? 1 : kLayers); ++i) {
      rings.push_back(floats(std::size_t{channels} * 4, 7 + i));
      states.push_back(floats(std::size_t{heads} * dim * dim, 27 + i));
    }
    const double moved = 2.0 * heads * dim * dim * sizeof(float);
    constexpr std::uint32_t kMostParts = 4;
    const auto squares = floats(std::size_t{heads} * kMostParts, 47);
    for (const auto& [parts, simdgroups] :
         {std::pair(1u, 4u), std::pair(1u, 8u), std::pair(1u, 16u), std::pair(2u, 4u), std::pair(2u, 8u),
          std::pair(kMostParts, 2u), std::pair(kMostParts, 4u), std::pair(kMostParts, 8u)}) {
      const FunctionConstant constants[] = {
          {LATTICE_FC_SIMDGROUPS, simdgroups},
          {LATTICE_FC_VECTORS, dim / 4},
          {LATTICE_FC_TAPS, 4},
          {LATTICE_FC_K_HEADS, static_cast<std::uint32_t>(config.linear_k_heads)},
          {LATTICE_FC_V_HEADS, heads},
          {LATTICE_FC_HEAD_PARTS, parts},
          {LATTICE_FC_TO_PLANES, LATTICE_PLANES_NONE}};
      const Kernel& kernel = probe.device->kernel("gdn_step", constants);
      auto commands = probe.device->new_commands();
      for (std::size_t i = 0; i < states.size(); ++i) {
        commands->dispatch(kernel,
                           {*step_buffer, *projections, *taps, *rate, *bias, *norm, *rings[i], *states[i],
                            *out, *squares, args},
                           {heads * parts}, simdgroups * 32);
        commands->barrier();
      }
      const bench::Samples timing = probe.time(*commands);
      const double count = static_cast<double>(states.size());
      say("{} ({} heads), {} parts of {} simdgroups: {}, {:.0f} GB/s of state", name, heads, parts,
          simdgroups, micros(timing, count), moved / (timing.median() / count) * 1e-9);
    }
  }
}

void ask_attention(Probe& probe) {
  constexpr std::uint32_t kMergeSimdgroups = 8;
  Config config = bench::shape_config("0.8b");
  const std::int64_t most = probe.quick ? 256 : 32768;
  config.max_position_embeddings = most;
  const RotaryTables tables(config);
  const auto low = probe.device->allocate(tables.low.size() * sizeof(float));
  low->upload(std::span<const float>(tables.low));
  const auto high = probe.device->allocate(tables.high.size() * sizeof(float));
  high->upload(std::span<const float>(tables.high));
  const auto heads = static_cast<std::uint32_t>(config.attention_heads);
  const auto kv_heads = static_cast<std::uint32_t>(config.kv_heads);
  const auto projections =
      probe.random(static_cast<std::size_t>(full_projections(config)) * sizeof(float), 1);
  const auto norm = probe.random(static_cast<std::size_t>(config.head_dim) * sizeof(float), 2);
  const std::size_t cache_bytes = static_cast<std::size_t>(config.kv_dim() * most) * 2;
  const auto keys = probe.random(cache_bytes, 3);
  const auto values = probe.random(cache_bytes, 4);
  const auto out = probe.device->allocate(static_cast<std::size_t>(config.q_dim()) * sizeof(float));
  constexpr std::uint32_t kMostParts = 128;
  const auto partial = probe.device->allocate(std::size_t{heads} * kMostParts *
                                              static_cast<std::size_t>(config.head_dim + 2) * 4);
  const AttentionDecode attention = AttentionDecode::of(*probe.device, config, KvFormat::kF16);
  const auto constants = [&](std::uint32_t simdgroups) -> std::vector<FunctionConstant> {
    return {{LATTICE_FC_SIMDGROUPS, simdgroups},
            {LATTICE_FC_GROUP, attention.group},
            {LATTICE_FC_LANE_DIMS, static_cast<std::uint32_t>(config.head_dim / 32)},
            {LATTICE_FC_ROTARY, static_cast<std::uint32_t>(config.rotary_dim)},
            {LATTICE_FC_TO_PLANES, LATTICE_PLANES_NONE}};
  };
  const auto step_buffer = probe.device->allocate(sizeof(StepState));
  for (std::int64_t context = 128; context <= most; context *= 2) {
    const StepState step{1, static_cast<std::int32_t>(context - 1)};
    step_buffer->upload(std::span(&step, 1));
    for (const std::uint32_t simdgroups : {2u, 4u, 8u}) {
      std::string line = fmt::format("{:6} keys, {} simdgroups, µs by parts:", context, simdgroups);
      for (std::uint32_t parts = 1; parts <= kMostParts && parts * 32 <= context; parts *= 2) {
        const auto args = attention_args(config, most, parts);
        const int count = probe.quick ? 1 : 8;
        auto commands = probe.device->new_commands();
        for (int i = 0; i < count; ++i) {
          commands->dispatch(
              probe.device->kernel(attention.kernel, attention.constants(constants(simdgroups), parts)),
              {*step_buffer, *projections, *norm, *norm, *low, *high, *keys, *values, *out, *partial, args},
              {parts, kv_heads * attention.query_sets(parts)}, simdgroups * 32);
          commands->barrier();
          if (parts == 1) continue;
          commands->dispatch(probe.device->kernel("attention_merge", constants(kMergeSimdgroups)),
                             {*projections, *partial, *out, args}, {heads}, kMergeSimdgroups * 32);
          commands->barrier();
        }
        line += fmt::format("  {}: {:.1f}", parts, probe.time(*commands).median() / count * kMicro);
      }
      say("{}", line);
    }
    say("        now {} parts of {}", attention.sharing.parts(context - 1), attention.simdgroups);
  }
}

void ask_gemm(Probe& probe) {
  const std::uint32_t rows = probe.quick ? 64 : 7168;
  constexpr std::uint32_t kCols = 1024;
  const std::uint32_t tokens = probe.quick ? 16 : 512;
  const auto x = probe.random(std::size_t{tokens} * kCols * sizeof(float), 1);
  const auto y = probe.device->allocate(std::size_t{tokens} * rows * sizeof(float));
  const PromptSpan span{0, static_cast<std::int32_t>(tokens)};
  const auto span_buffer = probe.device->allocate(sizeof span);
  span_buffer->upload(std::span(&span, 1));
  for (const DType format : {DType::kF16, DType::kQ8_0, DType::kQ4_0}) {
    const DeviceMatrix matrix = probe.matrix(format, rows, kCols, 2);
    for (const GemmShape& shape : {GemmShape{64, 64, 2, 2}, GemmShape{32, 64, 1, 4}, GemmShape{64, 32, 4, 1},
                                   GemmShape{32, 32, 2, 2}}) {
      auto commands = probe.device->new_commands();
      record_gemm(*probe.device, *commands,
                  {.matrix = matrix, .x = *x, .x_stride = kCols, .y = *y, .y_stride = rows}, shape, tokens,
                  *span_buffer, *x);
      const bench::Samples timing = probe.time(*commands);
      const double flop = 2.0 * tokens * rows * kCols;
      say("{} {} × {}, {} tokens, tile {} × {} by {} × {} simdgroups: {}, {:.2f} TFLOP/s", dtype_name(format),
          rows, kCols, tokens, shape.tile_tokens, shape.tile_rows, shape.simd_tokens, shape.simd_rows,
          micros(timing), flop / timing.median() * 1e-12);
    }
  }
}

void ask_draw(Probe& probe) {
  Config config = bench::shape_config("0.8b");
  if (probe.quick) config.vocab_size = 4096;
  const SamplingMemory memory(*probe.device, config);
  config.max_position_embeddings = 1024;
  GpuState state(*probe.device, config, 64, KvFormat::kF16);
  Sampling sampling;
  sampling.temperature = 1.0f;
  sampling.top_k = 20;
  sampling.top_p = 0.95f;
  DrawOptions options;
  options.sampling = sampling;
  options.n_ids = config.vocab_size;
  upload_sampling(state.draw_memory(), options);
  // Four uniform numbers make nearly a normal one: as far apart as a model's, of which a few hundred matter.
  std::vector<float> values(static_cast<std::size_t>(config.vocab_size));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = 6 * (random_unit(1, i) + random_unit(2, i) + random_unit(3, i) + random_unit(4, i) - 2);
  }
  const auto logits = probe.device->allocate(values.size() * sizeof(float));
  logits->upload(std::span<const float>(values));
  for (const auto& [draw, name] :
       {std::pair(Draw::kLikeliest, "the likeliest"), std::pair(Draw::kTopK, "top-k 20, top-p 0.95"),
        std::pair(Draw::kAny, "the same, with the kernels for any top-k")}) {
    auto commands = probe.device->new_commands();
    record_sampling(*probe.device, *commands, *logits, memory, state, draw);
    say("{} of {} logits: {} dispatches, {}", name, config.vocab_size, commands->dispatches(),
        micros(probe.time(*commands)));
  }
}

/// Seconds to have the kernels of a decode step of 0.8B in Q8_0 ready.
double prepare(Device& device) {
  const auto start = Clock::now();
  for (const auto& [rows, cols, norm, epilogue] :
       {std::tuple(8224u, 1024u, true, 0u), std::tuple(1024u, 2048u, false, 1u),
        std::tuple(7168u, 1024u, true, 2u), std::tuple(1024u, 3584u, false, 1u),
        std::tuple(248320u, 1024u, true, 0u)}) {
    const DeviceMatrix matrix = shaped_matrix(DType::kQ8_0, rows, cols, device.multiplies_bytes());
    const GemvShape shape = choose_gemv_shape(device.cores(), matrix);
    const GemvForm form{.norm = norm,
                        .from_planes = matrix.is_tiled() && epilogue == LATTICE_EPILOGUE_ADD,
                        .epilogue = epilogue};
    (void)device.kernel(gemv_kernel(shape, matrix.format, form), gemv_constants(shape, matrix, form));
  }
  const FunctionConstant attention[] = {{LATTICE_FC_SIMDGROUPS, 8},
                                        {LATTICE_FC_GROUP, 4},
                                        {LATTICE_FC_LANE_DIMS, 8},
                                        {LATTICE_FC_ROTARY, 64},
                                        {LATTICE_FC_TO_PLANES, LATTICE_PLANES_BYTES}};
  for (const char* name : {"attention_decode_f16", "attention_merge"}) (void)device.kernel(name, attention);
  const FunctionConstant gdn[] = {{LATTICE_FC_SIMDGROUPS, 8},
                                  {LATTICE_FC_VECTORS, 32},
                                  {LATTICE_FC_TAPS, 4},
                                  {LATTICE_FC_K_HEADS, 16},
                                  {LATTICE_FC_V_HEADS, 16},
                                  {LATTICE_FC_HEAD_PARTS, 4},
                                  {LATTICE_FC_TO_PLANES, LATTICE_PLANES_BYTES}};
  (void)device.kernel("gdn_step", gdn);
  (void)device.kernel("embed_q8_0", {});
  (void)device.kernel("sample_greedy", {});
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void ask_compile(Probe& probe) {
  constexpr int kKernels = 10;
  const double first = prepare(*probe.device);
  const double again = prepare(*probe.open());
  say("{} kernels: {:.0f} ms when first asked for, {:.0f} ms by a second device of this process", kKernels,
      first * 1e3, again * 1e3);
  say("run it twice: if the first figure stays, what was compiled is not kept on disk");
}

}  // namespace

const std::vector<Question>& questions() {
  static const std::vector<Question> all = {
      {"dispatch", "What does a dispatch cost that waits for the one before, and one that does not?",
       "DISPATCH of tools/predict_apple.py; whether a further fusion pays; GpuTokenStream::kAhead",
       ask_dispatch},
      {"bandwidth",
       "How near does reading come to the bus, from what size on, and do 4 and 8 bits keep up with 16?",
       "ATTAINABLE of tools/predict_apple.py; where quantised formats fall behind f16, dot() of "
       "kernels/formats.h",
       ask_bandwidth},
      {"gemv", "Which rows, split, simdgroups and unrolling are best for each matrix?",
       "choose_gemv_shape() of src/gpu/decode_step.cpp; max_total_threads_per_threadgroup of "
       "kernels/gemv.metal",
       ask_gemv},
      {"gdn", "How many threadgroups and simdgroups a head does the delta rule's step want?",
       "mixer_shape() of src/gpu/decode_step.cpp", ask_gdn},
      {"attention", "Into how many parts should keys be cut, and from how many on?",
       "KeySharing::of() and AttentionDecode::of() of src/gpu/attention_decode.cpp", ask_attention},
      {"gemm", "What does a prompt's product reach, in which tiles?",
       "GemmShape's defaults of src/gpu/prefill_step.h; whether half tiles or newer matrix units are worth a "
       "kernel",
       ask_gemm},
      {"draw", "What does drawing a token cost beside the output head?",
       "whether the head's GEMV should leave its slices' peaks itself (kernels/gemv.metal, "
       "kernels/sample_peaks.metal)",
       ask_draw},
      {"compile", "How long do kernels take to specialise, and does the archive on disk save it?",
       "the binary archive of src/gpu/metal; whether to prepare kernels while weights load", ask_compile},
  };
  return all;
}

}  // namespace lattice::gpu
