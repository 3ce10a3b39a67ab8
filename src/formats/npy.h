#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lattice {

/// NumPy's array file (NEP 1): one array, row-major, little-endian.
struct NpyArray {
  std::string descr;                 ///< NumPy's name of the element's type: "<f4", "|u1", …
  std::vector<std::uint64_t> shape;  ///< outermost first; empty for a scalar
  std::vector<std::byte> data;
};

/// The bytes of one element of a type that a kernel can take (booleans, integers, float16 to float64), or 0.
[[nodiscard]] std::size_t npy_element_bytes(std::string_view descr) noexcept;

/// Reads a file of version 1, 2 or 3. Throws Error naming file and field for what is not well formed, for
/// arrays in Fortran's order and for types that no kernel can take.
[[nodiscard]] NpyArray read_npy(const std::filesystem::path& path);

/// Writes version 1.0. `data` holds the elements of `shape`. Throws Error where the file cannot be written.
void write_npy(const std::filesystem::path& path, std::string_view descr,
               std::span<const std::uint64_t> shape, std::span<const std::byte> data);

}  // namespace lattice
