#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <string_view>

#include "capi/guard.h"
#include "lattice/lattice.h"
#include "lattice/model.hpp"

namespace lattice::capi {

/// The defaults of a struct that carries its size.
template <typename Struct>
[[nodiscard]] Struct defaults() noexcept;
template <>
lattice_load_options defaults() noexcept;
template <>
lattice_chat_options defaults() noexcept;
template <>
lattice_sampling defaults() noexcept;
template <>
lattice_generate_options defaults() noexcept;
template <>
lattice_generation defaults() noexcept;

/// The size of `Struct` when it was first released: no caller has a smaller one. A struct that grows gets a
/// specialisation with the size that it had.
template <typename Struct>
inline constexpr std::size_t kFirstSize = sizeof(Struct);

inline void check_size(std::size_t size, std::size_t first, std::string_view name) {
  // Far above what any version can have: so large a size is a struct that was never initialised.
  constexpr std::size_t kMost = 4096;
  if (size < first || size > kMost) {
    fail_usage("{}.size is {}: initialise the struct with its xxx_init and sizeof", name, size);
  }
}

/// Fills the caller's struct of `size` bytes, which may be of an older or a newer version than ours: what the
/// caller does not have is left out, and what we do not know is zero.
template <typename Struct>
void initialise(Struct* out, std::size_t size, std::string_view name) {
  require(out, name);
  check_size(size, kFirstSize<Struct>, name);
  Struct values = defaults<Struct>();
  values.size = size;
  std::memset(static_cast<void*>(out), 0, size);
  std::memcpy(static_cast<void*>(out), &values, std::min(size, sizeof(values)));
}

/// The caller's struct as ours: what it does not have gets its default. Throws Error(kUsage) where it sets
/// something that this version does not know.
template <typename Struct>
[[nodiscard]] Struct read(const Struct* given, std::string_view name) {
  Struct values = defaults<Struct>();
  if (given == nullptr) return values;
  const std::size_t size = given->size;
  check_size(size, kFirstSize<Struct>, name);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (std::size_t i = sizeof(values); i < size; ++i) {
    if (bytes[i] != 0) fail_usage("{} sets a field that Lattice " LATTICE_VERSION " does not know", name);
  }
  std::memcpy(&values, given, std::min(size, sizeof(values)));
  return values;
}

/// An array of `count` from the caller. NULL is an empty one.
template <typename T>
[[nodiscard]] std::span<const T> array(const T* items, std::size_t count, std::string_view name) {
  if (count != 0) require(items, name);
  if (count > PTRDIFF_MAX / sizeof(T))
    fail_usage("{} has {} entries, more than there is memory", name, count);
  return {items, count};
}

/// A string from the caller.
[[nodiscard]] inline std::string_view string(const char* text, std::string_view name) {
  require(text, name);
  return text;
}

/// A copy for the caller, who frees it: the items and, for text, a NUL.
template <typename T>
[[nodiscard]] T* handed_out(std::span<const T> items) {
  auto* copy = static_cast<T*>(std::calloc(items.size() + 1, sizeof(T)));
  if (copy == nullptr) throw std::bad_alloc();
  std::copy(items.begin(), items.end(), copy);
  return copy;
}

/// The caller's progress callback as ours; empty for NULL.
[[nodiscard]] ProgressCallback progress_callback(lattice_progress_fn function, void* data);

}  // namespace lattice::capi
