// Products of small float matrices and the substitution of the delta rule, once for every vector instruction
// set. Included by the files of instruction sets, so everything is in an anonymous namespace; S is the set's
// description (simd_*.h).
//
// Columns of the right operand, a panel, are packed side by side, so that a tile reads them as one stream
// from the first-level cache: rows that are a power of two apart would fall into a few of its sets and push
// each other out. A tile is some rows by the panel's columns, its sums in registers. (Goto and van de Geijn,
// "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34, 2008.)
#pragma once

#include <cstdint>

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/weight_codes.h"

namespace lattice::cpu {
namespace {

template <typename S>
struct MatrixKernels {
  using Float = typename S::Float;
  static constexpr std::int64_t kLanes = S::kLanes;

  template <int kVectors>
  static constexpr std::int64_t kWidth = kVectors* kLanes;
  /// Half of a first-level cache of 32 KiB; the rest is for the rows of the left operand.
  static constexpr std::int64_t kPanelFloats = 4096;

  static std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

  /// panel [count][width] ← rows [first, first + count) of b by `width` of its columns from `column` on, with
  /// zeros where b ends.
  template <int kVectors>
  static void pack(const Operand& b, std::int64_t first, std::int64_t count, std::int64_t column,
                   std::int64_t columns, float* panel) {
    constexpr std::int64_t kTo = kWidth<kVectors>;
    const float* from = b.data + first * b.row + column * b.column;
    const std::int64_t left = columns - column;
    if (b.column == 1 && left >= kTo) {
      for (std::int64_t i = 0; i < count; ++i) {
        for (int v = 0; v < kVectors; ++v)
          S::store(panel + i * kTo + v * kLanes, S::load(from + i * b.row + v * kLanes));
      }
      return;
    }
    for (std::int64_t j = 0; j < kTo; j += S::kSquare) {
      std::int64_t i = 0;
      if (b.row == 1 && j + S::kSquare <= left) {
        for (; i + S::kSquare <= count; i += S::kSquare)
          S::transpose(from + i + j * b.column, b.column, panel + i * kTo + j, kTo);
      }
      for (; i < count; ++i) {
        for (std::int64_t l = j; l < j + S::kSquare; ++l)
          panel[i * kTo + l] = l < left ? from[i * b.row + l * b.column] : 0.0f;
      }
    }
  }

  /// sums += kRows rows of a, whose first number is at `a`, by `count` of its columns, · panel. Three rows
  /// are reached from one pointer: twelve of them leave no register for anything else.
  template <int kRows, int kVectors>
  LATTICE_INLINE static void add_products(const float* a, std::int64_t row, std::int64_t column,
                                          const float* panel, std::int64_t count,
                                          Float (&sums)[kRows][kVectors]) {
    constexpr int kPointers = (kRows + 2) / 3;
    const float* at[kPointers];
    for (int p = 0; p < kPointers; ++p) at[p] = a + 3 * p * row;
    for (const float* end = panel + count * kWidth<kVectors>; panel < end; panel += kWidth<kVectors>) {
      Float columns[kVectors];
      for (int v = 0; v < kVectors; ++v) columns[v] = S::load(panel + v * kLanes);
      for (int r = 0; r < kRows; ++r) {
        const Float factor = S::set1(at[r / 3][r % 3 * row]);
        for (int v = 0; v < kVectors; ++v) sums[r][v] = S::fma(factor, columns[v], sums[r][v]);
      }
      for (int p = 0; p < kPointers; ++p) {
        at[p] += column;
        asm("" : "+r"(at[p]));  // or the compiler makes a pointer of each row's again
      }
    }
  }

  /// Where a tile stands in a product.
  struct Place {
    std::int64_t row;
    std::int64_t column;
    std::int64_t depth;  // of the panel's first row
    std::int64_t count;  // rows of the panel that the tile needs
  };

  template <int kRows, int kVectors>
  static void tile(const MatrixProduct& m, const Place& at, const float* panel) {
    float* c = m.c + at.row * m.c_stride + at.column;
    Float sums[kRows][kVectors];
    if (at.depth > 0) {
      for (int r = 0; r < kRows; ++r) {
        for (int v = 0; v < kVectors; ++v) sums[r][v] = S::load(c + r * m.c_stride + v * kLanes);
      }
    } else if (m.keep != nullptr) {
      for (int r = 0; r < kRows; ++r) {
        const Float keep = S::set1(m.keep[at.row + r]);
        for (int v = 0; v < kVectors; ++v)
          sums[r][v] = S::mul(keep, S::load(c + r * m.c_stride + v * kLanes));
      }
    } else {
      for (int r = 0; r < kRows; ++r) {
        for (int v = 0; v < kVectors; ++v) sums[r][v] = S::zero();
      }
    }
    const float* a = m.a.data + at.row * m.a.row + at.depth * m.a.column;
    add_products<kRows, kVectors>(a, m.a.row, m.a.column, panel, at.count, sums);
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) S::store(c + r * m.c_stride + v * kLanes, sums[r][v]);
    }
  }

