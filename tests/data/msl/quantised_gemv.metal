// Matrix times vector over quantised rows: ggml-like blocks by a templated body, and an affine layout of 32-bit words
// with scales and biases apart.
#include <metal_stdlib>
using namespace metal;

#define QK 32
#define N_SIMDWIDTH 32

typedef struct {
  half d;
  int8_t qs[QK];
} block_q8;

typedef struct {
  half d;
  uint8_t qs[QK / 2];
} block_q4;

inline float block_dot(device const block_q8* b, device const float* y) {
  float sum = 0.f;
  for (int i = 0; i < QK; ++i) sum += b->qs[i] * y[i];
  return sum * (float)b->d;
}

inline float block_dot(device const block_q4* b, device const float* y) {
  const float d = b->d;
  float2 acc = 0.f;
  for (int i = 0; i < QK / 2; ++i) {
    acc[0] += ((b->qs[i] & 0x0F) - 8) * y[i];
    acc[1] += ((b->qs[i] >> 4) - 8) * y[i + QK / 2];
  }
  return d * (acc[0] + acc[1]);
}

struct GemvArgs {
  int32_t ne00;
  int32_t ne01;
};

template <typename block_t, int nr, int nsg>
void mul_vec_impl(constant GemvArgs& args, device const char* src0, device const char* src1, device char* dst,
                  uint3 tgpig, ushort tiisg, ushort sgitg) {
  const int nb = args.ne00 / QK;
  const int first_row = (tgpig.x * nsg + sgitg) * nr;
  device const float* y = (device const float*)src1;
  float sumf[nr] = {0.f};
  for (int row = 0; row < nr; ++row) {
    if (first_row + row >= args.ne01) break;
    device const block_t* x = (device const block_t*)src0 + (first_row + row) * nb;
    for (int ib = tiisg; ib < nb; ib += N_SIMDWIDTH) sumf[row] += block_dot(x + ib, y + ib * QK);
  }
  device float* dst_f32 = (device float*)dst + first_row;
  for (int row = 0; row < nr && first_row + row < args.ne01; ++row) {
    const float tot = simd_sum(sumf[row]);
    if (tiisg == 0) {
      dst_f32[row] = tot;
    }
  }
}

template <typename block_t, int nr, int nsg>
kernel void kernel_mul_vec(constant GemvArgs& args, device const char* src0, device const char* src1, device char* dst,
                           uint3 tgpig[[threadgroup_position_in_grid]], ushort tiisg[[thread_index_in_simdgroup]],
                           ushort sgitg[[simdgroup_index_in_threadgroup]]) {
  mul_vec_impl<block_t, nr, nsg>(args, src0, src1, dst, tgpig, tiisg, sgitg);
}

typedef decltype(kernel_mul_vec<block_q8, 4, 2>) mul_vec_t;
template [[host_name("kernel_mul_vec_q8")]] kernel mul_vec_t kernel_mul_vec<block_q8, 4, 2>;
template [[host_name("kernel_mul_vec_q4")]] kernel mul_vec_t kernel_mul_vec<block_q4, 4, 2>;

// One row a simdgroup; `bits` quants from the low end of each word, `group_size` columns a scale and a bias.
template <typename T, const int group_size, const int bits>
[[kernel]] void affine_qmv(const device uint32_t* w [[buffer(0)]], const device T* scales [[buffer(1)]],
                           const device T* biases [[buffer(2)]], const device T* x [[buffer(3)]],
                           device T* y [[buffer(4)]], const constant int& in_vec_size [[buffer(5)]],
                           uint3 tid [[threadgroup_position_in_grid]], uint simd_gid [[simdgroup_index_in_threadgroup]],
                           uint simd_lid [[thread_index_in_simdgroup]]) {
  constexpr int pack_factor = 32 / bits;
  constexpr uint32_t mask = (1 << bits) - 1;
  const int row = tid.x * 2 + simd_gid;
  const device uint32_t* ws = w + row * (in_vec_size / pack_factor);
  float result = 0;
  for (int k = simd_lid; k < in_vec_size / pack_factor; k += 32) {
    const int group = (row * in_vec_size + k * pack_factor) / group_size;
    const uint32_t word = ws[k];
    float accum = 0, sum = 0;
    for (int i = 0; i < pack_factor; ++i) {
      const float xi = static_cast<float>(x[k * pack_factor + i]);
      accum += xi * ((word >> (bits * i)) & mask);
      sum += xi;
    }
    result += static_cast<float>(scales[group]) * accum + sum * static_cast<float>(biases[group]);
  }
  result = simd_sum(result);
  if (simd_lid == 0) y[row] = static_cast<T>(result);
}

#define instantiate_qmv(type, group, bits)                                    \
  template [[host_name("affine_qmv_" #type "_gs_" #group "_b_" #bits)]] [[kernel]] void \
  affine_qmv<type, group, bits>(const device uint32_t* w [[buffer(0)]], const device type* scales [[buffer(1)]], \
                                const device type* biases [[buffer(2)]], const device type* x [[buffer(3)]], \
                                device type* y [[buffer(4)]], const constant int& in_vec_size [[buffer(5)]], \
                                uint3 tid [[threadgroup_position_in_grid]], \
                                uint simd_gid [[simdgroup_index_in_threadgroup]], \
                                uint simd_lid [[thread_index_in_simdgroup]]);
instantiate_qmv(float, 32, 4)
instantiate_qmv(half, 32, 8)
