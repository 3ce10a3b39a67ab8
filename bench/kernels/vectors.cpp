// What stands between the matrices, on one thread and in cache, where a decode step finds it: sum of squares
// (the norm's reduction), activation to int8, SiLU and SwiGLU, softmax's exponentials and their sum. Names:
// KERNEL/LENGTH/TABLE.

#include <functional>

#include <fmt/format.h>

#include "cpu/workspace.h"
#include "measured.h"

namespace lattice::bench {
namespace {

// Hidden sizes and the longest MLP of the family.
constexpr std::int64_t kLengths[] = {1024, 2048, 2560, 4096, 5120, 17408};

struct Buffers {
  explicit Buffers(std::int64_t n) : in(static_cast<std::size_t>(2 * n)), out(in.size()) {
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i * 37 % 64) / 32 - 1;
  }
  std::vector<float> in;
  std::vector<float> out;
};

using Kernel = std::function<void(const cpu::Kernels&, Buffers&, std::int64_t)>;

void add(std::string_view kernel, std::int64_t n, const Table& table, const Kernel& call) {
  const std::string name = fmt::format("{}/{}/{}", kernel, n, table.name);
  benchmark::RegisterBenchmark(name.c_str(), [=, &table](benchmark::State& state) {
    Buffers buffers(n);
    for (auto _ : state) {
      call(*table.kernels, buffers, n);
      benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * n);
  });
}

void add_quantize(std::int64_t n, const Table& table) {
  const std::string name = fmt::format("quantize/{}/{}", n, table.name);
  benchmark::RegisterBenchmark(name.c_str(), [n, &table](benchmark::State& state) {
    cpu::PreparedVectors x(1, n, *table.kernels);
    float* values = x.values(0, n);
    for (std::int64_t i = 0; i < n; ++i) values[i] = static_cast<float>(i * 37 % 64) / 32 - 1;
    for (auto _ : state) {
      x.quantise(0, n);
      benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * n);
  });
}

}  // namespace

void register_vectors() {
  for (const Table& table : tables()) {
    for (const std::int64_t n : kLengths) {
      add("sum_of_squares", n, table, [](const cpu::Kernels& k, Buffers& b, std::int64_t count) {
        benchmark::DoNotOptimize(k.dot(b.in.data(), b.in.data(), count));
      });
      // In place, over and over: zeros stay what they are, where other values would sink into denormal ones.
      add("silu", n, table,
          [](const cpu::Kernels& k, Buffers& b, std::int64_t count) { k.silu(b.out.data(), count); });
      add("swiglu", n, table, [](const cpu::Kernels& k, Buffers& b, std::int64_t count) {
        k.swiglu_pairs(b.in.data(), b.out.data(), count);
      });
      // Likewise in place: e^−x has a fixed point, 0.567.
      add("softmax", n, table, [](const cpu::Kernels& k, Buffers& b, std::int64_t count) {
        benchmark::DoNotOptimize(k.exp_sum(b.out.data(), -1.0f, 0.0f, count));
      });
      add_quantize(n, table);
    }
  }
}

}  // namespace lattice::bench
