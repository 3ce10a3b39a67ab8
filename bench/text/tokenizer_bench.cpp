// Tokenisation speed, for tools/bench_tokenizers.py, which measures Hugging Face's beside it.
//
//   bench_tokenizer TOKENIZER TEXT... [--benchmark_…]
//
// TOKENIZER is a tokenizer.json or a .gguf file. Reports bytes of text a second for each TEXT, a file.
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include <benchmark/benchmark.h>

#include "formats/checkpoint.h"
#include "support/mapped_file.h"
#include "text/tokenizer.h"

namespace lattice {
namespace {

std::unique_ptr<Tokenizer> open(const std::filesystem::path& path) {
  if (path.extension() != ".gguf") return Tokenizer::from_json_file(path);
  return Tokenizer::from_gguf(*Checkpoint::open(path));
}

void load(benchmark::State& state, const std::filesystem::path& path) {
  for (auto _ : state) benchmark::DoNotOptimize(open(path));
}

void encode(benchmark::State& state, const Tokenizer& tokenizer, const std::string& text) {
  std::size_t tokens = 0;
  for (auto _ : state) tokens = tokenizer.encode(text).size();
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
  state.counters["tokens"] = static_cast<double>(tokens);
}

void decode(benchmark::State& state, const Tokenizer& tokenizer, const std::string& text) {
  const auto ids = tokenizer.encode(text);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer.decode(ids));
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
}

void run(int argc, char** argv) {
  const std::filesystem::path path = argv[1];
  const std::shared_ptr<const Tokenizer> tokenizer = open(path);
  benchmark::RegisterBenchmark("load", load, path)->Unit(benchmark::kMillisecond);
  for (int i = 2; i < argc; ++i) {
    const MappedFile file(argv[i]);
    const std::string text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    const std::string name = std::filesystem::path(argv[i]).filename().string();
    benchmark::RegisterBenchmark(("encode/" + name).c_str(), [tokenizer, text](benchmark::State& state) {
      encode(state, *tokenizer, text);
    });
    benchmark::RegisterBenchmark(("decode/" + name).c_str(), [tokenizer, text](benchmark::State& state) {
      decode(state, *tokenizer, text);
    });
  }
  benchmark::RunSpecifiedBenchmarks();
}

}  // namespace
}  // namespace lattice

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc < 2) {
    std::cerr << "usage: bench_tokenizer TOKENIZER TEXT... [--benchmark_...]\n";
    return 2;
  }
  try {
    lattice::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "bench_tokenizer: " << error.what() << '\n';
    return 1;
  }
}
