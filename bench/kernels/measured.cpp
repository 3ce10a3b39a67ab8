#include "measured.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <span>

#include <fmt/format.h>

#include "cpu/isa.h"
#include "support/float16.h"
#include "support/random.h"

namespace lattice::bench {
namespace {

constexpr std::int64_t kUsualCache = std::int64_t{32} << 20;
// Four times the cache: a pseudo-random replacement policy still keeps a little of what is three times as
// large.
constexpr std::int64_t kColdFactor = 4;
constexpr std::uint64_t kStream = 77;

/// 64 random bits, made valid as what they are to stand for.
std::uint64_t word_of(RandomPool::Content content, std::uint64_t index) {
  using Content = RandomPool::Content;
  const std::uint64_t bits = random_bits(kStream, index);
  switch (content) {
    case Content::kQuants: {  // any byte but −128, which no quantiser writes
      std::uint64_t out = bits;
      for (int shift = 0; shift < 64; shift += 8) {
        if (((out >> shift) & 0xff) == 0x80) out ^= std::uint64_t{1} << shift;
      }
      return out;
    }
    case Content::kScales:  // binary16 between 2^-7 and 2^-6
      return (bits & 0x03ff03ff03ff03ffu) | 0x2000200020002000u;
    case Content::kF16:  // ±[2^-5, 2^-4)
      return (bits & 0x83ff83ff83ff83ffu) | 0x2800280028002800u;
    case Content::kBF16:
      return (bits & 0x807f807f807f807fu) | 0x3d003d003d003d00u;
    case Content::kF32:
      return (bits & 0x807fffff807fffffu) | 0x3d0000003d000000u;
  }
  return 0;
}

}  // namespace

ThreadPool& team() {
  static ThreadPool pool(usable_processors());
  return pool;
}

const Roof& roof() {
  static const Roof measured = [] {
    const int threads = usable_processors();
    Roof all = measure_compute_roof(threads);
    all.bytes_per_second = measure_read_bandwidth(threads);
    return all;
  }();
  return measured;
}

std::int64_t last_level_cache_bytes() {
  std::int64_t largest = 0;
  for (int level = 2; level <= 4; ++level) {
    std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", level));
    std::int64_t kibibytes = 0;
    if (file >> kibibytes) largest = std::max(largest, kibibytes << 10);
  }
  return largest == 0 ? kUsualCache : largest;
}

std::int64_t cold_bytes() {
  return kColdFactor * last_level_cache_bytes();
}

void count(benchmark::State& state, const Work& work, double seconds) {
  const double each = seconds / static_cast<double>(state.iterations());
  const double least = std::max(work.bytes / roof().bytes_per_second, work.flop / roof().flop_per_second);
  if (work.bytes > 0) state.counters["GB/s"] = work.bytes / each * 1e-9;
  if (work.flop > 0) state.counters["GFLOP/s"] = work.flop / each * 1e-9;
  state.counters["%roof"] = 100 * least / each;
}

const std::vector<Table>& tables() {
  static const std::vector<Table> all = [] {
    std::vector<Table> out;
    for (const Isa isa : available_isas()) out.push_back({std::string(isa_name(isa)), &cpu::kernels_of(isa)});
    std::ranges::reverse(out);
    return out;
  }();
  return all;
}

RandomPool::RandomPool(Content content, std::int64_t bytes) : memory_(static_cast<std::size_t>(bytes)) {
  team().run([&](int thread) {
    const Share share = share_of(bytes / 8, thread, team().size());
    for (std::int64_t i = share.first; i < share.last; ++i) {
      const std::uint64_t word = word_of(content, static_cast<std::uint64_t>(i));
      std::memcpy(memory_.data() + i * 8, &word, sizeof word);
    }
  });
}

}  // namespace lattice::bench
