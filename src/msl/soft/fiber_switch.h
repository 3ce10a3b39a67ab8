#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define LATTICE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LATTICE_ADDRESS_SANITIZER 1
#endif
#endif

#if defined(LATTICE_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace lattice::msl {

/// A stack's lowest address and size.
struct StackBounds {
  const void* bottom = nullptr;
  std::size_t bytes = 0;
};

/// Tells AddressSanitizer, which else takes the stack's change for corruption, of a switch to another stack:
/// made before it, destroyed after the switch back, also where that is by an exception. Does nothing in other
/// builds (sanitizer/common_interface_defs.h).
class FiberSwitch {
 public:
#if defined(LATTICE_ADDRESS_SANITIZER)
  explicit FiberSwitch(const StackBounds& to) {
    __sanitizer_start_switch_fiber(&kept_, to.bottom, to.bytes);
  }
  ~FiberSwitch() {
    __sanitizer_finish_switch_fiber(kept_, nullptr, nullptr);
  }

  /// First of all on a new stack. Returns the bounds of the one that was left.
  static StackBounds arrived() {
    StackBounds from;
    __sanitizer_finish_switch_fiber(nullptr, &from.bottom, &from.bytes);
    return from;
  }
  /// Last of all on a stack that is never come back to.
  static void leave_for_good(const StackBounds& to) {
    __sanitizer_start_switch_fiber(nullptr, to.bottom, to.bytes);
  }
  /// Once a stack is unmapped: what is mapped in its place next is not to inherit its marks.
  static void forget(const StackBounds& stack) {
    __asan_unpoison_memory_region(stack.bottom, stack.bytes);
  }
#else
  explicit FiberSwitch(const StackBounds& /*to*/) {}
  ~FiberSwitch() {}  // NOLINT(modernize-use-equals-default): a trivial one would make objects look unused
  static StackBounds arrived() {
    return {};
  }
  static void leave_for_good(const StackBounds& /*to*/) {}
  static void forget(const StackBounds& /*stack*/) {}
#endif
  FiberSwitch(const FiberSwitch&) = delete;
  FiberSwitch& operator=(const FiberSwitch&) = delete;

 private:
#if defined(LATTICE_ADDRESS_SANITIZER)
  void* kept_ = nullptr;
#endif
};

}  // namespace lattice::msl
