// metal_stdlib for CUDA, compiled by NVRTC. The translated file defines LATTICE_MSL_SWIZZLES_n before this.
#pragma once

// clang-format off: each builds on those before it
#include "cuda/target_math.h"
#include "vec.h"
#include "integer.h"
#include "matrix.h"
#include "cuda/target_simd.h"
#include "simd.h"
#include "cuda/target_sync.h"
#include "sync.h"
#include "hints.h"
#include "cuda/target_tile.h"
#include "simdgroup_matrix.h"
#include "cuda/entry.h"
// clang-format on
