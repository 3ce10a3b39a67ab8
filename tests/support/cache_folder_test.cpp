#include "support/cache_folder.h"

#include <array>
#include <cstdlib>
#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace lattice {
namespace {

/// Sets variables, and puts them back.
class CacheFolderTest : public testing::Test {
 protected:
  static constexpr std::array kNames = {"LATTICE_CACHE_DIR", "XDG_CACHE_HOME", "HOME"};

  void SetUp() override {
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      if (const char* value = std::getenv(kNames[i]); value != nullptr) before_[i] = value;
    }
  }
  void TearDown() override {
    for (std::size_t i = 0; i < kNames.size(); ++i) set(kNames[i], before_[i]);
  }
  static void set(const char* name, const std::optional<std::string>& value) {
    if (value) {
      setenv(name, value->c_str(), 1);
    } else {
      unsetenv(name);
    }
  }
  static std::optional<std::filesystem::path> with(const std::optional<std::string>& own,
                                                   const std::optional<std::string>& xdg,
                                                   const std::optional<std::string>& home) {
    set("LATTICE_CACHE_DIR", own);
    set("XDG_CACHE_HOME", xdg);
    set("HOME", home);
    return cache_folder("cuda");
  }

 private:
  std::array<std::optional<std::string>, kNames.size()> before_;
};

TEST_F(CacheFolderTest, TakesTheMostParticularVariable) {
  EXPECT_EQ(with("/own", "/xdg", "/home/me"), "/own/cuda");
  EXPECT_EQ(with("here", "/xdg", "/home/me"), "here/cuda");
  EXPECT_EQ(with(std::nullopt, "/xdg", "/home/me"), "/xdg/lattice/cuda");
  EXPECT_EQ(with("", "", "/home/me"), "/home/me/.cache/lattice/cuda");
}

TEST_F(CacheFolderTest, IgnoresRelativePathsOfTheUsersDirectories) {
  EXPECT_EQ(with(std::nullopt, "relative", "/home/me"), "/home/me/.cache/lattice/cuda");
  EXPECT_EQ(with(std::nullopt, "relative", "home"), std::nullopt);
  EXPECT_EQ(with(std::nullopt, std::nullopt, std::nullopt), std::nullopt);
}

}  // namespace
}  // namespace lattice
