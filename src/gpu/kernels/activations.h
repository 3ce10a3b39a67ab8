#pragma once

#include <metal_stdlib>

using namespace metal;

namespace lattice_gpu {

inline float sigmoid(float x) {
  return 1.0f / (1.0f + precise::exp(-x));
}
inline float silu(float x) {
  return x * sigmoid(x);
}
/// log(1 + eˣ); x itself above 20, as torch has it.
inline float softplus(float x) {
  return x > 20.0f ? x : precise::log(1.0f + precise::exp(x));
}

}  // namespace lattice_gpu
