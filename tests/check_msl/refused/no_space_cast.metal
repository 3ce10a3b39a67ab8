// 6: the type of a cast needs an address space
#include <metal_stdlib>
using namespace metal;

inline uint bits_of(float x) {
  return *reinterpret_cast<uint*>(&x);
}
