// Checking mode compiles a kernel with -fsanitize=thread, by which the compiler calls one of these functions before
// every access to memory that other threads could see. They stand in for the sanitizer's own library and hand the
// access to the soft device's checker. Compiled without that option.
#include "soft/abi.h"

namespace {
const lattice::soft::Runtime* runtime = nullptr;
void note(const volatile void* address, unsigned long bytes, lattice::soft::AccessKind kind, const void* code) {
  if (runtime != nullptr) runtime->access(address, bytes, kind, code);
}
}  // namespace

#define HOOK extern "C" __attribute__((visibility("hidden")))

extern "C" __attribute__((visibility("default"))) void lattice_attach_checker(const lattice::soft::Runtime* r) { runtime = r; }

#define ACCESS(name, bytes, kind) \
  HOOK void __tsan_##name(void* address) { note(address, bytes, lattice::soft::kind, __builtin_return_address(0)); }
#define ACCESSES(bytes)                        \
  ACCESS(read##bytes, bytes, kRead)            \
  ACCESS(write##bytes, bytes, kWrite)          \
  ACCESS(unaligned_read##bytes, bytes, kRead)  \
  ACCESS(unaligned_write##bytes, bytes, kWrite) \
  ACCESS(volatile_read##bytes, bytes, kRead)   \
  ACCESS(volatile_write##bytes, bytes, kWrite)
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

HOOK void __tsan_read_range(void* address, unsigned long bytes) { note(address, bytes, lattice::soft::kRead, __builtin_return_address(0)); }
HOOK void __tsan_write_range(void* address, unsigned long bytes) { note(address, bytes, lattice::soft::kWrite, __builtin_return_address(0)); }
HOOK void __tsan_init() {}
HOOK void __tsan_func_entry(void*) {}
HOOK void __tsan_func_exit() {}

// Copies of structs, which Clang leaves to the C library. Hidden, so that they serve the kernel alone.
HOOK void* memcpy(void* to, const void* from, unsigned long bytes) {
  note(from, bytes, lattice::soft::kRead, __builtin_return_address(0));
  note(to, bytes, lattice::soft::kWrite, __builtin_return_address(0));
  for (unsigned long i = 0; i < bytes; ++i) {
    static_cast<volatile char*>(to)[i] = static_cast<const char*>(from)[i];
  }
  return to;
}
HOOK void* memmove(void* to, const void* from, unsigned long bytes) {
  note(from, bytes, lattice::soft::kRead, __builtin_return_address(0));
  note(to, bytes, lattice::soft::kWrite, __builtin_return_address(0));
  const bool backwards = to > from;
  for (unsigned long i = 0; i < bytes; ++i) {
    const unsigned long at = backwards ? bytes - 1 - i : i;
    static_cast<volatile char*>(to)[at] = static_cast<const char*>(from)[at];
  }
  return to;
}
HOOK void* memset(void* to, int value, unsigned long bytes) {
  note(to, bytes, lattice::soft::kWrite, __builtin_return_address(0));
  for (unsigned long i = 0; i < bytes; ++i) static_cast<volatile char*>(to)[i] = static_cast<char>(value);
  return to;
}
HOOK void* __tsan_memcpy(void* to, const void* from, unsigned long bytes) { return memcpy(to, from, bytes); }
HOOK void* __tsan_memmove(void* to, const void* from, unsigned long bytes) { return memmove(to, from, bytes); }
HOOK void* __tsan_memset(void* to, int value, unsigned long bytes) { return memset(to, value, bytes); }
