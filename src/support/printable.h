#pragma once

#include <string>
#include <string_view>

namespace lattice {

/// Whether the one well-formed UTF-8 sequence `sequence` is a control character: C0 and DEL are single bytes;
/// C1 (U+0080 to U+009F), which terminals obey too, is C2 80 to C2 9F.
[[nodiscard]] bool is_control(std::string_view sequence) noexcept;

/// `text` between double quotes, fit for a message on a terminal whatever it holds: control characters,
/// quotes and bytes that are not UTF-8 are escaped (\n, \x1b, …), and what goes on past `max_bytes` is cut
/// off ("…"). For every name that comes from a file or a request.
[[nodiscard]] std::string printable(std::string_view text, std::size_t max_bytes = 80);

}  // namespace lattice
