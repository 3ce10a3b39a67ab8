// 11: decomposition declarations are a C++17 extension
#include <metal_stdlib>
using namespace metal;

struct Pair {
  float a;
  float b;
};

inline float total(Pair pair) {
  const auto [a, b] = pair;
  return a + b;
}
