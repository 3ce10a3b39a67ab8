#include <algorithm>
#include <chrono>
#include <vector>

#include "cpu/aligned_memory.h"
#include "cpu/cpu_backend.h"
#include "cpu/isa.h"
#include "support/fail.h"
#include "support/thread_pool.h"

namespace lattice {
namespace {

using Clock = std::chrono::steady_clock;

// Several times any last-level cache that a desktop has.
constexpr std::size_t kBytes = std::size_t{512} << 20;
constexpr int kMinPasses = 3;
constexpr std::size_t kLine = 8;  // sums of threads stand a cache line apart

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

struct ReadBandwidth::Impl {
  explicit Impl(int threads) : pool(threads), sums(static_cast<std::size_t>(threads) * kLine) {}

  /// Runs `work` on every thread's share of the buffer.
  template <typename Work>
  void on_shares(Work&& work) {
    constexpr std::int64_t kPage = 4096;
    pool.run([&](int thread) {
      const Share share = share_of(static_cast<std::int64_t>(kBytes) / kPage, thread, pool.size());
      work(thread, memory.data() + share.first * kPage, (share.last - share.first) * kPage);
    });
  }

  ThreadPool pool;  // aligned to cache lines, so it stands first
  const cpu::Kernels& kernels = cpu::kernels_of(cpu::choose_isa(std::nullopt));
  cpu::AlignedMemory memory{kBytes};
  std::vector<std::uint64_t> sums;
};

ReadBandwidth::ReadBandwidth(int threads) {
  if (threads < 1) fail_usage("bandwidth is measured with at least one thread, not {}", threads);
  impl_ = std::make_unique<Impl>(threads);
  // Untouched pages all read the same zeros out of cache; written ones are really there.
  impl_->on_shares([](int, std::byte* from, std::int64_t bytes) { std::fill_n(from, bytes, std::byte{1}); });
}

ReadBandwidth::~ReadBandwidth() = default;

double ReadBandwidth::pass() {
  const auto start = Clock::now();
  impl_->on_shares([this](int thread, const std::byte* from, std::int64_t bytes) {
    impl_->sums[static_cast<std::size_t>(thread) * kLine] +=
        impl_->kernels.read_all(from, bytes, cpu::weights_ahead());
  });
  return static_cast<double>(kBytes) / seconds_since(start);
}

double measure_read_bandwidth(int threads, double seconds) {
  ReadBandwidth bandwidth(threads);
  std::vector<double> rates;
  const auto begin = Clock::now();
  while (static_cast<int>(rates.size()) < kMinPasses || seconds_since(begin) < seconds) {
    rates.push_back(bandwidth.pass());
  }
  std::ranges::nth_element(rates, rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2));
  return rates[rates.size() / 2];
}

}  // namespace lattice
