#include "gpu/metal/stand_in/execute.h"

#include <algorithm>

#include "support/thread_pool.h"

namespace lattice::gpu::stand_in {
namespace {

/// A dispatch's use of a buffer, from an offset on: how far a kernel goes is not declared.
struct Use {
  const Dispatch* dispatch;
  const KernelParameter* parameter;
  const GpuBuffer* buffer;
  std::size_t offset;
  std::vector<bool> changed = {};  // by byte of the buffer, where others write to it too
};

std::vector<Use> uses_of(const Phase& phase) {
  std::vector<Use> out;
  for (const Dispatch& dispatch : phase) {
    for (const KernelParameter& parameter : dispatch.pipeline->function->signature.parameters) {
      const Binding& binding = *dispatch.bindings[parameter.index];
      if (binding.buffer != nullptr) out.push_back({&dispatch, &parameter, binding.buffer, binding.offset});
    }
  }
  return out;
}

const std::string& kernel_of(const Use& use) {
  return use.dispatch->pipeline->function->signature.name;
}

/// Whether two dispatches that may run together use one place. Reads beside reads are no matter. A read and a
/// write of one buffer are taken to meet, wherever each begins. Two writes meet where they begin together;
/// where they do not, check_apart() looks at what was written.
void check_order(const Use& a, const Use& b) {
  if (a.buffer != b.buffer || a.dispatch == b.dispatch) return;
  const bool writes_a = a.parameter->writable;
  const bool writes_b = b.parameter->writable;
  if (!writes_a && !writes_b) return;
  if (writes_a && writes_b && a.offset != b.offset) return;
  violate("no barrier stands between kernel {} ({} {}) and kernel {} ({} {}), which use one buffer",
          kernel_of(a), a.parameter->name, writes_a ? "written" : "read", kernel_of(b), b.parameter->name,
          writes_b ? "written" : "read");
}

/// Buffers that several dispatches write from different offsets on.
bool is_shared(const std::vector<Use>& uses, const Use& one) {
  return one.parameter->writable && std::ranges::any_of(uses, [&](const Use& other) {
           return other.buffer == one.buffer && other.dispatch != one.dispatch && other.parameter->writable;
         });
}

/// Rows of several matrices' products may stand side by side in one buffer: what counts is which bytes
/// changed.
void check_apart(const std::vector<Use>& uses) {
  for (std::size_t a = 0; a < uses.size(); ++a) {
    for (std::size_t b = a + 1; b < uses.size(); ++b) {
      const Use& one = uses[a];
      const Use& other = uses[b];
      if (one.buffer != other.buffer || one.dispatch == other.dispatch || one.offset == other.offset)
        continue;
      const std::size_t bytes = std::min(one.changed.size(), other.changed.size());
      for (std::size_t i = 0; i < bytes; ++i) {
        if (!one.changed[i] || !other.changed[i]) continue;
        violate("no barrier stands between kernel {} and kernel {}, which write one place", kernel_of(one),
                kernel_of(other));
        break;
      }
    }
  }
}

void check_residency(const std::vector<Use>& uses, const std::vector<Strong<ResidencySet>>& sets) {
  if (sets.empty()) return;
  for (const Use& use : uses) {
    if (!use.buffer->is_alive()) continue;
    if (std::ranges::none_of(sets, [&](const auto& set) { return set->contains(*use.buffer); })) {
      violate("kernel {}: the buffer of {} is in no residency set", kernel_of(use), use.parameter->name);
    }
  }
}

ThreadPool& pool() {
  static ThreadPool pool(2);
  return pool;
}

void run(const Dispatch& dispatch) {
  const Function& function = *dispatch.pipeline->function.get();
  msl::SoftModule& module = *function.source.soft;
  module.specialize(function.constants);
  msl::Launch launch;
  launch.kernel = &module.kernel(function.signature.name);
  launch.grid = dispatch.grid;
  for (const KernelParameter& parameter : function.signature.parameters) {
    const Binding& binding = *dispatch.bindings[parameter.index];
    launch.buffers[parameter.index] =
        binding.buffer != nullptr
            ? static_cast<void*>(binding.buffer->data() + binding.offset)
            : const_cast<void*>(static_cast<const void*>(binding.bytes.data()));  // only read
  }
  module.dispatch(launch, pool());
  ++machine().dispatches;
}

/// Runs one dispatch; of buffers that others write too, notes what it wrote.
void run_watched(const Dispatch& dispatch, std::vector<Use>& uses) {
  std::vector<std::pair<Use*, std::vector<std::byte>>> before;
  for (Use& use : uses) {
    if (use.dispatch != &dispatch || !is_shared(uses, use)) continue;
    before.emplace_back(&use,
                        std::vector<std::byte>(use.buffer->data(), use.buffer->data() + use.buffer->bytes()));
  }
  run(dispatch);
  for (auto& [use, bytes] : before) {
    use->changed.resize(bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) use->changed[i] = bytes[i] != use->buffer->data()[i];
  }
}

}  // namespace

void execute(Phase& phase, const std::vector<Strong<ResidencySet>>& sets, std::mt19937_64& random) {
  for (const Dispatch& dispatch : phase) {
    if (!dispatch.pipeline->is_alive()) return violate("a dispatch's pipeline was released");
  }
  std::ranges::shuffle(phase, random);
  std::vector<Use> uses = uses_of(phase);
  for (const Use& use : uses) {
    if (use.buffer->is_alive()) continue;
    return violate("kernel {} uses a buffer that was released", kernel_of(use));
  }
  for (std::size_t a = 0; a < uses.size(); ++a) {
    for (std::size_t b = a + 1; b < uses.size(); ++b) check_order(uses[a], uses[b]);
  }
  check_residency(uses, sets);
  for (const Dispatch& dispatch : phase) run_watched(dispatch, uses);
  check_apart(uses);
}

}  // namespace lattice::gpu::stand_in
