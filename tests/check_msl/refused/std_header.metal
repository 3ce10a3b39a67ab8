// 2: 'cmath' file not found
#include <cmath>
#include <metal_stdlib>
