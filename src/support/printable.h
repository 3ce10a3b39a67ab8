#pragma once

#include <string>
#include <string_view>

namespace lattice {

/// `text` between double quotes, fit for a message on a terminal whatever it holds: control characters,
/// quotes and bytes that are not UTF-8 are escaped (\n, \x1b, …), and what goes on past `max_bytes` is cut
/// off ("…"). For every name that comes from a file or a request.
[[nodiscard]] std::string printable(std::string_view text, std::size_t max_bytes = 80);

}  // namespace lattice
