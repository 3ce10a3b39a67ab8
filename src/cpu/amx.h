#pragma once

namespace lattice::cpu {

/// Whether this processor multiplies tiles of bytes and of bfloat16 (AMX) and the system lets this process
/// use them, which it has to be asked for: it keeps 8 KB more of each thread that does. Asked once.
[[nodiscard]] bool may_use_amx() noexcept;

}  // namespace lattice::cpu
