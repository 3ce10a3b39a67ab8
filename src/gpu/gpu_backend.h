#pragma once

#include <memory>

#include "gpu/decode_step.h"
#include "gpu/device.h"
#include "gpu/gpu_state.h"
#include "gpu/prefill_step.h"
#include "model/backend.h"
#include "model/weights.h"
#include "support/progress.h"

namespace lattice::gpu {

struct GpuOptions {
  bool exact = false;  ///< weights of formats that the kernels have not become F32 rather than F16
  KvFormat kv = KvFormat::kF32;
  GemvChooser gemv;  ///< empty: choose_gemv_shape()
  GemmShape gemm;
  Progress progress;  ///< of the repacking at load
};

/// Throws Error(kUsage) for dimensions that the kernels are not written for; every released checkpoint of the
/// family is inside.
void check_dimensions(const Config& config);

/// The forward pass on a device: a decode step recorded once and replayed for every token, and prompts in
/// pieces (prefill_step.h). Repacks the matrices, so `weights` need not outlive the call, but for mapped ones
/// on a device that reads mapped memory (Device::wrap()). Throws as check_dimensions() does.
[[nodiscard]] std::unique_ptr<Backend> make_gpu_backend(std::unique_ptr<Device> device, const Config& config,
                                                        const Weights& weights,
                                                        const GpuOptions& options = {});

/// Dispatches of a decode step at `position`, with the output head.
[[nodiscard]] std::size_t dispatches_per_token(const Backend& backend, std::int64_t position);

}  // namespace lattice::gpu
