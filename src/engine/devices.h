#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lattice/model.hpp"
#include "model/backend.h"
#include "model/weights.h"

namespace lattice {

/// Something that forward passes run on: what a row of the table in devices.cpp says of it.
struct DeviceKind {
  std::string_view name;              ///< LoadOptions::device
  std::string (*describe)();          ///< for people; empty where this machine has no such device
  std::string (*absence)();           ///< why it has none, for people; empty where it has one
  bool in_host_memory;                ///< what the backend allocates is the host's memory
  KvPrecision usual_kv;               ///< of keys and values, where nobody asks for another or for exactness
  bool owns_weights;                  ///< the backend copies the weights, so the checkpoint's memory may go
  void (*check)(const LoadOptions&);  ///< throws Error(kUsage) for options that the device cannot honour
  std::unique_ptr<Backend> (*make)(const Config&, const Weights&, const LoadOptions&);
};

/// The device called `name`; "auto" is the first that this machine has. Throws Error(kUsage), naming those
/// that it has, for any other name.
[[nodiscard]] const DeviceKind& find_device(std::string_view name);

/// How `device` keeps keys and values with these options.
[[nodiscard]] KvPrecision kv_precision(const DeviceKind& device, const LoadOptions& options) noexcept;

}  // namespace lattice
