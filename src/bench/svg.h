#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lattice::bench {

struct Point {
  double x = 0;
  double y = 0;
};

/// One axis: from values to a place on the page, linear or logarithmic.
class Axis {
 public:
  enum class Scale { kLinear, kLog };

  /// Covers at least [low, high], widened to round numbers; for kLog both are above zero. `begin` and `end`
  /// are where they come to stand on the page.
  Axis(Scale scale, double low, double high, double begin, double end);

  [[nodiscard]] double place(double value) const noexcept;
  [[nodiscard]] const std::vector<double>& ticks() const noexcept { return ticks_; }
  [[nodiscard]] double low() const noexcept { return low_; }
  [[nodiscard]] double high() const noexcept { return high_; }

 private:
  Scale scale_;
  double low_;
  double high_;
  double begin_;
  double end_;
  std::vector<double> ticks_;
};

/// Writes SVG. Colours are named by what they are for (`ink`, `grid`, `roof`, `measured`, `fitted`), and a
/// style sheet gives each one for light pages and one for dark ones.
class Svg {
 public:
  Svg(double width, double height, std::string_view title);

  void line(Point from, Point to, std::string_view style);
  void polyline(const std::vector<Point>& points, std::string_view style);
  void dot(Point center, std::string_view style);
  enum class Anchor { kStart, kMiddle, kEnd };
  void text(Point at, std::string_view text, Anchor anchor, std::string_view style = "ink");
  /// Text that is turned a quarter to the left about its middle.
  void upright(Point at, std::string_view text);
  /// Both axes' frame, grid and labels, with what they show.
  void axes(const Axis& x, const Axis& y, std::string_view x_title, std::string_view y_title,
            std::string_view title);

  /// The whole document.
  [[nodiscard]] std::string finish() &&;

 private:
  std::string out_;
};

}  // namespace lattice::bench
