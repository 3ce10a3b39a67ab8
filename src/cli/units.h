#pragma once

#include <cstdint>
#include <string>

namespace lattice::cli {

/// "512 B", "54.7 MB", "1.20 GB": three digits, decimal units as data sheets have them.
[[nodiscard]] std::string format_bytes(double bytes);
/// "12,345,678".
[[nodiscard]] std::string format_count(std::int64_t count);
/// Three digits and no more: "0.123", "14.2", "1732".
[[nodiscard]] std::string format_figure(double value);
/// "14 ms", "2.1 s", "3:07 min", "1:02:00 h".
[[nodiscard]] std::string format_seconds(double seconds);

}  // namespace lattice::cli
