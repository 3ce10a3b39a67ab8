#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace lattice::msl {

enum class FindingKind : std::uint8_t {
  kOutOfBoundsRead,
  kOutOfBoundsWrite,
  kUninitializedRead,  ///< of threadgroup memory
  kDataRace,
  kDivergentBarrier,
  kDivergentOperation,  ///< a simdgroup or quadgroup operation
  kOrderDependence,
};

[[nodiscard]] std::string_view name_of(FindingKind kind) noexcept;

/// One defect that checking mode has seen: the first of its kind at its place, and how often it was seen
/// there.
struct Finding {
  FindingKind kind = FindingKind::kOutOfBoundsRead;
  std::string kernel;
  std::string place;        ///< "file.metal:12", or empty where the line could not be told
  std::string object;       ///< the buffer or threadgroup variable, for example `buffer 1 ("out")`; or empty
  std::int64_t index = -1;  ///< of the element; −1: none
  std::array<std::uint32_t, 3> threadgroup = {};
  std::array<std::uint32_t, 3> thread = {};  ///< in its threadgroup
  std::string detail;
  std::uint64_t count = 1;

  /// One line for a person.
  [[nodiscard]] std::string message() const;
};

}  // namespace lattice::msl
