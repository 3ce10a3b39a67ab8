#include "support/thread_pool.h"

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

#include <gtest/gtest.h>

namespace lattice {
namespace {

TEST(ThreadPool, RunsEveryThreadOnceAPhase) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.size(), threads);
    std::vector<int> calls(static_cast<std::size_t>(threads));
    for (int phase = 0; phase < 2000; ++phase) {
      pool.run([&](int thread) { ++calls[static_cast<std::size_t>(thread)]; });
    }
    for (const int count : calls) EXPECT_EQ(count, 2000);
  }
}

TEST(ThreadPool, APhaseSeesWhatTheOneBeforeItWrote) {
  ThreadPool pool(4);
  std::vector<int> values(4);
  int expected = 0;
  for (int phase = 0; phase < 500; ++phase) {
    pool.run([&](int thread) { values[static_cast<std::size_t>(thread)] = phase; });
    std::vector<int> sums(4);
    pool.run([&](int thread) {
      sums[static_cast<std::size_t>(thread)] = std::accumulate(values.begin(), values.end(), 0);
    });
    expected = 4 * phase;
    for (const int sum : sums) ASSERT_EQ(sum, expected);
  }
}

TEST(ThreadPool, WakesThreadsThatHaveParked) {
  ThreadPool pool(3);
  std::atomic<int> calls = 0;
  for (int phase = 0; phase < 3; ++phase) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // longer than anyone spins
    pool.run([&](int thread) {
      if (thread == 2)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));  // so that the caller parks too
      ++calls;
    });
  }
  EXPECT_EQ(calls, 9);
}

TEST(ThreadPool, RethrowsAndGoesOn) {
  ThreadPool pool(3);
  for (const int thrower : {0, 2}) {
    EXPECT_THROW(pool.run([&](int thread) {
      if (thread == thrower) throw std::runtime_error("failed");
    }),
                 std::runtime_error);
  }
  std::atomic<int> calls = 0;
  pool.run([&](int) { ++calls; });
  EXPECT_EQ(calls, 3);
}

#ifdef __linux__
cpu_set_t own_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  return set;
}

TEST(ThreadPool, PinsItsThreadsAndNotTheCaller) {
  const cpu_set_t usable = own_processors();
  for (const bool pin : {false, true}) {
    ThreadPool pool(3, pin);
    std::vector<cpu_set_t> found(3);
    pool.run([&](int thread) { found[static_cast<std::size_t>(thread)] = own_processors(); });
    EXPECT_TRUE(CPU_EQUAL(&found[0], &usable));
    for (const int thread : {1, 2}) {
      const cpu_set_t& own = found[static_cast<std::size_t>(thread)];
      EXPECT_EQ(CPU_COUNT(&own), pin ? 1 : CPU_COUNT(&usable));
    }
    if (pin && CPU_COUNT(&usable) > 1) {
      EXPECT_FALSE(CPU_EQUAL(&found[1], &found[2]));
    }
  }
  EXPECT_EQ(usable_processors(), CPU_COUNT(&usable));
}
#endif

TEST(ShareOf, CoversEverythingOnceAndEvenly) {
  for (const std::int64_t total : {0, 1, 5, 16, 1001}) {
    for (const int threads : {1, 2, 3, 7, 64}) {
      std::int64_t next = 0;
      for (int thread = 0; thread < threads; ++thread) {
        const Share share = share_of(total, thread, threads);
        EXPECT_EQ(share.first, next);
        EXPECT_LE(share.last - share.first, total / threads + 1);
        next = share.last;
      }
      EXPECT_EQ(next, total);
    }
  }
}

}  // namespace
}  // namespace lattice
