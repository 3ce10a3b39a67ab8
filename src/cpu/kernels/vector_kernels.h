// What the forward pass does to vectors, once for every vector instruction set. Included by one file an
// instruction set, which is compiled with that set's flags; everything is in an anonymous namespace, so that
// no function compiled with those flags can be merged into code that runs without them.
//
// S is the set's description (simd_*.h): Float, a register of kLanes floats, and what is done to it.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/matrix_kernels.h"
#include "cpu/kernels/rows_ahead.h"

namespace lattice::cpu {
namespace {

/// eˣ to about 1 ulp; 0 below −87, and meaningless above 88. Range reduction by ln 2 in two parts and a
/// polynomial of degree 6 on [−ln 2 / 2, ln 2 / 2]; coefficients are the minimax ones of Cephes' expf.
template <typename S>
typename S::Float exp_of(typename S::Float x) {
  using Float = typename S::Float;
  // The x86 minimum and maximum return their second operand if there is a NaN: so a NaN stays one.
  const Float clamped = S::min(S::set1(88.3762f), S::max(S::set1(-87.0f), x));
  const Float n = S::round(S::mul(clamped, S::set1(1.44269504f)));
  Float r = S::fma(n, S::set1(-0.693359375f), clamped);
  r = S::fma(n, S::set1(2.12194440e-4f), r);
  Float p = S::set1(1.9875691500e-4f);
  p = S::fma(p, r, S::set1(1.3981999507e-3f));
  p = S::fma(p, r, S::set1(8.3334519073e-3f));
  p = S::fma(p, r, S::set1(4.1665795894e-2f));
  p = S::fma(p, r, S::set1(1.6666665459e-1f));
  p = S::fma(p, r, S::set1(5.0000001201e-1f));
  p = S::fma(p, S::mul(r, r), S::add(r, S::set1(1.0f)));
  return S::zero_where_below(x, S::set1(-87.0f), S::mul(p, S::power_of_two(n)));
}

template <typename S>
typename S::Float silu_of(typename S::Float x) {
  return S::div(x, S::add(S::set1(1.0f), exp_of<S>(S::sub(S::zero(), x))));
}

template <typename S>
struct VectorKernels {
  using Float = typename S::Float;
  static constexpr std::int64_t kLanes = S::kLanes;

  static void quantize(const float* values, std::int64_t blocks, std::int8_t* quants, float* scales,
                       std::int32_t* totals, std::int32_t* halves) {
    constexpr int kVectors = kBlock / S::kLanes;
    for (std::int64_t block = 0; block < blocks; ++block, values += kBlock, quants += kBlock) {
      Float v[kVectors];
      Float highest = S::zero();
      Float poison = S::zero();  // v · 0 is NaN for what is not finite, and no maximum is sure to keep a NaN
      for (int i = 0; i < kVectors; ++i) {
        v[i] = S::load(values + i * kLanes);
        highest = S::max(highest, S::abs(v[i]));
        poison = S::fma(v[i], S::zero(), poison);
      }
      const float scale = S::largest(highest) / 127.0f + S::sum(poison);
      if (!(scale >= std::numeric_limits<float>::min())) {
        std::memset(quants, 0, kBlock);
        scales[block] = scale != scale ? scale : 0.0f;
        totals[block] = halves[block] = 0;
        continue;
      }
      const Float inverse = S::set1(1.0f / scale);
      typename S::Int half[2] = {S::zero_int(), S::zero_int()};
      for (int i = 0; i < kVectors; ++i) {
        const typename S::Int q = S::to_nearest_int(S::mul(v[i], inverse));
        half[2 * i / kVectors] = S::add_int(half[2 * i / kVectors], q);
        S::store_bytes(quants + i * kLanes, q);
      }
      scales[block] = scale;
      halves[block] = S::sum_int(half[0]);
      totals[block] = halves[block] + S::sum_int(half[1]);
    }
  }

  /// Two chains of sums: a dot product of 128 or 256 numbers is bound by the latency of FMA otherwise.
  static float dot(const float* a, const float* b, std::int64_t n) {
    Float sums[2] = {S::zero(), S::zero()};
    std::int64_t i = 0;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
      sums[0] = S::fma(S::load(a + i), S::load(b + i), sums[0]);
      sums[1] = S::fma(S::load(a + i + kLanes), S::load(b + i + kLanes), sums[1]);
    }
    for (; i < n; i += kLanes) sums[0] = S::fma(S::load(a + i), S::load(b + i), sums[0]);
    return S::sum(S::add(sums[0], sums[1]));
  }

  static void axpy(float a, const float* x, float* y, std::int64_t n) {
    const Float factor = S::set1(a);
    for (std::int64_t i = 0; i < n; i += kLanes)
      S::store(y + i, S::fma(factor, S::load(x + i), S::load(y + i)));
  }

