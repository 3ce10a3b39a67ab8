#include "formats/npy.h"

#include <cstring>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "lattice/error.hpp"

namespace lattice {
namespace {

namespace fs = std::filesystem;

class Npy : public testing::Test {
 protected:
  fs::path path_ =
      fs::path(testing::TempDir()) /
      (std::string("lattice_") + testing::UnitTest::GetInstance()->current_test_info()->name() + ".npy");
  void TearDown() override { fs::remove(path_); }

  /// A version 1.0 file with this header and so many bytes of data.
  void write(const std::string& header, std::size_t data_bytes) {
    std::ofstream out(path_, std::ios::binary);
    out << "\x93NUMPY" << '\x01' << '\0' << static_cast<char>(header.size() & 0xff)
        << static_cast<char>(header.size() >> 8) << header << std::string(data_bytes, 'x');
  }
  void expect_refused(const std::string& header, std::size_t data_bytes, const std::string& what) {
    write(header, data_bytes);
    try {
      (void)read_npy(path_);
      ADD_FAILURE() << header << " was read";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
    }
  }
};

TEST_F(Npy, ReadsWhatItWrites) {
  const std::vector<float> values = {1, -2, 3.5f, 4, 5, 6};
  const std::vector<std::uint64_t> shape = {2, 3};
  write_npy(path_, "<f4", shape, std::as_bytes(std::span(values)));
  EXPECT_EQ((fs::file_size(path_) - values.size() * 4) % 64, 0u);
  const NpyArray read = read_npy(path_);
  EXPECT_EQ(read.descr, "<f4");
  EXPECT_EQ(read.shape, shape);
  ASSERT_EQ(read.data.size(), 24u);
  EXPECT_EQ(std::memcmp(read.data.data(), values.data(), 24), 0);
}

// As NumPy 1.24 writes np.arange(3, dtype=np.int16).
TEST_F(Npy, ReadsNumPysHeader) {
  write("{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }          \n", 6);
  EXPECT_EQ(read_npy(path_).shape, std::vector<std::uint64_t>{3});
  write("{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n", 8);
  EXPECT_TRUE(read_npy(path_).shape.empty());
}

TEST_F(Npy, RefusesWhatLies) {
  const std::string f4 = "{'descr': '<f4', 'fortran_order': False, 'shape': ";
  expect_refused(f4 + "(4,)}", 15, "shape");
  expect_refused(f4 + "(4,)}", 17, "shape");
  expect_refused(f4 + "(4294967296, 4294967296, 4)}", 16, "shape");
  expect_refused(f4 + "(-1,)}", 4, "shape");
  expect_refused(f4 + "(1,", 4, "shape");
  expect_refused(f4 + "(1,)", 4, "not well formed");
  expect_refused("{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}", 4, "fortran_order");
  expect_refused("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 8, "descr");
  expect_refused("{'descr': '<f4', 'shape': (1,)}", 4, "lacks");
  expect_refused("{'descr': '<f4", 4, "does not end");
  expect_refused("{'extra': 'x'}", 4, "unexpected key");
  std::ofstream(path_, std::ios::binary) << "\x93NUMPY\x01";
  EXPECT_THROW((void)read_npy(path_), Error);
  std::ofstream(path_, std::ios::binary) << "GGUF and more than that";
  EXPECT_THROW((void)read_npy(path_), Error);
}

}  // namespace
}  // namespace lattice
