#include "gpu/sampling_step.h"

#include <algorithm>

#include "gpu/grid.h"
#include "gpu/kernels/kernel_args.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::Candidate;
using lattice_gpu::Peak;
using lattice_gpu::SamplingArgs;
using lattice_gpu::SliceArgs;

constexpr std::uint32_t kSimdgroups = 8;        // of a threadgroup
constexpr std::uint32_t kLeastSliceIds = 1024;  // fewer are not worth a threadgroup
constexpr std::uint32_t kMostSlices = 128;      // about as many as large devices have cores

}  // namespace

SamplingMemory::SamplingMemory(Device& device, const Config& config) {
  const auto ids = static_cast<std::uint32_t>(std::min(config.vocab_size, kMostDrawableIds));
  slices = std::min(kMostSlices, ceil_div(ids, kLeastSliceIds));
  slice_ids = ceil_div(ids, slices);
  peaks = device.allocate(slices * sizeof(Peak));
  histogram = device.allocate(LATTICE_BINS * sizeof(std::uint32_t));
  weights = device.allocate(slices * sizeof(float));
  found = device.allocate(slices * sizeof(std::uint32_t));
  candidates = device.allocate(std::size_t{slices} * slice_ids * sizeof(Candidate));
}

void record_sampling(Device& device, Commands& commands, const Buffer& logits, const SamplingMemory& memory,
                     GpuState& state, bool is_greedy) {
  const DrawMemory& draw = state.draw_memory();
  const Buffer& step = state.step_state();
  const SliceArgs args{memory.slices, memory.slice_ids, kDrawnTokens};
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kSimdgroups}};
  const std::uint32_t threads = kSimdgroups * kSimdWidth;
  commands.dispatch(device.kernel("sample_peaks", constants),
                    {logits, *draw.seen, *draw.sampling, *memory.peaks, *memory.histogram, args},
                    {memory.slices}, threads);
  commands.barrier();
  if (is_greedy) {
    commands.dispatch(device.kernel("sample_greedy", {}),
                      {step, logits, *draw.seen, *draw.drawn, *draw.sampling, *memory.peaks, args}, {1},
                      kSimdWidth);
    return;
  }
  commands.dispatch(device.kernel("sample_histogram", constants),
                    {logits, *draw.sampling, *memory.peaks, *memory.histogram, *memory.weights, args},
                    {memory.slices}, threads);
  commands.barrier();
  commands.dispatch(device.kernel("sample_gather", constants),
                    {logits, *draw.sampling, *memory.peaks, *memory.histogram, *memory.weights, *memory.found,
                     *memory.candidates, args},
                    {memory.slices}, threads);
  commands.barrier();
  commands.dispatch(device.kernel("sample_pick", constants),
                    {step, logits, *draw.seen, *draw.drawn, *draw.sampling, *memory.peaks, *memory.weights,
                     *memory.found, *memory.candidates, args},
                    {1}, threads);
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
