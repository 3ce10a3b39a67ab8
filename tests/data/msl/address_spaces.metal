// Overloads, methods and specialisations that differ in the address space alone, and names that MSL leaves free.
#include <metal_stdlib>
using namespace metal;

constant bool forward [[function_constant(0)]];  // a name that C++'s own library has

namespace metal {
template <typename... T>
struct make_void {
  typedef void type;
};
template <typename... T>
using void_t = typename make_void<T...>::type;
}  // namespace metal

template <typename T>
struct pointee {};
template <typename T>
struct pointee<thread T*> {
  using type = T;
};
template <typename T>
struct pointee<device T*> {
  using type = T;
};
template <typename T>
struct pointee<threadgroup T*> {
  using type = T;
};

struct Pair {
  float a;
  float b;

  Pair() thread : a(0), b(0) {}
  Pair() threadgroup : a(0), b{0} {}
  Pair(float x, float y) thread : a(x), b(y) {}
  Pair(float x, float y) threadgroup : a(x), b(y) {}
  Pair(float x, float y) constant : a(x), b(y) {}
  constexpr Pair(float x) constant : a(x), b(x) {}
  float total() const thread { return a + b; }
  float total() const device { return a + b; }
  float total() const constant { return a + b; }
  bool operator<(const thread Pair& other) const thread { return a < other.a; }
  bool operator<(const device Pair& other) const thread { return a < other.a; }
};

float first(const thread float* x);  // declared, and defined for other memory alone
float first(const device float* x) {
  return x[0];
}
float first(const threadgroup float* x) {
  return x[0];
}
float first(constant float* x);
float last(device float* x, uint n) {
  return x[n - 1];
}
float last(constant float* x, uint n) {
  return x[n - 1] + 100.0f;
}

kernel void address_spaces(device float* x [[buffer(0)]], constant float* y [[buffer(1)]], device float* out [[buffer(2)]],
                           uint i [[thread_position_in_grid]]) {
  threadgroup float shared[4];
  const uniform<uint> n = make_uniform(4u);
  shared[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const Pair pair(first(x), first(shared));
  const pointee<device float*>::type sum = pair.total() + last(x, n) + last(y, n);
  out[i] = (forward ? sum : -sum) + (pair < Pair(2.0f, 0.0f) ? 1000.0f : 0.0f);
}
