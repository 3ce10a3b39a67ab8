#include "cli/interrupt.h"

#include <csignal>
#include <cstdlib>

namespace lattice::cli {
namespace {

volatile std::sig_atomic_t was_interrupted = 0;
struct sigaction previous_action = {};

void note_interrupt(int /*signal*/) {
  was_interrupted = 1;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  clear();
  struct sigaction action = {};
  action.sa_handler = note_interrupt;
  sigemptyset(&action.sa_mask);
  // No SA_RESTART: waiting for input is to end, too.
  sigaction(SIGINT, &action, &previous_action);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &previous_action, nullptr);
}

bool InterruptGuard::interrupted() noexcept {
  return was_interrupted != 0;
}

void InterruptGuard::clear() noexcept {
  was_interrupted = 0;
}

void die_of_interrupt() {
  std::signal(SIGINT, SIG_DFL);
  std::raise(SIGINT);
  std::abort();  // not reached: nothing blocks SIGINT
}

}  // namespace lattice::cli
