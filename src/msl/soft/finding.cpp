#include "msl/soft/finding.h"

#include <iterator>

#include <fmt/format.h>

namespace lattice::msl {

std::string_view name_of(FindingKind kind) noexcept {
  switch (kind) {
    case FindingKind::kOutOfBoundsRead:
      return "out-of-bounds read";
    case FindingKind::kOutOfBoundsWrite:
      return "out-of-bounds write";
    case FindingKind::kUninitializedRead:
      return "uninitialised read";
    case FindingKind::kDataRace:
      return "data race";
    case FindingKind::kDivergentBarrier:
      return "divergent barrier";
    case FindingKind::kDivergentOperation:
      return "divergent simdgroup operation";
    case FindingKind::kOrderDependence:
      break;
  }
  return "order dependence";
}

std::string Finding::message() const {
  std::string out = place.empty() ? std::string() : place + ": ";
  const auto to = std::back_inserter(out);
  fmt::format_to(to, "{} in kernel {}", name_of(kind), kernel);
  if (!object.empty()) fmt::format_to(to, ", {}", object);
  if (index >= 0) fmt::format_to(to, ", index {}", index);
  if (kind != FindingKind::kOrderDependence) {
    fmt::format_to(to, ", thread ({}, {}, {}) of threadgroup ({}, {}, {})", thread[0], thread[1], thread[2],
                   threadgroup[0], threadgroup[1], threadgroup[2]);
  }
  if (!detail.empty()) fmt::format_to(to, ": {}", detail);
  if (count > 1) fmt::format_to(to, " (seen {} times)", count);
  return out;
}

}  // namespace lattice::msl
