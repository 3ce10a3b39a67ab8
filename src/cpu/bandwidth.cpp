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

constexpr std::size_t kBytes = std::size_t{512}
                               << 20;  // several times any last-level cache that a desktop has
constexpr int kMinPasses = 3;

}  // namespace

double measure_read_bandwidth(int threads, double seconds) {
  if (threads < 1) fail_usage("bandwidth is measured with at least one thread, not {}", threads);
  const cpu::Kernels& kernels = cpu::kernels_of(cpu::choose_isa(std::nullopt));
  ThreadPool pool(threads);
  const cpu::AlignedMemory memory(kBytes);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads) * 8);

  const auto pass = [&](auto&& work) {
    pool.run([&](int thread) {
      const Share share = share_of(static_cast<std::int64_t>(kBytes / 4096), thread, threads);
      work(memory.data() + share.first * 4096, (share.last - share.first) * 4096,
           sums[static_cast<std::size_t>(thread) * 8]);
    });
  };
  // Untouched pages all read the same zeros out of cache; written ones are really there.
  pass([](std::byte* from, std::int64_t bytes, std::uint64_t&) {
    std::fill(from, from + bytes, std::byte{1});
  });

  using Clock = std::chrono::steady_clock;
  std::vector<double> rates;
  const auto begin = Clock::now();
  const auto elapsed = [](Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  };
  while (static_cast<int>(rates.size()) < kMinPasses || elapsed(begin) < seconds) {
    const auto start = Clock::now();
    pass([&](std::byte* from, std::int64_t bytes, std::uint64_t& sum) {
      sum += kernels.read_all(from, bytes);
    });
    rates.push_back(static_cast<double>(kBytes) / elapsed(start));
  }
  std::ranges::nth_element(rates, rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2));
  return rates[rates.size() / 2];
}

}  // namespace lattice
