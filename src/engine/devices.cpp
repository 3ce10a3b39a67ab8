#include "engine/devices.h"

#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cpu/cpu_backend.h"
#include "gpu/cuda/cuda_device.h"
#include "gpu/gpu_backend.h"
#if LATTICE_HAS_METAL
#include "gpu/metal/metal_device.h"
#endif
#include "gpu/soft/soft_device.h"
#include "model/reference.h"
#include "support/fail.h"
#include "support/printable.h"
#include "support/thread_pool.h"

namespace lattice {
namespace {

/// What every device keeps that can keep either.
constexpr KvPrecision kUsualKv = KvPrecision::kF16;

KvPrecision kv_or(KvPrecision usual, const LoadOptions& options) noexcept {
  return options.kv.value_or(options.exact ? KvPrecision::kF32 : usual);
}

KvFormat kv_format(const LoadOptions& options) {
  return kv_or(kUsualKv, options) == KvPrecision::kF16 ? KvFormat::kF16 : KvFormat::kF32;
}

std::string describe_cpu() {
  const int processors = usable_processors();
  return fmt::format("the processor's vector units ({}, {} core{})", isa_name(available_isas().back()),
                     processors, processors == 1 ? "" : "s");
}

/// The CPU backend checks its options itself, before it takes any memory.
void check_cpu(const LoadOptions& /*options*/) {}

std::unique_ptr<Backend> make_cpu(const Config& config, const Weights& weights, const LoadOptions& options) {
  CpuOptions cpu;
  cpu.threads = options.threads;
  cpu.pin_threads = options.pin_threads;
  cpu.exact = options.exact;
  cpu.kv = kv_format(options);
  cpu.progress = options.progress;
  return make_cpu_backend(config, weights, cpu);
}

std::string describe_reference() {
  return "the plain forward pass that the others are held to: exact, one thread, slow";
}

void check_reference(const LoadOptions& options) {
  if (options.kv == KvPrecision::kF16) {
    fail_usage("the reference device keeps keys and values in f32 alone; use another device for f16");
  }
}

std::unique_ptr<Backend> make_reference(const Config& config, const Weights& weights,
                                        const LoadOptions& /*options*/) {
  return make_reference_backend(config, weights);
}

std::string describe_soft() {
  return "the GPU kernels on the processor, each GPU thread a fiber: to test them where there is no GPU; "
         "slow";
}

void check_soft(const LoadOptions& options) {
  constexpr int kMaxThreads = 1024;
  if (options.threads < 0 || options.threads > kMaxThreads) {
    fail_usage("{} threads were asked for; give 1 to {}, or 0 for one a core", options.threads, kMaxThreads);
  }
}

gpu::GpuOptions gpu_options(const LoadOptions& options) {
  gpu::GpuOptions out;
  out.exact = options.exact;
  out.kv = kv_format(options);
  out.progress = options.progress;
  return out;
}

std::unique_ptr<Backend> make_soft(const Config& config, const Weights& weights, const LoadOptions& options) {
  return gpu::make_gpu_backend(std::make_unique<gpu::SoftDevice>(options.threads), config, weights,
                               gpu_options(options));
}

void check_cuda(const LoadOptions& /*options*/) {}

std::unique_ptr<Backend> make_cuda(const Config& config, const Weights& weights, const LoadOptions& options) {
  return gpu::make_gpu_backend(std::make_unique<gpu::CudaDevice>(), config, weights, gpu_options(options));
}

#if LATTICE_HAS_METAL
void check_metal(const LoadOptions& /*options*/) {}

std::unique_ptr<Backend> make_metal(const Config& config, const Weights& weights,
                                    const LoadOptions& options) {
  return gpu::make_gpu_backend(gpu::make_metal_device(), config, weights, gpu_options(options));
}
#endif

/// Of devices that every machine has.
std::string never_absent() {
  return {};
}

/// Every kind of device, the fastest first. A new one is a line here.
constexpr std::array kDeviceKinds = {
#if LATTICE_HAS_METAL
    // Mapped weights are read where they lie, so that the checkpoint has to stay.
    DeviceKind{"metal", gpu::metal_description, gpu::metal_absence, /*in_host_memory=*/true, kUsualKv,
               /*owns_weights=*/false, check_metal, make_metal},
#endif
    DeviceKind{"cuda", gpu::cuda_description, gpu::cuda_absence, /*in_host_memory=*/false, kUsualKv,
               /*owns_weights=*/true, check_cuda, make_cuda},
    DeviceKind{"cpu", describe_cpu, never_absent, /*in_host_memory=*/true, kUsualKv, /*owns_weights=*/true,
               check_cpu, make_cpu},
    DeviceKind{"reference", describe_reference, never_absent, /*in_host_memory=*/true, KvPrecision::kF32,
               /*owns_weights=*/false, check_reference, make_reference},
    DeviceKind{"soft", describe_soft, never_absent, /*in_host_memory=*/true, kUsualKv, /*owns_weights=*/true,
               check_soft, make_soft},
};

}  // namespace

std::vector<Device> devices() {
  std::vector<Device> present;
  for (const DeviceKind& kind : kDeviceKinds) {
    std::string description = kind.describe();
    if (!description.empty()) present.push_back({std::string(kind.name), std::move(description)});
  }
  return present;
}

std::vector<Device> absent_devices() {
  std::vector<Device> absent;
  for (const DeviceKind& kind : kDeviceKinds) {
    std::string reason = kind.absence();
    if (!reason.empty()) absent.push_back({std::string(kind.name), std::move(reason)});
  }
  return absent;
}

KvPrecision kv_precision(const DeviceKind& device, const LoadOptions& options) noexcept {
  return kv_or(device.usual_kv, options);
}

const DeviceKind& find_device(std::string_view name) {
  std::vector<std::string_view> present;
  for (const DeviceKind& kind : kDeviceKinds) {
    if (const std::string reason = kind.absence(); !reason.empty()) {
      if (name == kind.name) fail_usage("device {} cannot be used here: {}", name, reason);
      continue;
    }
    if (name == "auto" || name == kind.name) return kind;
    present.push_back(kind.name);
  }
  fail_usage("device {} is not one that this machine has: auto, {}", printable(name),
             fmt::join(present, ", "));
}

}  // namespace lattice
