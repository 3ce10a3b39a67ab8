#pragma once

#include <exception>
#include <new>
#include <string_view>

#include "lattice/error.hpp"
#include "lattice/lattice.h"
#include "support/fail.h"

namespace lattice::capi {

/// Keeps `message` for lattice_last_error() and returns `status`.
lattice_status failed(lattice_status status, std::string_view message) noexcept;

/// Throws Error(kUsage) for a NULL. `name` is the parameter's.
inline void require(const void* pointer, std::string_view name) {
  if (pointer == nullptr) fail_usage("{} is NULL", name);
}

/// Runs the body of a call. What it throws becomes a status and a message.
template <typename Body>
lattice_status guarded(const Body& body) noexcept {
  try {
    body();
    return LATTICE_OK;
  } catch (const Error& error) {
    return failed(error.kind() == Error::Kind::kUsage ? LATTICE_ERROR_USAGE : LATTICE_ERROR_INPUT,
                  error.what());
  } catch (const std::bad_alloc&) {
    return failed(LATTICE_ERROR_MEMORY, "the machine has not enough memory");
  } catch (const std::exception& error) {
    return failed(LATTICE_ERROR_INTERNAL, error.what());
  } catch (...) {
    return failed(LATTICE_ERROR_INTERNAL, "an exception of unknown type");
  }
}

}  // namespace lattice::capi
