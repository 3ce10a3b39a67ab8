#pragma once

#include <span>
#include <string>

namespace lattice::gpu::cuda {

/// A shared library that is opened at run time, so that the program starts where it is not installed. Stays
/// open: its threads and handlers may outlive any owner.
class SharedLibrary {
 public:
  /// Opens the first of `names` that there is.
  explicit SharedLibrary(std::span<const std::string> names);

  [[nodiscard]] bool is_open() const noexcept { return handle_ != nullptr; }
  /// The function called `name`, or null.
  [[nodiscard]] void* find(const char* name) const noexcept;

  template <typename Function>
  void load(Function*& function, const char* name) const noexcept {
    function = reinterpret_cast<Function*>(find(name));
  }

 private:
  void* handle_ = nullptr;
};

}  // namespace lattice::gpu::cuda
