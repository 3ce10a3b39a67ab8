#include "cli/interrupt.h"

#include <array>
#include <csignal>
#include <thread>

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

namespace lattice::cli {
namespace {

class Interrupt : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::pipe(pipe_.data()), 0); }
  void TearDown() override {
    for (const int end : pipe_) ::close(end);
  }

  InterruptGuard guard_;
  std::array<int, 2> pipe_{};
};

TEST_F(Interrupt, EndsAWaitThatBeginsAfterIt) {
  std::raise(SIGINT);
  EXPECT_FALSE(InterruptGuard::wait_for_input(pipe_[0]));
  InterruptGuard::clear();
  ASSERT_EQ(::write(pipe_[1], "x", 1), 1);
  EXPECT_TRUE(InterruptGuard::wait_for_input(pipe_[0]));
}

TEST_F(Interrupt, EndsAWaitWhicheverThreadItMeets) {
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  std::thread other([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::raise(SIGINT);  // meets this thread: raise() signals its caller
  });
  // So that no system call of this thread is interrupted.
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);
  EXPECT_FALSE(InterruptGuard::wait_for_input(pipe_[0]));
  pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
  other.join();
}

TEST_F(Interrupt, TheEndOfInputIsSomethingToRead) {
  ::close(pipe_[1]);
  EXPECT_TRUE(InterruptGuard::wait_for_input(pipe_[0]));
  pipe_[1] = ::dup(pipe_[0]);
}

}  // namespace
}  // namespace lattice::cli
