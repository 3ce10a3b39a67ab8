// From the device's ThreadState to a kernel's parameters.
#pragma once

#include "vec.h"

namespace lattice_msl::soft_entry {

using lattice::soft::ThreadState;

/// How one parameter is found: a pointer in a table, or a field of the thread's state.
struct Source {
  enum Kind { kBuffer, kThreadgroupMemory, kScalar, kVector } kind;
  unsigned index = 0;
  unsigned ThreadState::*scalar = nullptr;
  unsigned (ThreadState::*vector)[3] = nullptr;
};

template <class A>
A argument(const ThreadState& state, const Source& source) {
  if constexpr (metal::is_pointer_v<A>) {
    return static_cast<A>((source.kind == Source::kBuffer ? state.buffers : state.threadgroup_memory)[source.index]);
  } else if constexpr (metal::VectorLike<A>) {
    metal::remove_cvref_t<A> out;
    for (int i = 0; i < metal::size_of<A>; ++i) out[i] = (state.*source.vector)[i];
    return out;
  } else {
    return static_cast<A>(source.kind == Source::kVector ? (state.*source.vector)[0] : state.*source.scalar);
  }
}
template <class T> struct stored { using type = T; static constexpr unsigned long bytes = 0; };
template <class T> struct stored<T*> { using type = T*; static constexpr unsigned long bytes = sizeof(T); };
template <class T> struct stored<T&> { using type = T*; static constexpr unsigned long bytes = sizeof(T); };
template <> struct stored<void*> { using type = void*; static constexpr unsigned long bytes = 1; };
template <> struct stored<const void*> { using type = const void*; static constexpr unsigned long bytes = 1; };

template <class A>
decltype(auto) pass(const ThreadState& state, const Source& source) {
  if constexpr (metal::is_same_v<A, metal::remove_reference_t<A>>) return argument<A>(state, source);
  else return static_cast<A>(*argument<typename stored<A>::type>(state, source));
}

template <class... A> struct Call {
  static inline const lattice::soft::ParameterInfo parameters[sizeof...(A) + 1] = {{stored<A>::bytes}..., {0}};
  template <int... I>
  static void run(void (*kernel)(A...), const ThreadState& state, const Source* sources, metal::indices<I...>) {
    kernel(pass<A>(state, sources[I])...);
  }
};
template <class... A>
void run(void (*kernel)(A...), const ThreadState& state, const Source* sources) {
  Call<A...>::run(kernel, state, sources, typename metal::make_indices<sizeof...(A)>::type());
}
template <class... A>
const lattice::soft::ParameterInfo* parameters_of(void (*)(A...)) { return Call<A...>::parameters; }

}  // namespace lattice_msl::soft_entry
