// 7: pack fold expression is a C++17 extension
#include <metal_stdlib>
using namespace metal;

template <typename... A>
inline float total(A... values) {
  return (values + ...);
}
template float total<float, float>(float, float);
