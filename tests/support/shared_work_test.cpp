#include "support/shared_work.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace lattice {
namespace {

TEST(SharedWork, GivesEachItemOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    SharedWork work(threads);
    for (const std::int64_t items : {0, 1, 2, 7, 100, 15'520}) {
      for (const std::int64_t grain : {1, 16}) {
        std::vector<std::atomic<int>> taken(static_cast<std::size_t>(items));
        for (int phase = 0; phase < 20; ++phase) {
          pool.run([&](int thread) {
            work.deal(thread, share_of(items, thread, threads));
            Share piece{};
            while (work.take(thread, grain, piece)) {
              ASSERT_LT(piece.first, piece.last);
              for (std::int64_t i = piece.first; i < piece.last; ++i) ++taken[static_cast<std::size_t>(i)];
            }
          });
        }
        for (const std::atomic<int>& count : taken) EXPECT_EQ(count, 20);
      }
    }
  }
}

TEST(SharedWork, PiecesAreWholeGrains) {
  SharedWork work(1);
  work.deal(0, {5, 105});
  std::int64_t next = 5;
  for (Share piece{}; work.take(0, 16, piece); next = piece.last) {
    EXPECT_EQ(piece.first, next);
    if (piece.last != 105) {
      EXPECT_EQ((piece.last - piece.first) % 16, 0);
    }
  }
  EXPECT_EQ(next, 105);
}

TEST(SharedWork, WhoIsDoneTakesFromWhoIsNot) {
  ThreadPool pool(2);
  SharedWork work(2);
  constexpr std::int64_t kItems = 1000;
  std::vector<int> by(kItems, -1);
  std::atomic<bool> has_begun = false;
  std::atomic<bool> others_done = false;
  pool.run([&](int thread) {
    work.deal(thread, share_of(kItems, thread, 2));
    while (thread == 0 && !has_begun) std::this_thread::yield();
    Share piece{};
    while (work.take(thread, 1, piece)) {
      has_begun = true;
      for (std::int64_t i = piece.first; i < piece.last; ++i) by[static_cast<std::size_t>(i)] = thread;
      // The slower one stays with its first piece until the other finds nothing more.
      while (thread == 1 && !others_done) std::this_thread::yield();
    }
    if (thread == 0) others_done = true;
  });
  EXPECT_EQ(by.front(), 0);
  EXPECT_EQ(by[500], 1);
  EXPECT_EQ(by[700], 0);
}

}  // namespace
}  // namespace lattice
