#include "gpu/cuda/cubin_cache.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lattice::gpu::cuda {
namespace {

namespace fs = std::filesystem;

class CubinCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("lattice-cubins-" + std::to_string(getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] CubinCache cache() const { return CubinCache(folder_ / "deeper"); }
  /// The one file that is there.
  [[nodiscard]] fs::path file() const {
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(folder_ / "deeper")) all.push_back(entry.path());
    EXPECT_EQ(all.size(), 1u);
    return all.front();
  }
  static std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }

  fs::path folder_;
};

TEST_F(CubinCacheTest, FindsWhatWasStored) {
  const std::string value("cubin\0with\0zeros", 16);
  EXPECT_EQ(cache().find("a"), std::nullopt);
  cache().store("a", value);
  EXPECT_EQ(cache().find("a"), value);
  EXPECT_EQ(cache().find("b"), std::nullopt);
  cache().store("a", "newer");
  EXPECT_EQ(cache().find("a"), "newer");
  EXPECT_EQ(file().extension(), ".cubin");  // nothing unfinished is left
}

TEST_F(CubinCacheTest, TakesNoDamagedFile) {
  cache().store("a", "a value of some length");
  const fs::path path = file();
  const std::string whole = read(path);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x20);
    write(path, damaged);
    EXPECT_EQ(cache().find("a"), std::nullopt) << "byte " << i;
    write(path, whole.substr(0, i));
    EXPECT_EQ(cache().find("a"), std::nullopt) << "cut at " << i;
  }
  write(path, whole + "more");
  EXPECT_EQ(cache().find("a"), std::nullopt);
  write(path, whole);
  EXPECT_EQ(cache().find("a"), "a value of some length");
}

/// What is found under another key's name is not taken for it.
TEST_F(CubinCacheTest, TakesNoOtherKeysFile) {
  cache().store("a", "of a");
  const fs::path path = file();
  const std::string of_a = read(path);
  fs::remove(path);
  cache().store("b", "of b");
  write(file(), of_a);
  EXPECT_EQ(cache().find("b"), std::nullopt);
}

TEST_F(CubinCacheTest, DoesWithoutAFolder) {
  const CubinCache none{std::nullopt};
  none.store("a", "value");
  EXPECT_EQ(none.find("a"), std::nullopt);

  write(folder_, "a file where the folder should be");
  cache().store("a", "value");
  EXPECT_EQ(cache().find("a"), std::nullopt);
  const CubinCache nowhere{fs::path("/proc/no/such/place")};
  nowhere.store("a", "value");
  EXPECT_EQ(nowhere.find("a"), std::nullopt);
}

TEST_F(CubinCacheTest, IsNeverSeenHalfWritten) {
  const std::string values[] = {std::string(200'000, 'x'), std::string(100'000, 'y')};
  cache().store("a", values[0]);
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) cache().store("a", values[t]);
    });
  }
  for (int i = 0; i < 100; ++i) {
    const auto found = cache().find("a");
    EXPECT_TRUE(found == values[0] || found == values[1]);
  }
  for (std::thread& writer : writers) writer.join();
  (void)file();
}

/// Runs `body` in another process; returns what waits for it and says whether it returned true.
template <typename Body>
std::function<bool()> in_process(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  return [child] {
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  };
}

/// Two programs that start at once, find nothing and compile the same kernels.
TEST_F(CubinCacheTest, IsSharedByProcesses) {
  constexpr int kKernels = 40;
  const auto compiled = [](int i) { return std::string(20'000 + 1000 * static_cast<std::size_t>(i), 'x'); };
  const auto program = [&] {
    bool right = true;
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < kKernels; ++i) {
        const std::string key = "kernel " + std::to_string(i);
        const auto found = cache().find(key);
        right = right && (!found || *found == compiled(i));
        if (!found || round == 1) cache().store(key, compiled(i));
      }
    }
    return right;
  };
  const auto first = in_process(program);
  const auto second = in_process(program);
  EXPECT_TRUE(first());
  EXPECT_TRUE(second());
  for (int i = 0; i < kKernels; ++i) EXPECT_EQ(cache().find("kernel " + std::to_string(i)), compiled(i));
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder_ / "deeper")) {
    EXPECT_EQ(entry.path().extension(), ".cubin");
    ++files;
  }
  EXPECT_EQ(files, kKernels);
}

/// A disk that takes the beginning of a file and no more: here a limit on the size of files.
TEST_F(CubinCacheTest, DoesWithoutSpace) {
  cache().store("small", "fits");
  const auto program = [&] {
    constexpr rlimit kLimit{1000, 1000};
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &kLimit) != 0) return false;
    cache().store("large", std::string(100'000, 'x'));
    cache().store("small", std::string(100'000, 'y'));
    return !cache().find("large") && cache().find("small") == "fits";
  };
  EXPECT_TRUE(in_process(program)());
  (void)file();  // what was begun is gone
  EXPECT_EQ(cache().find("small"), "fits");
}

}  // namespace
}  // namespace lattice::gpu::cuda
