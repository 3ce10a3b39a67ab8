// Two tiled products of row-major float matrices, C = A·B: through threadgroup memory, and with simdgroup matrices.
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

struct MatmulArgs {
  int M;
  int N;
  int K;
};

constant constexpr int TILE = 16;

kernel void matmul_tiled(device const float* A [[buffer(0)]], device const float* B [[buffer(1)]],
                         device float* C [[buffer(2)]], constant MatmulArgs& args [[buffer(3)]],
                         uint2 tid [[thread_position_in_threadgroup]], uint2 gid [[threadgroup_position_in_grid]]) {
  threadgroup float As[TILE][TILE], Bs[TILE][TILE];
  const int row = gid.y * TILE + tid.y;
  const int col = gid.x * TILE + tid.x;
  float sum = 0.0;
  for (int k0 = 0; k0 < args.K; k0 += TILE) {
    As[tid.y][tid.x] = row < args.M && k0 + int(tid.x) < args.K ? A[row * args.K + k0 + tid.x] : 0;
    Bs[tid.y][tid.x] = col < args.N && k0 + int(tid.y) < args.K ? B[(k0 + tid.y) * args.N + col] : 0;
    threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
    for (int k = 0; k < TILE; ++k) sum += As[tid.y][k] * Bs[k][tid.x];
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  if (row < args.M && col < args.N) C[row * args.N + col] = sum;
}

// One simdgroup a 16x16 block; sizes are multiples of 16 and 8.
kernel void matmul_simdgroup(device const float* A [[buffer(0)]], device const float* B [[buffer(1)]],
                             device float* C [[buffer(2)]], constant MatmulArgs& args [[buffer(3)]],
                             uint2 gid [[threadgroup_position_in_grid]]) {
  A += gid.y * 16 * args.K;
  B += gid.x * 16;
  C += gid.y * 16 * args.N + gid.x * 16;
  simdgroup_float8x8 acc[2][2];
  for (int i = 0; i < 2; i++) {
    for (int j = 0; j < 2; j++) acc[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.f);
  }
  for (int k = 0; k < args.K; k += 8) {
    simdgroup_float8x8 a[2], b[2];
    for (int i = 0; i < 2; i++) {
      simdgroup_load(a[i], A + i * 8 * args.K + k, args.K);
      simdgroup_load(b[i], B + k * args.N + i * 8, args.N);
    }
    simdgroup_barrier(mem_flags::mem_none);
    for (int i = 0; i < 2; i++) {
      for (int j = 0; j < 2; j++) simdgroup_multiply_accumulate(acc[i][j], a[i], b[j], acc[i][j]);
    }
  }
  for (int i = 0; i < 2; i++) {
    for (int j = 0; j < 2; j++) simdgroup_store(acc[i][j], C + i * 8 * args.N + j * 8, args.N);
  }
}
