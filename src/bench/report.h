#pragma once

#include <string>

#include "bench/benchmark.h"

namespace lattice::bench {

/// Tables for people, in columns. Ends with what the figures were taken on and with the hash of the logits.
[[nodiscard]] std::string text_report(const Result& result);

/// The same for machines: one JSON object of the schema "lattice-bench/1" (docs/benchmarks.md).
[[nodiscard]] std::string json_report(const Result& result);

/// Two plots beside each other: the roofline with the measured points, and tokens a second against context.
/// An SVG document that reads on light and on dark pages.
[[nodiscard]] std::string svg_report(const Result& result);

}  // namespace lattice::bench
