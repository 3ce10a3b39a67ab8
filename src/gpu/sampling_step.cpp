#include "gpu/sampling_step.h"

#include <algorithm>
#include <utility>

#include "gpu/grid.h"
#include "gpu/kernels/kernel_args.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::Candidate;
using lattice_gpu::Peak;
using lattice_gpu::SamplingArgs;
using lattice_gpu::SliceArgs;

constexpr std::uint32_t kSpans = LATTICE_SLICE_SPANS;

}  // namespace

SamplingMemory::SamplingMemory(Device& device, const Config& config) {
  const auto ids = static_cast<std::uint32_t>(std::min(config.vocab_size, kMostDrawableIds));
  const std::uint32_t span_ids = ceil_div(ids, LATTICE_MOST_SLICES * kSpans * kSimdWidth) * kSimdWidth;
  slice_ids = span_ids * kSpans;
  slices = ceil_div(ids, slice_ids);
  peaks = device.allocate(slices * sizeof(Peak));
  spans = device.allocate(std::size_t{slices} * kSpans * sizeof(float));
  histogram = device.allocate(LATTICE_BINS * sizeof(std::uint32_t));
  weights = device.allocate(slices * sizeof(float));
  found = device.allocate(slices * sizeof(std::uint32_t));
  candidates = device.allocate(std::size_t{slices} * slice_ids * sizeof(Candidate));
}

Draw SamplingMemory::draw_for(const Sampling& sampling) const noexcept {
  if (sampling.is_greedy()) return Draw::kLikeliest;
  return sampling.top_k != 0 && std::cmp_less_equal(sampling.top_k, slices) ? Draw::kTopK : Draw::kAny;
}

void record_sampling(Device& device, Commands& commands, const Buffer& logits, const SamplingMemory& memory,
                     GpuState& state, Draw draw) {
  const DrawMemory& own = state.draw_memory();
  const Buffer& step = state.step_state();
  const SliceArgs args{memory.slices, memory.slice_ids, kDrawnTokens};
  constexpr std::uint32_t kThreads = kSpans * kSimdWidth;
  commands.dispatch(device.kernel("sample_peaks", {}),
                    {logits, *own.seen, *own.sampling, *memory.peaks, *memory.spans, *memory.histogram, args},
                    {memory.slices}, kThreads);
  commands.barrier();
  if (draw == Draw::kLikeliest) {
    commands.dispatch(device.kernel("sample_greedy", {}),
                      {step, logits, *own.seen, *own.drawn, *own.sampling, *memory.peaks, args}, {1},
                      kSimdWidth);
    return;
  }
  if (draw == Draw::kTopK) {
    commands.dispatch(
        device.kernel("sample_top_k", {}),
        {step, logits, *own.seen, *own.drawn, *own.sampling, *memory.peaks, *memory.spans, args}, {1},
        LATTICE_MOST_SLICES * kSpans);
    return;
  }
  commands.dispatch(device.kernel("sample_histogram", {}),
                    {logits, *own.sampling, *memory.peaks, *memory.histogram, *memory.weights, args},
                    {memory.slices}, kThreads);
  commands.barrier();
  commands.dispatch(device.kernel("sample_gather", {}),
                    {logits, *own.sampling, *memory.peaks, *memory.histogram, *memory.weights, *memory.found,
                     *memory.candidates, args},
                    {memory.slices}, kThreads);
  commands.barrier();
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kSpans}};
  commands.dispatch(device.kernel("sample_pick", constants),
                    {step, logits, *own.seen, *own.drawn, *own.sampling, *memory.peaks, *memory.weights,
                     *memory.found, *memory.candidates, args},
                    {1}, kThreads);
}

void upload_sampling(const DrawMemory& memory, const DrawOptions& options) {
  constexpr float kLeastTemperature =
      1e-30f;  // a smaller one may count as 0 on a device, and draws as this does
  const Sampling& sampling = options.sampling;
  const SamplingArgs args{
      .ids = static_cast<std::uint32_t>(options.n_ids),
      .top_k = sampling.top_k < options.n_ids ? static_cast<std::uint32_t>(sampling.top_k) : 0,
      .temperature = std::max(sampling.temperature, kLeastTemperature),
      .top_p = sampling.top_p,
      .min_p = sampling.min_p,
      .penalties = options.seen.empty() ? 0u : 1u,
      .repetition = sampling.repetition_penalty,
      .presence = sampling.presence_penalty,
      .frequency = sampling.frequency_penalty,
      .seed_low = static_cast<std::uint32_t>(sampling.seed),
      .seed_high = static_cast<std::uint32_t>(sampling.seed >> 32)};
  memory.sampling->upload(std::span(&args, 1));
  if (!options.seen.empty()) memory.seen->upload<std::uint32_t>(options.seen);
}

}  // namespace lattice::gpu
