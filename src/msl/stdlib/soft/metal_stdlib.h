// metal_stdlib for the soft device. The translated file defines LATTICE_MSL_SWIZZLES_n before this.
#pragma once

// clang-format off: each builds on those before it
#include "soft/target_math.h"
#include "vec.h"
#include "integer.h"
#include "matrix.h"
#include "soft/target_simd.h"
#include "simd.h"
#include "soft/target_sync.h"
#include "sync.h"
#include "hints.h"
#include "soft/target_tile.h"
#include "simdgroup_matrix.h"
#include "soft/entry.h"
// clang-format on
