// From a CUDA launch to a kernel's parameters.
#pragma once

#include "vec.h"

/// A kernel's threadgroups have at most so many threads; or they have LATTICE_THREADS, and the compiler gives each so few registers that
/// LATTICE_RESIDENT of them find room on a core.
#ifdef LATTICE_RESIDENT
#define LATTICE_MSL_BOUNDS(threads) __launch_bounds__(LATTICE_THREADS, LATTICE_RESIDENT)
#else
#define LATTICE_MSL_BOUNDS(threads) __launch_bounds__(threads)
#endif

namespace lattice_msl::cuda_entry {

struct Pointer {
  void* at;
  template <class A> LATTICE_MSL_INLINE A as() const {
    if constexpr (metal::is_pointer_v<A>) return static_cast<A>(at);
    else return static_cast<A>(*static_cast<metal::remove_reference_t<A>*>(at));
  }
};

/// What the I-th parameter of the function pointer F points or refers to.
template <unsigned I, class F> struct ValueOf;
template <class R, class A, class... Rest> struct ValueOf<0, R (*)(A, Rest...)> {
  using Type = metal::remove_cvref_t<A>;
};
template <unsigned I, class R, class A, class... Rest> struct ValueOf<I, R (*)(A, Rest...)> : ValueOf<I - 1, R (*)(Rest...)> {};
template <unsigned I, class F> using Value = typename ValueOf<I, F>::Type;

/// A parameter that came by value, for call(): kernels take it by reference, and do not write it.
template <class T> LATTICE_MSL_INLINE Pointer value_at(const T& value) { return {const_cast<T*>(&value)}; }

struct Scalar {
  unsigned value;
  template <class A> LATTICE_MSL_INLINE A as() const { return static_cast<A>(value); }
};
struct Vector {
  unsigned x, y, z;
  template <class A> LATTICE_MSL_INLINE A as() const {
    const unsigned all[3] = {x, y, z};
    if constexpr (metal::VectorLike<A>) {
      metal::remove_cvref_t<A> out;
      for (int i = 0; i < metal::size_of<A>; ++i) out[i] = all[i];
      return out;
    } else {
      return static_cast<A>(x);
    }
  }
};

template <class... A, class... S>
LATTICE_MSL_INLINE void call(void (*kernel)(A...), S... sources) { kernel(sources.template as<A>()...); }

/// The thread's place, by the names of msl/builtin.cpp. `threads` is the grid's size in threads.
struct Place {
  Vector threads;
  LATTICE_MSL_INLINE Vector position_in_grid() const {
    return {blockIdx.x * blockDim.x + threadIdx.x, blockIdx.y * blockDim.y + threadIdx.y, blockIdx.z * blockDim.z + threadIdx.z};
  }
  LATTICE_MSL_INLINE bool inside() const {
    const Vector at = position_in_grid();
    return at.x < threads.x && at.y < threads.y && at.z < threads.z;
  }
  LATTICE_MSL_INLINE Vector position_in_threadgroup() const { return {threadIdx.x, threadIdx.y, threadIdx.z}; }
  LATTICE_MSL_INLINE Vector threadgroup_position() const { return {blockIdx.x, blockIdx.y, blockIdx.z}; }
  LATTICE_MSL_INLINE Vector threads_per_grid() const { return threads; }
  LATTICE_MSL_INLINE Vector grid_origin() const { return {0, 0, 0}; }
  LATTICE_MSL_INLINE Vector dispatch_threads_per_threadgroup() const { return {blockDim.x, blockDim.y, blockDim.z}; }
  LATTICE_MSL_INLINE static unsigned left(unsigned total, unsigned block, unsigned size) {
    const unsigned rest = total - block * size;
    return rest < size ? rest : size;
  }
  LATTICE_MSL_INLINE Vector threads_per_threadgroup() const {
    return {left(threads.x, blockIdx.x, blockDim.x), left(threads.y, blockIdx.y, blockDim.y), left(threads.z, blockIdx.z, blockDim.z)};
  }
  LATTICE_MSL_INLINE Vector threadgroups_per_grid() const { return {gridDim.x, gridDim.y, gridDim.z}; }
  LATTICE_MSL_INLINE Scalar index_in_threadgroup() const {
    return {(threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x};
  }
  LATTICE_MSL_INLINE Scalar lane() const { return {index_in_threadgroup().value % 32}; }
  LATTICE_MSL_INLINE Scalar simdgroup() const { return {index_in_threadgroup().value / 32}; }
  LATTICE_MSL_INLINE Scalar simdgroups() const { return {(blockDim.x * blockDim.y * blockDim.z + 31) / 32}; }
  LATTICE_MSL_INLINE Scalar dispatch_simdgroups() const { return simdgroups(); }
  LATTICE_MSL_INLINE Scalar simd_width() const { return {32}; }
  LATTICE_MSL_INLINE Scalar quad_lane() const { return {index_in_threadgroup().value % 4}; }
  LATTICE_MSL_INLINE Scalar quadgroup() const { return {index_in_threadgroup().value / 4}; }
  LATTICE_MSL_INLINE Scalar quadgroups() const { return {(blockDim.x * blockDim.y * blockDim.z + 3) / 4}; }
  LATTICE_MSL_INLINE Scalar dispatch_quadgroups() const { return quadgroups(); }
};

}  // namespace lattice_msl::cuda_entry
