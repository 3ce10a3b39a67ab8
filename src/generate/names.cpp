#include "lattice/generate.hpp"

namespace lattice {

std::string_view finish_reason_name(FinishReason reason) noexcept {
  switch (reason) {
    case FinishReason::kEos:
      return "eos";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContext:
      return "context";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string_view draft_name(Draft draft) noexcept {
  switch (draft) {
    case Draft::kNone:
      return "none";
    case Draft::kLookup:
      return "lookup";
    case Draft::kMtp:
      return "mtp";
    case Draft::kAuto:
      return "auto";
  }
  return "unknown";
}

}  // namespace lattice
