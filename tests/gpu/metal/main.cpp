// Every test plays a Mac of its own and must leave it as a good program does: no violation, no object that is
// still there, no registry entry that was not given back.

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "gpu/metal/stand_in/machine.h"
#include "gpu/metal/stand_in/objc.h"

namespace {

namespace stand_in = lattice::gpu::stand_in;

class Mac : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& /*test*/) override { stand_in::start_machine(); }
  void OnTestEnd(const testing::TestInfo& /*test*/) override {
    stand_in::forget_objects();
    for (const std::string& violation : stand_in::take_violations()) ADD_FAILURE() << violation;
    EXPECT_EQ(stand_in::open_registry_entries(), 0);
  }
};

}  // namespace

int main(int count, char** arguments) {
  testing::InitGoogleTest(&count, arguments);
  testing::UnitTest::GetInstance()->listeners().Append(new Mac);
  const auto cache = std::filesystem::temp_directory_path() / ("lattice-metal-" + std::to_string(getpid()));
  setenv("LATTICE_CACHE_DIR", cache.c_str(), 1);
  const int result = RUN_ALL_TESTS();
  std::filesystem::remove_all(cache);
  return result;
}
