#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace lattice {

/// Called by anything that can take more than a second: `done` of `total` units of the work called `what`
/// (bytes on load, tokens in a perplexity run). Called from one thread; empty means that nobody watches.
using Progress = std::function<void(std::string_view what, std::int64_t done, std::int64_t total)>;

}  // namespace lattice
