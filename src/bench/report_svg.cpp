#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "bench/report.h"
#include "bench/svg.h"
#include "support/printable.h"

namespace lattice::bench {
namespace {

constexpr double kWidth = 1000;
constexpr double kHeight = 420;
constexpr double kTop = 60;
constexpr double kBottom = 350;
// The two plots' frames.
constexpr double kLeftBegin = 75;
constexpr double kLeftEnd = 470;
constexpr double kRightBegin = 580;
constexpr double kRightEnd = 975;

struct Mark {
  std::string name;
  std::string_view style;
  double flop_per_byte;
  double flop_per_second;
};

/// Prefill's intensity is that of an engine which reads the weights once for all tokens.
std::vector<Mark> marks_of(const Result& result) {
  std::vector<Mark> marks;
  for (const Decode& decode : result.decode) {
    marks.push_back({fmt::format("decode at {}", decode.context), "measured", decode.flop / decode.bytes,
                     decode.flop / decode.seconds.median()});
  }
  if (result.prefill) {
    const auto bytes = static_cast<double>(result.model.weight_bytes + 2 * result.model.state_bytes +
                                           result.model.kv_bytes * result.prefill->tokens);
    marks.push_back({fmt::format("prefill of {}", result.prefill->tokens), "second",
                     result.prefill->flop / bytes, result.prefill->flop / result.prefill->seconds.median()});
  }
  return marks;
}

void draw_roofline(Svg& svg, const Result& result) {
  const std::vector<Mark> marks = marks_of(result);
  const double ridge = result.roof.flop_per_second / result.roof.bytes_per_second;
  double least_x = ridge / 10;
  double most_x = ridge * 10;
  double least_y = result.roof.flop_per_second / 10;
  double most_y = result.roof.flop_per_second;
  for (const Mark& mark : marks) {
    least_x = std::min(least_x, mark.flop_per_byte / 2);
    most_x = std::max(most_x, mark.flop_per_byte * 2);
    least_y = std::min(least_y, mark.flop_per_second / 2);
    most_y = std::max(most_y, mark.flop_per_second);
  }
  const Axis x(Axis::Scale::kLog, least_x, most_x, kLeftBegin, kLeftEnd);
  const Axis y(Axis::Scale::kLog, least_y * 1e-9, most_y * 1e-9, kBottom, kTop);
  svg.axes(x, y, "operations a byte", "GFLOP/s", "Roofline");

  const auto at = [&](double intensity, double rate) {
    return Point{x.place(intensity), y.place(rate * 1e-9)};
  };
  // The slanted roof begins at the frame's left or bottom edge, whichever it meets.
  const double begin = std::max(x.low(), y.low() * 1e9 / result.roof.bytes_per_second);
  svg.polyline({at(begin, begin * result.roof.bytes_per_second), at(ridge, result.roof.flop_per_second),
                at(x.high(), result.roof.flop_per_second)},
               "roof");
  svg.text({x.place(x.high()) - 6, y.place(result.roof.flop_per_second * 1e-9) - 8},
           fmt::format("{:.0f} GFLOP/s, {:.1f} GB/s", result.roof.flop_per_second * 1e-9,
                       result.roof.bytes_per_second * 1e-9),
           Svg::Anchor::kEnd);

  // Decode's points lie close together: the first and the last are named.
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const Point point = at(marks[i].flop_per_byte, marks[i].flop_per_second);
    svg.dot(point, marks[i].style);
    if (marks[i].style == "second") {
      svg.text({point.x - 8, point.y + 18}, marks[i].name, Svg::Anchor::kMiddle);
    } else if (i == 0) {
      svg.text({point.x + 9, point.y + 5},
               result.decode.size() == 1 ? marks[i].name : std::string("decode, all contexts"),
               Svg::Anchor::kStart);
    }
  }
}

void draw_decode(Svg& svg, const Result& result) {
  if (result.decode.empty()) return;
  const auto ceiling = [&](double context) {
    const ModelInfo& model = result.model;
    const double bytes = static_cast<double>(model.weight_bytes + 2 * model.state_bytes) +
                         static_cast<double>(model.kv_bytes) * (context + 1);
    return result.roof.bytes_per_second / bytes;
  };
  const double longest = std::max(result.decode.back().mean_context, 1.0);
  double fastest = ceiling(0);
  for (const Decode& decode : result.decode) fastest = std::max(fastest, 1 / decode.seconds.min());
  const Axis x(Axis::Scale::kLinear, 0, longest, kRightBegin, kRightEnd);
  const Axis y(Axis::Scale::kLinear, 0, fastest * 1.05, kBottom, kTop);
  svg.axes(x, y, "context, tokens", "tokens a second", "Decode");

  const auto curve = [&](const auto& rate) {
    constexpr int kPieces = 60;
    std::vector<Point> points;
    for (int i = 0; i <= kPieces; ++i) {
      const double context = longest * i / kPieces;
      const double value = rate(context);
      if (value > 0 && value <= y.high()) points.push_back({x.place(context), y.place(value)});
    }
    return points;
  };
  svg.polyline(curve(ceiling), "roof");
  // Above the curve, which falls, so that nothing that stands further right meets it.
  svg.text({x.place(longest / 8), y.place(ceiling(longest / 8)) - 10}, "bytes at the measured bandwidth",
           Svg::Anchor::kStart);
  if (result.fit) {
    svg.polyline(
        curve([&](double context) { return 1 / (result.fit->intercept + result.fit->slope * context); }),
        "fitted");
  }
  for (const Decode& decode : result.decode) {
    const double at = x.place(decode.mean_context);
    svg.line({at, y.place(1 / decode.seconds.max())}, {at, y.place(1 / decode.seconds.min())}, "measured");
    svg.dot({at, y.place(1 / decode.seconds.median())}, "measured");
  }
}

}  // namespace

std::string svg_report(const Result& result) {
  const ModelInfo& model = result.model;
  const std::string title =
      fmt::format("{}, {}, {}", model.random ? model.name : printable(model.name), model.type, model.device);
  Svg svg(kWidth, kHeight, title);
  svg.text({kLeftBegin, 24}, title, Svg::Anchor::kStart, "ink title");
  draw_roofline(svg, result);
  draw_decode(svg, result);
  return std::move(svg).finish();
}

}  // namespace lattice::bench
