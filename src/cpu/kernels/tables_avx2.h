#pragma once

#include "cpu/kernels/kernels.h"

namespace lattice::cpu {

/// Matrix products (gemv_avx2.cpp) and everything else (vector_avx2.cpp) fill their parts of the table.
void add_products_avx2(Kernels& table) noexcept;
void add_vectors_avx2(Kernels& table) noexcept;

}  // namespace lattice::cpu
