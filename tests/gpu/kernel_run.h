#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/device.h"
#include "gpu/soft/soft_device.h"

namespace lattice::gpu {

/// Fresh numbers at every run; a failure prints the seed.
class Random {
 public:
  Random() : seed_(std::random_device()()), engine_(seed_) {}

  [[nodiscard]] std::uint32_t seed() const { return seed_; }
  std::uint32_t below(std::uint32_t limit) { return engine_() % limit; }
  float uniform(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
  std::vector<float> floats(std::size_t count, float scale = 1.0f) {
    std::vector<float> out(count);
    for (float& x : out) x = uniform(-scale, scale);
    return out;
  }

 private:
  std::uint32_t seed_;
  std::mt19937 engine_;
};

/// The device that tests run kernels on, or the one that checks them. Each is made once.
inline SoftDevice& fast_device() {
  static SoftDevice device(2);
  return device;
}
inline SoftDevice& checking_device() {
  static SoftDevice device(std::filesystem::path(LATTICE_SOURCE_DIR) / "src/gpu/kernels", 2);
  return device;
}

template <typename T>
std::unique_ptr<Buffer> upload(Device& device, const std::vector<T>& values) {
  auto out = device.allocate(values.size() * sizeof(T));
  out->template upload<T>(values);
  return out;
}

inline std::vector<float> download(const Buffer& buffer) {
  std::vector<float> out(buffer.bytes() / sizeof(float));
  buffer.download<float>(out);
  return out;
}

/// Expects |actual − expected| ≤ tolerance · (1 + |expected|) everywhere.
inline void expect_near(std::span<const float> actual, std::span<const double> expected, double tolerance) {
  ASSERT_GE(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << "element " << i;
  }
}

/// Expects that checking mode has found nothing new since `before` findings.
inline void expect_no_finding(const SoftDevice& device, std::size_t before) {
  for (std::size_t i = before; i < device.findings().size(); ++i)
    ADD_FAILURE() << device.findings()[i].message();
}

inline double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}
inline double silu(double x) {
  return x * sigmoid(x);
}

}  // namespace lattice::gpu
