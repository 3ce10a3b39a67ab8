#include "cli/interrupt.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "support/fail.h"

namespace lattice::cli {
namespace {

volatile std::sig_atomic_t was_interrupted = 0;
struct sigaction previous_action = {};

// The handler writes a byte to this pipe, and who waits for input waits for that byte as well. To let the
// signal interrupt read() would not do: it may come just before the call, or meet another thread.
std::array<int, 2> wake_pipe = {-1, -1};

void note_interrupt(int /*signal*/) {
  const int error = errno;
  was_interrupted = 1;
  const char byte = 0;
  // A full pipe wakes as well as one byte more would.
  [[maybe_unused]] const ssize_t written = ::write(wake_pipe[1], &byte, 1);
  errno = error;
}

void open_wake_pipe() {
  if (::pipe(wake_pipe.data()) != 0) fail("no pipe could be opened for Ctrl-C: too many open files");
  for (const int end : wake_pipe) {
    ::fcntl(end, F_SETFL, O_NONBLOCK);
    ::fcntl(end, F_SETFD, FD_CLOEXEC);
  }
}

}  // namespace

InterruptGuard::InterruptGuard() {
  open_wake_pipe();
  clear();
  struct sigaction action = {};
  action.sa_handler = note_interrupt;
  sigemptyset(&action.sa_mask);
  // No SA_RESTART: what else waits is to end, too.
  sigaction(SIGINT, &action, &previous_action);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &previous_action, nullptr);
  for (int& end : wake_pipe) ::close(std::exchange(end, -1));
}

bool InterruptGuard::interrupted() noexcept {
  return was_interrupted != 0;
}

void InterruptGuard::clear() noexcept {
  std::array<char, 64> bytes{};
  while (::read(wake_pipe[0], bytes.data(), bytes.size()) > 0) {
  }
  was_interrupted = 0;
}

bool InterruptGuard::wait_for_input(int file) {
  while (!interrupted()) {
    std::array<pollfd, 2> files = {pollfd{file, POLLIN, 0}, pollfd{wake_pipe[0], POLLIN, 0}};
    if (::poll(files.data(), files.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return true;  // then read() says what is the matter
    }
    if (files[0].revents != 0 && !interrupted()) return true;
  }
  return false;
}

void die_of_interrupt() {
  std::signal(SIGINT, SIG_DFL);
  std::raise(SIGINT);
  std::abort();  // not reached: nothing blocks SIGINT
}

}  // namespace lattice::cli
