#pragma once

#include <cstdint>
#include <optional>

#include "cpu/cpu_backend.h"
#include "cpu/kernels/kernels.h"

namespace lattice::cpu {

/// `wanted`, or what LATTICE_ISA names, or the best there is. Throws Error(kUsage) for one that this
/// processor cannot run.
[[nodiscard]] Isa choose_isa(std::optional<Isa> wanted);

[[nodiscard]] const Kernels& kernels_of(Isa isa) noexcept;

/// PackedRows::ahead for this processor.
[[nodiscard]] std::int64_t weights_ahead() noexcept;

}  // namespace lattice::cpu