  static void to_f16(const float* in, std::uint16_t* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += kLanes) S::store_f16(out + i, S::load(in + i));
  }
  static void from_f16(const std::uint16_t* in, float* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += kLanes) S::store(out + i, S::load_f16(in + i));
  }

  /// x ← f(x) for any n: the tail goes through a register's worth of its own.
  template <typename F>
  static void map(float* x, std::int64_t n, const F& f) {
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) S::store(x + i, f(S::load(x + i)));
    if (i == n) return;
    float tail[kLanes] = {};
    std::memcpy(tail, x + i, static_cast<std::size_t>(n - i) * sizeof(float));
    S::store(tail, f(S::load(tail)));
    std::memcpy(x + i, tail, static_cast<std::size_t>(n - i) * sizeof(float));
  }

  static void silu(float* x, std::int64_t n) {
    map(x, n, [](Float v) { return silu_of<S>(v); });
  }

  static void convolve(const float* const* rows, const float* weights, std::int64_t stride, std::int64_t taps,
                       float* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += kLanes) {
      Float sum = S::zero();
      for (std::int64_t t = 0; t < taps; ++t)
        sum = S::fma(S::load(weights + t * stride + i), S::load(rows[t] + i), sum);
      S::store(out + i, silu_of<S>(sum));
    }
  }

  static float largest(const float* x, std::int64_t n) {
    if (n < kLanes) {
      float highest = x[0];
      for (std::int64_t i = 1; i < n; ++i) highest = x[i] > highest ? x[i] : highest;
      return highest;
    }
    Float highest = S::load(x + n - kLanes);
    for (std::int64_t i = 0; i + kLanes < n; i += kLanes) highest = S::max(highest, S::load(x + i));
    return S::largest(highest);
  }

  static float exp_sum(float* x, float factor, float shift, std::int64_t n) {
    const Float factors = S::set1(factor);
    const Float shifts = S::set1(-shift);
    const auto exponential = [&](Float v) { return exp_of<S>(S::fma(v, factors, shifts)); };
    const std::int64_t whole = n / kLanes * kLanes;
    Float sums = S::zero();
    map(x, whole, [&](Float v) {
      const Float e = exponential(v);
      sums = S::add(sums, e);
      return e;
    });
    map(x + whole, n - whole, exponential);
    float sum = S::sum(sums);
    for (std::int64_t i = whole; i < n; ++i) sum += x[i];
    return sum;
  }

  static void swiglu_pairs(const float* pairs, float* out, std::int64_t n) {
    const auto activate = [](const float* from) {
      Float gate;
      Float up;
      S::load_pairs(from, &gate, &up);
      return S::mul(silu_of<S>(gate), up);
    };
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) S::store(out + i, activate(pairs + 2 * i));
    if (i == n) return;
    float tail[2 * kLanes] = {};
    std::memcpy(tail, pairs + 2 * i, static_cast<std::size_t>(n - i) * 2 * sizeof(float));
    float result[kLanes];
    S::store(result, activate(tail));
    std::memcpy(out + i, result, static_cast<std::size_t>(n - i) * sizeof(float));
  }

  /// Four rows of the state together, so that their sums across lanes overlap. Beyond a head's end the next
  /// one's are asked for.
  static void delta_step(float* s, const float* k, const float* q, const float* v, float decay, float beta,
                         float* out, std::int64_t n) {
    constexpr int kRows = 4;
    const float kq = dot(k, q, n);
    const Float keep = S::set1(decay);
    for (std::int64_t row = 0; row < n; row += kRows, s += kRows * n) {
      Float predicted[kRows];
      Float read[kRows];
      for (int r = 0; r < kRows; ++r) predicted[r] = read[r] = S::zero();
      for (std::int64_t i = 0; i < n; i += kLanes) {
        ask_for_tile_to_come<S, kRows, Access::kWrite>(s, n, i);
        const Float keys = S::load(k + i);
        const Float queries = S::load(q + i);
        for (int r = 0; r < kRows; ++r) {
          const Float state = S::load(s + r * n + i);
          predicted[r] = S::fma(state, keys, predicted[r]);
          read[r] = S::fma(state, queries, read[r]);
        }
      }
      Float updates[kRows];
      for (int r = 0; r < kRows; ++r) {
        const float u = beta * (v[row + r] - decay * S::sum(predicted[r]));
        out[row + r] = decay * S::sum(read[r]) + u * kq;
        updates[r] = S::set1(u);
      }
      for (std::int64_t i = 0; i < n; i += kLanes) {
        const Float keys = S::load(k + i);
        for (int r = 0; r < kRows; ++r) {
          const Float kept = S::mul(keep, S::load(s + r * n + i));
          S::store(s + r * n + i, S::fma(updates[r], keys, kept));
        }
      }
    }
  }

  static std::uint64_t read_all(const std::byte* from, std::int64_t bytes, std::int64_t ahead) {
    constexpr int kVectors = 8;
    constexpr std::int64_t kLine = 64;
    typename S::Int sums[kVectors];
    for (auto& sum : sums) sum = S::zero_int();
    for (std::int64_t i = 0; i < bytes; i += 512) {
      for (std::int64_t j = 0; ahead != 0 && j < 512; j += kLine)
        __builtin_prefetch(from + i + ahead + j, 0, 2);
      for (std::int64_t j = 0; j < 512; j += 4 * kLanes) {
        auto& sum = sums[j / (4 * kLanes) % kVectors];
        sum = S::add_int(sum, S::load_bytes(from + i + j));
      }
    }
    for (int i = 1; i < kVectors; ++i) sums[0] = S::add_int(sums[0], sums[i]);
    std::uint32_t lanes[kLanes];
    std::memcpy(lanes, &sums[0], sizeof lanes);
    std::uint64_t total = 0;
    for (const std::uint32_t lane : lanes) total += lane;
    return total;
  }
};

/// Fills everything of the table but the matrix products.
template <typename S>
void add_vector_kernels(Kernels& table) noexcept {
  using All = VectorKernels<S>;
  table.quantize = All::quantize;
  table.dot = All::dot;
  table.axpy = All::axpy;
  table.swiglu_pairs = All::swiglu_pairs;
  table.silu = All::silu;
  table.convolve = All::convolve;
  table.largest = All::largest;
  table.exp_sum = All::exp_sum;
  table.matmul = MatrixKernels<S>::matmul;
  table.solve = MatrixKernels<S>::solve;
  table.delta_step = All::delta_step;
  table.to_f16 = All::to_f16;
  table.from_f16 = All::from_f16;
  table.read_all = All::read_all;
}

}  // namespace
}  // namespace lattice::cpu
