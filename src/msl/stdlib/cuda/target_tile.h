// simdgroup_matrix on CUDA: tensor cores, a warp's mma.sync of 16×8×8 with the matrix in its upper eight rows.
//
// A lane l holds elements (l / 4, 2 (l % 4)) and its right neighbour: what mma wants of an accumulator, and of a left operand if k is
// counted 0 2 4 6 1 3 5 7, which a sum does not mind. Of a right operand it wants (2 (l % 4), l / 4) and the one below: a load takes
// those as well, and what is not used of the two the compiler leaves out. Which forms a matrix has is known when its code is compiled,
// once loops are unrolled, so that no flag of these is looked at by the GPU.
#pragma once

#include "cuda/target_simd.h"
#include "tile_layout.h"

#define LATTICE_MSL_PAIRS

namespace lattice_msl::target {

/// Two neighbours, whose address is even.
template <class T, class U> LATTICE_MSL_INLINE metal::vec<T, 2> load_pair(const U* from) {
  struct alignas(2 * sizeof(U)) Pair {
    U first, second;
  };
  const Pair pair = *reinterpret_cast<const Pair*>(from);
  return metal::vec<T, 2>(static_cast<T>(pair.first), static_cast<T>(pair.second));
}

LATTICE_MSL_INLINE unsigned enter_tile(const char*) { return current_lane(); }

/// A lane's share of a matrix.
template <class T>
struct Tile {
  metal::vec<T, 2> elements;
  metal::vec<T, 2> below;      // the right operand's
  bool has_below;       // whether `below` is up to date
  bool as_apple_has_it;  // whether `elements` lie as in tile_layout.h, because thread_elements() was asked for

  /// An accumulator begins like this, and goes on without `below`: so the flags stay what they are from step to step.
  LATTICE_MSL_INLINE void fill(T value) {
    elements = metal::vec<T, 2>(value);
    has_below = as_apple_has_it = false;
  }
  /// Takes f(row, column) for the elements that the lane holds.
  template <class F> LATTICE_MSL_INLINE void load(unsigned, F f) {
    const unsigned row = current_lane() / 4, column = current_lane() % 4 * 2;
    for (unsigned i = 0; i < 2; ++i) {
      elements[i] = f(row, column + i);
      below[i] = f(column + i, row);
    }
    has_below = true;
    as_apple_has_it = false;
  }
  /// The same of a matrix in memory, at an even address with an even stride.
  template <class U> LATTICE_MSL_INLINE void load_pairs(const U* source, unsigned long stride, bool transposed) {
    const unsigned row = current_lane() / 4, column = current_lane() % 4 * 2;
    const metal::vec<T, 2> along = load_pair<T>(source + row * stride + column);
    const metal::vec<T, 2> across(static_cast<T>(source[column * stride + row]), static_cast<T>(source[(column + 1) * stride + row]));
    elements = transposed ? across : along;
    below = transposed ? along : across;
    has_below = true;
    as_apple_has_it = false;
  }
  /// Calls f(row, column, element) for them.
  template <class F> LATTICE_MSL_INLINE void store(unsigned, F f) const {
    const metal::vec<T, 2> own = left();
    for (unsigned i = 0; i < 2; ++i) f(current_lane() / 4, current_lane() % 4 * 2 + i, own[i]);
  }
  LATTICE_MSL_INLINE metal::vec<T, 2>& thread_elements() {
    const unsigned lane = current_lane();
    if (!as_apple_has_it) elements = from_lane(0xffffffffu, elements, tile::row(lane) * 4 + tile::column(lane) / 2);
    has_below = false;
    as_apple_has_it = true;
    return elements;
  }

