#pragma once

#include <cstdint>
#include <memory>

#include "gpu/device.h"
#include "gpu/gpu_state.h"
#include "model/backend.h"

namespace lattice::gpu {

/// What the sampling kernels leave for one another. One for all sequences.
struct SamplingMemory {
  SamplingMemory(Device& device, const Config& config);

  /// With which kernels to draw so.
  [[nodiscard]] Draw draw_for(const Sampling& sampling) const noexcept;

  std::uint32_t slices;                // of the vocabulary, one a threadgroup
  std::uint32_t slice_ids;             // of a slice
  std::unique_ptr<Buffer> peaks;       // [slices] Peak
  std::unique_ptr<Buffer> spans;       // [slices, LATTICE_SLICE_SPANS]: largest logits
  std::unique_ptr<Buffer> histogram;   // [LATTICE_BINS]
  std::unique_ptr<Buffer> weights;     // [slices]
  std::unique_ptr<Buffer> found;       // [slices]
  std::unique_ptr<Buffer> candidates;  // [slices, slice_ids] Candidate
};

/// Vocabularies that the kernels' integers have room for.
inline constexpr std::int64_t kMostDrawableIds = std::int64_t{1} << 20;

/// Appends the draw of a token from `logits`, [vocab_size], which become penalised: into
/// GpuState::step_state(), with the next position, and into the ring of its DrawMemory. Two dispatches, or
/// four of Draw::kAny.
void record_sampling(Device& device, Commands& commands, const Buffer& logits, const SamplingMemory& memory,
                     GpuState& state, Draw draw);

/// Tells the kernels of a sequence how to draw.
void upload_sampling(const DrawMemory& memory, const DrawOptions& options);

}  // namespace lattice::gpu
