// 7: 'is_same_v'
#include <metal_stdlib>
using namespace metal;

template <typename T>
inline bool is_float() {
  return is_same_v<T, float>;
}
template bool is_float<float>();
