// Every CPU kernel by itself, in the shapes of the released models.
//
//   bench_kernels [--benchmark_filter=REGEX] [--benchmark_format=json] …   as every Google Benchmark program
//   bench_kernels --quick        a few of each kind: whether they run, in less than a minute
//
// Threads are as many as the process may use: `taskset -c 0 bench_kernels` measures one.

#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "bench/environment.h"
#include "measured.h"

namespace {

// The smallest model's matrices without the head, one context, one length.
constexpr const char* kQuick =
    "^(gemv|gemm)/(q8_0|bf16)/0.8b/(gate_up|down)/|^sdpa/8x2/f32/512/|^gdn_(step|chunk)/16/"
    "|^(quantize|swiglu|softmax|sum_of_squares)/1024/|^sample/(greedy|top_k_top_p)";

void add_context() {
  using lattice::bench::roof;
  const lattice::bench::Environment on = lattice::bench::describe_environment();
  benchmark::AddCustomContext("commit", on.commit);
  benchmark::AddCustomContext("build", fmt::format("{}, {}", on.compiler, on.flags));
  benchmark::AddCustomContext("cpu", on.cpu);
  benchmark::AddCustomContext("governor", on.governor);
  benchmark::AddCustomContext(
      "roof", fmt::format("{:.1f} GB/s, {:.1f} GFLOP/s, {} threads", roof().bytes_per_second * 1e-9,
                          roof().flop_per_second * 1e-9, roof().threads));
}

int run(int argc, char** argv) {
  std::vector<std::string> quick;
  std::vector<char*> arguments;
  bool only_names = false;
  for (int i = 0; i < argc; ++i) {
    only_names |= std::strncmp(argv[i], "--benchmark_list_tests", 22) == 0;
    if (std::strcmp(argv[i], "--quick") == 0) {
      quick = {std::string("--benchmark_filter=") + kQuick, "--benchmark_min_time=0.02"};
    } else {
      arguments.push_back(argv[i]);
    }
  }
  for (std::string& argument : quick) arguments.push_back(argument.data());

  lattice::bench::register_products();
  lattice::bench::register_attention();
  lattice::bench::register_delta_rule();
  lattice::bench::register_vectors();
  lattice::bench::register_sampling();
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  if (!only_names) add_context();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "bench_kernels: " << error.what() << "\n";
    return 1;
  }
}