  LATTICE_MSL_INLINE metal::vec<T, 2> left() const {
    if (!as_apple_has_it) return elements;
    return from_lane(0xffffffffu, elements, tile::owner(current_lane() / 4, current_lane() % 4 * 2));
  }
  LATTICE_MSL_INLINE metal::vec<T, 2> right() const {
    if (has_below) return below;
    const metal::vec<T, 2> own = left();
    const unsigned column = current_lane() / 4, row = current_lane() % 4 * 2;
    const metal::vec<T, 2> upper = from_lane(0xffffffffu, own, row * 4 + column / 2);
    const metal::vec<T, 2> lower = from_lane(0xffffffffu, own, (row + 1) * 4 + column / 2);
    return column % 2 == 0 ? metal::vec<T, 2>(upper[0], lower[0]) : metal::vec<T, 2>(upper[1], lower[1]);
  }
};

struct Sums {
  float upper[2];  // rows 0 to 7
  float lower[2];  // rows 8 to 15
};

#define LATTICE_MSL_MMA_16BIT(name, type)                                                                           \
  LATTICE_MSL_INLINE void name(Sums& d, unsigned a, unsigned b) {                                                   \
    asm("mma.sync.aligned.m16n8k8.row.col.f32." type "." type ".f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};" \
        : "+f"(d.upper[0]), "+f"(d.upper[1]), "+f"(d.lower[0]), "+f"(d.lower[1])                                    \
        : "r"(a), "r"(0u), "r"(b));                                                                                 \
  }
LATTICE_MSL_MMA_16BIT(mma_half, "f16")
LATTICE_MSL_MMA_16BIT(mma_bfloat, "bf16")
#undef LATTICE_MSL_MMA_16BIT

LATTICE_MSL_INLINE void mma_tf32(Sums& d, const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d.upper[0]), "+f"(d.upper[1]), "+f"(d.lower[0]), "+f"(d.lower[1])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// A float as the sum of two that tensor cores take (11 bits each; the last two bits of the second are lost: 2⁻²² of x).
struct Split {
  unsigned high, low;
  LATTICE_MSL_INLINE explicit Split(float x) : high(__float_as_uint(x) & 0xffffe000u) {
    low = __float_as_uint(x - __uint_as_float(high));
  }
};

/// a·b in nearly all of float's precision: the left operand's high parts are the instruction's upper rows and its low parts the lower
/// ones, so that two instructions make all four products. (Ootomo and Yokota, "Recovering single precision accuracy from Tensor
/// Cores", 2022: sums over many steps are not left to the tensor core, which rounds towards zero.)
LATTICE_MSL_INLINE Sums product(const metal::vec<float, 2>& a, const metal::vec<float, 2>& b) {
  const Split a0(a[0]), a1(a[1]), b0(b[0]), b1(b[1]);
  const unsigned left[4] = {a0.high, a0.low, a1.high, a1.low};
  const unsigned high[2] = {b0.high, b1.high}, low[2] = {b0.low, b1.low};
  Sums out = {};
  mma_tf32(out, left, low);
  mma_tf32(out, left, high);
  return out;
}

template <class D, class A, class B, class C>
LATTICE_MSL_INLINE void multiply_accumulate(Tile<D>& d, const Tile<A>& a, const Tile<B>& b, const Tile<C>& c, const char*) {
  const metal::vec<A, 2> left = a.left();
  const metal::vec<B, 2> right = b.right();
  const metal::vec<C, 2> before = c.left();
  float sums[2] = {static_cast<float>(before[0]), static_cast<float>(before[1])};
  if constexpr (metal::is_same_v<A, B> && !metal::is_same_v<A, float>) {
    Sums all = {{sums[0], sums[1]}, {}};
    if constexpr (metal::is_same_v<A, half>) mma_half(all, bit_copy<unsigned>(left), bit_copy<unsigned>(right));
    else mma_bfloat(all, bit_copy<unsigned>(left), bit_copy<unsigned>(right));
    for (unsigned i = 0; i < 2; ++i) sums[i] = all.upper[i];
  } else {
    const Sums all = product(metal::vec<float, 2>(left), metal::vec<float, 2>(right));
    for (unsigned i = 0; i < 2; ++i) sums[i] += all.upper[i] + all.lower[i];
  }
  d.elements = metal::vec<D, 2>(static_cast<D>(sums[0]), static_cast<D>(sums[1]));
  d.has_below = d.as_apple_has_it = false;
}

}  // namespace lattice_msl::target
