#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/cpu_backend.h"
#include "cpu/quantised_model.h"

// Sanitizers have an operator new of their own, which knows what was allocated how.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LATTICE_COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LATTICE_COUNTS_ALLOCATIONS 0
#endif
#endif
#ifndef LATTICE_COUNTS_ALLOCATIONS
#define LATTICE_COUNTS_ALLOCATIONS 1
#endif

#if LATTICE_COUNTS_ALLOCATIONS
namespace {

std::atomic<std::int64_t> allocations{0};

void* counted(std::size_t size, std::size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Every allocation of this program is counted.
void* operator new(std::size_t size) {
  return counted(size == 0 ? 1 : size, alignof(std::max_align_t));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size == 0 ? 1 : size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
#endif

namespace lattice::cpu {
namespace {

#if LATTICE_COUNTS_ALLOCATIONS
TEST(DecodeStep, AllocatesNothing) {
  constexpr std::int32_t kPrompt[] = {5, 17, 3, 99, 250, 1, 8};
  for (const DType format : {DType::kQ8_0, DType::kBF16}) {
    const QuantisedModel model({.type = format});
    CpuOptions options;
    options.threads = 2;
    const auto backend = make_cpu_backend(model.config(), model.weights(), options);
    const auto state = backend->new_state(200);
    std::vector<float> logits(static_cast<std::size_t>(model.config().vocab_size));
    backend->forward(*state, kPrompt, Backend::Logits::kLast, logits);
    const std::int64_t before = allocations;
    for (std::int32_t token = 0; token < 150; ++token)  // past where attention is split in two
      backend->forward(*state, {&token, 1}, Backend::Logits::kLast, logits);
    EXPECT_EQ(allocations - before, 0);
    const std::unique_ptr<int> one = std::make_unique<int>(1);
    EXPECT_EQ(allocations - before, 1) << "allocations are not counted";
  }
}
#endif

/// Prefill and decode give the same bits for any number of threads, on every instruction set.
TEST(Threads, DoNotShowInTheResult) {
  const QuantisedModel model({.type = DType::kQ8_0});
  std::vector<std::int32_t> prompt;
  for (std::int32_t i = 0; i < 150; ++i) prompt.push_back(i * 37 % 1000);
  const auto vocab = static_cast<std::size_t>(model.config().vocab_size);
  for (const Isa isa : available_isas()) {
    if (isa == Isa::kScalar) continue;  // slow, and what it shares with the others is what is tested
    std::vector<float> first;
    for (const int threads : {1, 2, 3, 5}) {
      CpuOptions options;
      options.isa = isa;
      options.threads = threads;
      const auto backend = make_cpu_backend(model.config(), model.weights(), options);
      const auto state = backend->new_state(200);
      std::vector<float> logits(vocab * (prompt.size() + 4));
      backend->forward(*state, prompt, Backend::Logits::kAll, logits);
      for (std::size_t i = 0; i < 4; ++i)
        backend->forward(*state, {prompt.data() + i, 1}, Backend::Logits::kLast,
                         std::span(logits).subspan((prompt.size() + i) * vocab, vocab));
      if (first.empty()) first = logits;
      EXPECT_TRUE(first == logits) << isa_name(isa) << ", " << threads << " threads";
    }
  }
}

/// Rows are shared out by sixteens: in these models some threads get none, behind rows that are no multiple.
TEST(Threads, MayBeMoreThanAMatrixHasGroups) {
  for (const golden::Case& one : golden::cases()) {
    SCOPED_TRACE(one.name);
    const golden::LoadedModel model = golden::load_model(one.model);
    const auto vocab = static_cast<std::size_t>(model.config.vocab_size);
    std::vector<std::int32_t> prompt;
    for (std::size_t i = 0; i < 20; ++i) prompt.push_back(static_cast<std::int32_t>(i * 37 % vocab));
    std::vector<float> first;
    for (const int threads : {1, 12}) {
      CpuOptions options;
      options.threads = threads;
      const auto backend = make_cpu_backend(model.config, model.weights, options);
      const auto state = backend->new_state(40);
      std::vector<float> logits(vocab * (prompt.size() + 1));
      backend->forward(*state, prompt, Backend::Logits::kAll, logits);
      backend->forward(*state, {prompt.data(), 1}, Backend::Logits::kLast,
                       std::span(logits).subspan(prompt.size() * vocab, vocab));
      if (first.empty()) first = logits;
      EXPECT_TRUE(first == logits) << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace lattice::cpu