  template <int kRows, int kVectors>
  static void tile_of(std::int64_t rows, const MatrixProduct& m, const Place& at, const float* panel) {
    if constexpr (kRows > 1) {
      if (rows < kRows) return tile_of<kRows - 1, kVectors>(rows, m, at, panel);
    }
    tile<kRows, kVectors>(m, at, panel);
  }

  /// Rows of the next tile: what is left over for the last two is halved between them, as small ones are
  /// slow.
  static std::int64_t tile_rows(std::int64_t left, std::int64_t most) {
    return left > most && left < 2 * most ? (left + 1) / 2 : smaller(left, most);
  }

  template <int kVectors>
  static void multiply_panel(const MatrixProduct& m, std::int64_t column, float* panel) {
    constexpr std::int64_t kDepth = kPanelFloats / kWidth<kVectors>;
    const std::int64_t first = m.causal == Causal::kSums ? column * m.group : 0;
    for (std::int64_t depth = 0; depth < m.k; depth += kDepth) {
      const std::int64_t count = smaller(m.k - depth, kDepth);
      pack<kVectors>(m.b, depth, count, column, m.n, panel);
      for (std::int64_t row = first; row < m.m;) {
        const std::int64_t rows = tile_rows(m.m - row, S::kTileRows);
        Place at{row, column, depth, count};
        if (m.causal == Causal::kTerms) at.count = smaller(count, (row + rows - 1) / m.group + 1 - depth);
        tile_of<S::kTileRows, kVectors>(rows, m, at, panel);
        row += rows;
      }
    }
  }

  static void matmul(const MatrixProduct& m) {
    alignas(64) float panel[kPanelFloats];
    std::int64_t column = 0;
    for (; column + kWidth<S::kTileVectors> <= m.n; column += kWidth<S::kTileVectors>)
      multiply_panel<S::kTileVectors>(m, column, panel);
    for (; column < m.n; column += 16) multiply_panel<16 / S::kLanes>(m, column, panel);
  }

  /// kRows rows of `panel` [][width], the first of them row `row` of l: from what is solved before them, and
  /// then from each other.
  template <int kRows, int kVectors>
  static void solve_tile(const float* l, std::int64_t stride, std::int64_t row, float* panel) {
    l += row * stride;
    float* x = panel + row * kWidth<kVectors>;
    Float sums[kRows][kVectors];
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) sums[r][v] = S::load(x + r * kWidth<kVectors> + v * kLanes);
    }
    add_products<kRows, kVectors>(l, stride, 1, panel, row, sums);
    for (int r = 0; r < kRows; ++r) {
      for (int before = 0; before < r; ++before) {
        const Float factor = S::set1(l[r * stride + row + before]);
        for (int v = 0; v < kVectors; ++v) sums[r][v] = S::fma(factor, sums[before][v], sums[r][v]);
      }
      for (int v = 0; v < kVectors; ++v) S::store(x + r * kWidth<kVectors> + v * kLanes, sums[r][v]);
    }
  }

  template <int kRows, int kVectors>
  static void solve_tile_of(std::int64_t rows, const float* l, std::int64_t stride, std::int64_t row,
                            float* panel) {
    if constexpr (kRows > 1) {
      if (rows < kRows) return solve_tile_of<kRows - 1, kVectors>(rows, l, stride, row, panel);
    }
    solve_tile<kRows, kVectors>(l, stride, row, panel);
  }

  template <int kVectors>
  static void solve_panel(const float* l, std::int64_t l_stride, float* x, std::int64_t x_stride,
                          std::int64_t m, float* panel) {
    constexpr int kSolveRows = S::kTileRows < 6 ? S::kTileRows : 6;
    pack<kVectors>({x, x_stride, 1}, 0, m, 0, kWidth<kVectors>, panel);
    for (std::int64_t row = 0; row < m;) {
      const std::int64_t rows = tile_rows(m - row, kSolveRows);
      solve_tile_of<kSolveRows, kVectors>(rows, l, l_stride, row, panel);
      row += rows;
    }
    for (std::int64_t i = 0; i < m; ++i) {
      for (int v = 0; v < kVectors; ++v)
        S::store(x + i * x_stride + v * kLanes, S::load(panel + i * kWidth<kVectors> + v * kLanes));
    }
  }

  static void solve(const float* l, std::int64_t l_stride, float* x, std::int64_t x_stride, std::int64_t m,
                    std::int64_t n) {
    static_assert(kMostSolved * kWidth<S::kTileVectors> <= kPanelFloats);
    alignas(64) float panel[kPanelFloats];
    std::int64_t column = 0;
    for (; column + kWidth<S::kTileVectors> <= n; column += kWidth<S::kTileVectors>)
      solve_panel<S::kTileVectors>(l, l_stride, x + column, x_stride, m, panel);
    for (; column < n; column += 16) solve_panel<16 / S::kLanes>(l, l_stride, x + column, x_stride, m, panel);
  }
};

}  // namespace
}  // namespace lattice::cpu
