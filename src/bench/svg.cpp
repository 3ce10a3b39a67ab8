#include "bench/svg.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace lattice::bench {
namespace {

constexpr double kTicks = 5;  // about as many as are wanted on a linear axis

// Two palettes, chosen by the page that shows the picture; the background is the page's own.
constexpr std::string_view kStyle = R"(<style>
  text { font: 13px system-ui, sans-serif; stroke: none; }
  .title { font-size: 15px; font-weight: 600; }
  line, polyline { fill: none; }
  .ink { fill: #1f2328; } .frame { stroke: #59636e; stroke-width: 1; } .grid { stroke: #d1d9e0; stroke-width: 1; }
  .roof { stroke: #59636e; fill: #59636e; stroke-width: 1.6; stroke-dasharray: 6 4; }
  .measured { stroke: #0969da; fill: #0969da; stroke-width: 1.6; }
  .fitted { stroke: #0969da; stroke-width: 1.2; opacity: 0.6; }
  .second { stroke: #bc4c00; fill: #bc4c00; stroke-width: 1.6; }
  @media (prefers-color-scheme: dark) {
    .ink { fill: #e6edf3; } .frame { stroke: #9198a1; } .grid { stroke: #3d444d; }
    .roof { stroke: #9198a1; fill: #9198a1; } .measured, .fitted { stroke: #58a6ff; } .measured { fill: #58a6ff; }
    .second { stroke: #f0883e; fill: #f0883e; }
  }
</style>
)";

/// The largest of 1, 2 and 5 times a power of ten that is not above `value`, and the smallest not below it. A
/// hair's breadth counts as equal.
double round_down(double value) {
  const double power = std::pow(10.0, std::floor(std::log10(value) + 1e-9));
  for (const double factor : {5.0, 2.0}) {
    if (factor * power <= value * (1 + 1e-9)) return factor * power;
  }
  return power;
}
double round_up(double value) {
  const double below = round_down(value);
  return below >= value * (1 - 1e-9) ? below : round_down(below * 2.5 * (1 + 1e-6));
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string tick_label(double value) {
  if (value != 0 && std::fabs(value) < 1e-3) return fmt::format("{:g}", value);
  return fmt::format("{}", std::round(value * 1e4) / 1e4);
}

}  // namespace

Axis::Axis(Scale scale, double low, double high, double begin, double end)
    : scale_(scale), low_(low), high_(high), begin_(begin), end_(end) {
  if (scale == Scale::kLog) {
    low_ = round_down(low);
    high_ = round_up(std::max(high, 2 * low));
    ticks_ = {low_};
    while (ticks_.back() < high_ * (1 - 1e-6)) ticks_.push_back(round_up(ticks_.back() * 1.5));
    return;
  }
  if (high_ <= low_) high_ = low_ + 1;
  const double step = round_up((high_ - low_) / kTicks);
  low_ = std::floor(low_ / step + 1e-9) * step;
  high_ = std::ceil(high_ / step - 1e-9) * step;
  const auto steps = std::lround((high_ - low_) / step);
  for (long i = 0; i <= steps; ++i) ticks_.push_back(low_ + static_cast<double>(i) * step);
}

double Axis::place(double value) const noexcept {
  const double at = scale_ == Scale::kLog ? std::log(value / low_) / std::log(high_ / low_)
                                          : (value - low_) / (high_ - low_);
  return begin_ + at * (end_ - begin_);
}

Svg::Svg(double width, double height, std::string_view title) {
  out_ = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:g}\" height=\"{1:g}\" viewBox=\"0 0 {0:g} "
      "{1:g}\" "
      "role=\"img\">\n<title>{2}</title>\n{3}",
      width, height, escaped(title), kStyle);
}

void Svg::line(Point from, Point to, std::string_view style) {
  out_ += fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", style,
                      from.x, from.y, to.x, to.y);
}

void Svg::polyline(const std::vector<Point>& points, std::string_view style) {
  out_ += fmt::format("<polyline class=\"{}\" style=\"fill: none\" points=\"", style);
  for (const Point& point : points) out_ += fmt::format("{:.1f},{:.1f} ", point.x, point.y);
  out_ += "\"/>\n";
}

void Svg::dot(Point center, std::string_view style) {
  out_ +=
      fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>\n", style, center.x, center.y);
}

void Svg::text(Point at, std::string_view text, Anchor anchor, std::string_view style) {
  const std::string_view name = anchor == Anchor::kStart ? "start"
                                : anchor == Anchor::kEnd ? "end"
                                                         : "middle";
  out_ += fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", style,
                      at.x, at.y, name, escaped(text));
}

void Svg::upright(Point at, std::string_view text) {
  out_ += fmt::format(
      "<text class=\"ink\" x=\"{0:.1f}\" y=\"{1:.1f}\" text-anchor=\"middle\" transform=\"rotate(-90 {0:.1f} "
      "{1:.1f})\">{2}"
      "</text>\n",
      at.x, at.y, escaped(text));
}

void Svg::axes(const Axis& x, const Axis& y, std::string_view x_title, std::string_view y_title,
               std::string_view title) {
  const double left = x.place(x.low());
  const double right = x.place(x.high());
  const double bottom = y.place(y.low());
  const double top = y.place(y.high());
  for (const double tick : x.ticks()) {
    line({x.place(tick), bottom}, {x.place(tick), top}, "grid");
    text({x.place(tick), bottom + 18}, tick_label(tick), Anchor::kMiddle);
  }
  for (const double tick : y.ticks()) {
    line({left, y.place(tick)}, {right, y.place(tick)}, "grid");
    text({left - 8, y.place(tick) + 4}, tick_label(tick), Anchor::kEnd);
  }
  line({left, bottom}, {right, bottom}, "frame");
  line({left, bottom}, {left, top}, "frame");
  text({(left + right) / 2, bottom + 40}, x_title, Anchor::kMiddle);
  upright({left - 50, (top + bottom) / 2}, y_title);
  text({left, top - 16}, title, Anchor::kStart, "ink title");
}

std::string Svg::finish() && {
  out_ += "</svg>\n";
  return std::move(out_);
}

}  // namespace lattice::bench
