#include "gpu/cuda/shared_library.h"

#include <dlfcn.h>

namespace lattice::gpu::cuda {

SharedLibrary::SharedLibrary(std::span<const std::string> names) {
  for (const std::string& name : names) {
    handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) return;
  }
}

void* SharedLibrary::find(const char* name) const noexcept {
  return handle_ == nullptr ? nullptr : dlsym(handle_, name);
}

}  // namespace lattice::gpu::cuda
