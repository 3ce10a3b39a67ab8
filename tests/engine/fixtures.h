#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "formats/fixtures.h"
#include "lattice/error.hpp"
#include "model/golden.h"

namespace lattice {

inline constexpr auto kInput = Error::Kind::kInput;
inline constexpr auto kUsage = Error::Kind::kUsage;

/// A checkpoint directory that can be spoilt: links to the files of `original`, all but those that the test
/// writes itself.
class CheckpointCopy {
 public:
  explicit CheckpointCopy(const std::filesystem::path& original) {
    for (const auto& entry : std::filesystem::directory_iterator(original)) {
      std::filesystem::create_symlink(std::filesystem::absolute(entry.path()),
                                      path() / entry.path().filename());
    }
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return directory_.path(); }

  void write(std::string_view file, std::string_view contents) const {
    std::filesystem::remove(path() / file);
    write_file(path() / file, contents);
  }
  /// Changes config.json.
  void configure(const std::function<void(nlohmann::json&)>& change) const {
    nlohmann::json config = golden::read_json(path() / "config.json");
    change(config);
    write("config.json", config.dump());
  }

 private:
  TemporaryDirectory directory_;
};

/// Expects `action` to throw an Error of `kind` whose message has every one of `parts`.
inline void expect_error(Error::Kind kind, std::initializer_list<std::string_view> parts,
                         const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    for (const std::string_view part : parts) {
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos)
          << "no \"" << part << "\" in: " << error.what();
    }
  }
}

}  // namespace lattice
