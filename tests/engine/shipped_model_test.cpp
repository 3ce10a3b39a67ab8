#include <cstdlib>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "engine/fixtures.h"
#include "lattice/model.hpp"

namespace lattice {
namespace {

/// LATTICE_MODEL, for the length of a test.
class Variable {
 public:
  explicit Variable(const std::optional<std::string>& value) {
    if (const char* before = std::getenv(kName)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  static constexpr const char* kName = "LATTICE_MODEL";
  static void set(const std::optional<std::string>& value) {
    if (value) {
      ::setenv(kName, value->c_str(), 1);
    } else {
      ::unsetenv(kName);
    }
  }
  std::optional<std::string> before_;
};

TEST(ShippedModelPath, FindsTheModelBesideTheProgramOrInTheSources) {
  const Variable unset(std::nullopt);
  EXPECT_TRUE(std::filesystem::equivalent(shipped_model_path(), golden::shipped_model_path()))
      << shipped_model_path();
}

TEST(ShippedModelPath, TheEnvironmentGoesFirst) {
  const std::string other = golden::find_case("base_gguf").model.string();
  const Variable set(other);
  EXPECT_EQ(shipped_model_path(), other);
}

TEST(ShippedModelPath, AnEmptyVariableSaysNothing) {
  const Variable set("");
  EXPECT_TRUE(std::filesystem::equivalent(shipped_model_path(), golden::shipped_model_path()));
}

TEST(ShippedModelPath, RefusesAVariableThatNamesNothing) {
  const Variable set("/no/such/\x1bmodel");
  expect_error(Error::Kind::kInput, {"LATTICE_MODEL", R"("/no/such/\x1bmodel")"},
               [] { (void)shipped_model_path(); });
}

}  // namespace
}  // namespace lattice
