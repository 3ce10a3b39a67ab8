// 6: implicit conversion loses integer precision: 'uint' (aka 'unsigned int') to 'const ushort'
#include <metal_stdlib>
using namespace metal;

inline ushort low(uint x) {
  const ushort y = x;
  return y;
}
