#include "cli/harness.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __APPLE__
#include <util.h>
#else
#include <pty.h>
#endif

#include "model/golden.h"

namespace lattice::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{120};  // of a machine that is busy with other things

[[noreturn]] void throw_errno(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

/// In the child: becomes the program.
[[noreturn]] void execute(const std::vector<std::string>& arguments, const Environment& environment) {
  unsetenv("NO_COLOR");
  unsetenv("LATTICE_MODEL");
  setenv("TERM", "xterm", 1);
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> argv = {const_cast<char*>("lattice")};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(LATTICE_PROGRAM, argv.data());
  _exit(127);
}

/// Both ends of a pipe, which other children do not inherit.
std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) throw_errno("pipe");
  for (const int end : ends) fcntl(end, F_SETFD, FD_CLOEXEC);
  return ends;
}

void close_descriptor(int& descriptor) {
  if (descriptor >= 0) close(descriptor);
  descriptor = -1;
}

int status_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

void end_process(pid_t& process) {
  if (process < 0) return;
  kill(process, SIGKILL);
  waitpid(process, nullptr, 0);
  process = -1;
}

int wait_for(pid_t& process) {
  int status = 0;
  if (waitpid(process, &status, 0) != process) throw_errno("waitpid");
  process = -1;
  return status_of(status);
}

/// Appends what `descriptor` has to `text`; false at its end.
bool drain(int descriptor, std::string& text) {
  std::array<char, 4096> buffer{};
  const ssize_t got = read(descriptor, buffer.data(), buffer.size());
  if (got <= 0) return false;  // a terminal whose program has gone gives EIO
  text.append(buffer.data(), static_cast<std::size_t>(got));
  return true;
}

}  // namespace

std::string Finished::notes() const {
  std::string kept;
  std::istringstream lines(error);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" %, ") == std::string::npos) kept += line + "\n";
  }
  return kept;
}

Running::Running(const std::vector<std::string>& arguments, const Environment& environment) {
  std::signal(SIGPIPE, SIG_IGN);  // a program that ends before it has read its input is no end of the test
  const auto input = make_pipe();
  const auto output = make_pipe();
  const auto error = make_pipe();
  process_ = fork();
  if (process_ < 0) throw_errno("fork");
  if (process_ == 0) {
    dup2(input[0], STDIN_FILENO);
    dup2(output[1], STDOUT_FILENO);
    dup2(error[1], STDERR_FILENO);
    std::signal(SIGPIPE, SIG_DFL);
    execute(arguments, environment);
  }
  close(input[0]);
  close(output[1]);
  close(error[1]);
  input_ = input[1];
  output_ = output[0];
  error_ = error[0];
}

Running::~Running() {
  close_descriptor(input_);
  close_descriptor(output_);
  close_descriptor(error_);
  end_process(process_);
}

std::string Running::read_some() const {
  std::string text;
  drain(output_, text);
  return text;
}

void Running::close_output() {
  close_descriptor(output_);
}
void Running::close_input() {
  close_descriptor(input_);
}
void Running::signal(int number) const {
  kill(process_, number);
}

Finished Running::finish(const std::string& input) {
  Finished finished;
  std::size_t fed = 0;
  const auto deadline = Clock::now() + kPatience;
  if (input_ >= 0) fcntl(input_, F_SETFL, O_NONBLOCK);
  while (output_ >= 0 || error_ >= 0) {
    if (fed == input.size()) close_descriptor(input_);
    std::array<pollfd, 3> waiting = {pollfd{input_, POLLOUT, 0}, pollfd{output_, POLLIN, 0},
                                     pollfd{error_, POLLIN, 0}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0 || poll(waiting.data(), waiting.size(), static_cast<int>(left.count())) == 0)
      throw std::runtime_error("lattice did not end; so far:\n" + finished.out + finished.error);
    if (waiting[0].revents != 0) {
      const ssize_t written = write(input_, input.data() + fed, input.size() - fed);
      fed = written < 0 ? input.size() : fed + static_cast<std::size_t>(written);
    }
    if (waiting[1].revents != 0 && !drain(output_, finished.out)) close_descriptor(output_);
    if (waiting[2].revents != 0 && !drain(error_, finished.error)) close_descriptor(error_);
  }
  finished.status = wait_for(process_);
  return finished;
}

Finished run_lattice(const std::vector<std::string>& arguments, const std::string& input,
                     const Environment& environment) {
  return Running(arguments, environment).finish(input);
}

Terminal::Terminal(const std::vector<std::string>& arguments, const Environment& environment) {
  winsize size{};
  size.ws_row = 40;
  size.ws_col = 100;
  process_ = forkpty(&terminal_, nullptr, nullptr, &size);
  if (process_ < 0) throw_errno("forkpty");
  if (process_ == 0) execute(arguments, environment);
  fcntl(terminal_, F_SETFD, FD_CLOEXEC);
}

Terminal::~Terminal() {
  close_descriptor(terminal_);
  end_process(process_);
}

bool Terminal::read_more(Clock::time_point deadline) {
  pollfd waiting{terminal_, POLLIN, 0};
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
  if (left.count() <= 0 || poll(&waiting, 1, static_cast<int>(left.count())) == 0)
    throw std::runtime_error("waited in vain; the terminal shows:\n" + seen_);
  return drain(terminal_, seen_);
}

std::string Terminal::expect(const std::string& text) {
  const auto deadline = Clock::now() + kPatience;
  while (true) {
    const std::size_t at = seen_.find(text, found_);
    if (at != std::string::npos) {
      std::string before = seen_.substr(found_, at + text.size() - found_);
      found_ = at + text.size();
      return before;
    }
    if (!read_more(deadline))
      throw std::runtime_error("lattice ended before \"" + text + "\" came; the terminal shows:\n" + seen_);
  }
}

void Terminal::expect_more() {
  const auto deadline = Clock::now() + kPatience;
  while (seen_.size() == found_) {
    if (!read_more(deadline)) throw std::runtime_error("lattice ended; the terminal shows:\n" + seen_);
  }
  found_ = seen_.size();
}

void Terminal::type(const std::string& keys) const {
  if (write(terminal_, keys.data(), keys.size()) != static_cast<ssize_t>(keys.size())) throw_errno("write");
}

Finished Terminal::finish() {
  const auto deadline = Clock::now() + kPatience;
  while (read_more(deadline)) {
  }
  Finished finished;
  finished.status = wait_for(process_);
  finished.out = seen_.substr(found_);
  return finished;
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "lattice_cli_XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw_errno("mkdtemp");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::write(const std::string& name, const std::string& content) const {
  const std::filesystem::path file = path_ / name;
  std::ofstream(file, std::ios::binary) << content;
  return file.string();
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string make_chat_model(const TemporaryFolder& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(golden::shipped_model_path())) {
    std::filesystem::create_symlink(entry.path(), folder.path() / entry.path().filename());
  }
  // No template that we know, so that Qwen3.5's is used, with a warning.
  (void)folder.write("chat_template.jinja", "{{ messages }}");
  return folder.path().string();
}

}  // namespace lattice::test
