// 5: a variable at program scope must be constant
#include <metal_stdlib>
using namespace metal;

constexpr uint kRows = 4;
