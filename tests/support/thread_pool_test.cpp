#include "support/thread_pool.h"

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

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
