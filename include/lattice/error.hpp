#pragma once

#include <stdexcept>
#include <string>

#include "lattice/export.h"

namespace lattice {

/// The one exception type that Lattice throws.
///
/// `what()` is one sentence for a person: it names the file and the field, and says what to do next where
/// that is known. Nothing else is thrown on purpose; std::bad_alloc may pass through.
class LATTICE_API Error : public std::runtime_error {
 public:
  enum class Kind {
    kInput,  ///< a file, a prompt or a request that cannot be used; the CLI exits with 1
    kUsage,  ///< the caller asked for something impossible (a bad flag or argument); the CLI exits with 2
  };

  explicit Error(const std::string& message, Kind kind = Kind::kInput)
      : std::runtime_error(message), kind_(kind) {}

  [[nodiscard]] Kind kind() const noexcept { return kind_; }

 private:
  Kind kind_;
};

}  // namespace lattice
