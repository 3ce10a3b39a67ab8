// 12: cannot initialize object parameter of type 'const Span' with an expression of type 'device Span const'
#include <metal_stdlib>
using namespace metal;

struct Span {
  uint first;
  uint last;
  uint length_of() const { return last - first; }
};

kernel void lengths(device const Span* spans [[buffer(0)]], device uint* out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  out[i] = spans[i].length_of();
}
