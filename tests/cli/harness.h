#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/types.h>

// The real program, run as a user runs it.

namespace lattice::test {

/// Variables of the program's environment that are other than the test's own.
using Environment = std::vector<std::pair<std::string, std::string>>;

struct Finished {
  int status = -1;  ///< exit status; 128 + the signal that ended it
  std::string out;
  std::string error;

  /// `error` without lines of progress, which come where the machine is slow.
  [[nodiscard]] std::string notes() const;
  /// Standard output as JSON. Throws where it is none.
  [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(out); }
};

/// Runs `lattice` with `arguments` and `input` on its standard input until it ends. Throws after two minutes.
[[nodiscard]] Finished run_lattice(const std::vector<std::string>& arguments, const std::string& input = {},
                                   const Environment& environment = {});

/// `lattice` under way, with its standard output, error and input in pipes.
class Running {
 public:
  explicit Running(const std::vector<std::string>& arguments, const Environment& environment = {});
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  /// What comes next on standard output: empty at its end.
  [[nodiscard]] std::string read_some() const;
  void close_output();
  void close_input();
  void signal(int number) const;
  /// Feeds `input`, reads everything and waits.
  [[nodiscard]] Finished finish(const std::string& input = {});

 private:
  pid_t process_ = -1;
  int input_ = -1;
  int output_ = -1;
  int error_ = -1;
};

/// `lattice` on a terminal of its own, 100 columns wide.
class Terminal {
 public:
  explicit Terminal(const std::vector<std::string>& arguments, const Environment& environment = {});
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// Waits until `text` appears after what earlier calls found, and returns everything up to its end. Throws,
  /// showing what came, after a minute.
  std::string expect(const std::string& text);
  /// Waits until anything more appears, and skips it.
  void expect_more();
  void type(const std::string& keys) const;
  /// Waits for the end of the program. What came since the last expect() is in `out`.
  [[nodiscard]] Finished finish();

 private:
  bool read_more(std::chrono::steady_clock::time_point deadline);

  pid_t process_ = -1;
  int terminal_ = -1;
  std::string seen_;
  std::size_t found_ = 0;  // the end of what expect() found
};

/// A folder that goes when the test does.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Writes a file and returns its path.
  [[nodiscard]] std::string write(const std::string& name, const std::string& content) const;

 private:
  std::filesystem::path path_;
};

[[nodiscard]] std::string read_file(const std::filesystem::path& path);

/// The shipped model with a chat template, in `folder`: it was not trained to talk, so its replies are
/// nonsense, but they are replies.
[[nodiscard]] std::string make_chat_model(const TemporaryFolder& folder);

}  // namespace lattice::test
