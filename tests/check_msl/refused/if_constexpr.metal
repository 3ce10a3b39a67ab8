// 7: constexpr if is a C++17 extension
#include <metal_stdlib>
using namespace metal;

template <uint N>
inline float of_rank(float x) {
  if constexpr (N > 1) return x;
  return 0.0f;
}
template float of_rank<2>(float);
