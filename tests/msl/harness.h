#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "msl/parser.h"
#include "msl/soft/soft_module.h"
#include "support/float16.h"

namespace lattice::msl {

/// A .metal file of tests/data/msl, compiled for the soft device twice: to run, and to check.
class KernelFile {
 public:
  explicit KernelFile(const std::string& name)
      : KernelFile(parse_file(std::string(LATTICE_SOURCE_DIR) + "/tests/data/msl/" + name)) {}
  explicit KernelFile(Module module)
      : module_(std::move(module)),
        fast_(SoftModule::compile(module_, options(false))),
        checked_(SoftModule::compile(module_, options(true))) {}

  /// From a text between quotes.
  static KernelFile of(const std::string& text) {
    return KernelFile(parse_text("test.metal", "#include <metal_stdlib>\nusing namespace metal;\n" + text));
  }

  [[nodiscard]] const Module& module() const { return module_; }
  [[nodiscard]] SoftModule& fast() { return fast_; }
  [[nodiscard]] SoftModule& checked() { return checked_; }

 private:
  static CompileOptions options(bool checked) {
    CompileOptions out;
    out.checked = checked;
    return out;
  }

  Module module_;
  SoftModule fast_;
  SoftModule checked_;
};

/// One launch under construction: `Dispatch(file, "add").buffer(0, a).buffer(1, out).grid({64}, {32})`.
class Dispatch {
 public:
  Dispatch(KernelFile& file, std::string kernel) : file_(file), kernel_(std::move(kernel)) {}

  template <typename T>
  Dispatch& buffer(std::uint32_t index, std::vector<T>& data) {
    BoundBuffer bound;
    bound.index = index;
    bound.name = "buffer " + std::to_string(index);
    bound.data = std::as_writable_bytes(std::span(data));
    bound.element_bytes = sizeof(T);
    buffers_.push_back(bound);
    return *this;
  }
  template <typename T>
  Dispatch& value(std::uint32_t index, const T& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    std::vector<std::byte>& kept = values_[index];
    kept.assign(bytes, bytes + sizeof(T));
    return buffer(index, kept);
  }
  template <typename T>
  Dispatch& constant(std::uint32_t index, const T& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    constants_.push_back({index, std::vector<std::byte>(bytes, bytes + sizeof(T))});
    return *this;
  }
  Dispatch& threadgroup_memory(std::size_t index, std::uint32_t bytes) {
    launch_.threadgroup_bytes[index] = bytes;
    return *this;
  }
  Dispatch& grid(Size3 threads, Size3 threadgroup) {
    launch_.grid = {threads, threadgroup};
    return *this;
  }

  /// Runs as fast as it goes, on two threads.
  void run() {
    file_.fast().specialize(constants_);
    launch_.kernel = &file_.fast().kernel(kernel_);
    for (const BoundBuffer& bound : buffers_) launch_.buffers[bound.index] = bound.data.data();
    ThreadPool pool(2);
    file_.fast().dispatch(launch_, pool);
  }
  /// Runs in checking mode and returns the findings.
  [[nodiscard]] std::vector<Finding> check(int orders = 3) {
    file_.checked().specialize(constants_);
    launch_.kernel = &file_.checked().kernel(kernel_);
    return file_.checked().check(launch_, buffers_, orders);
  }
  /// Runs both ways; expects no finding and the same bits.
  void run_and_check() {
    std::vector<std::vector<std::byte>> before;
    for (const BoundBuffer& bound : buffers_) before.emplace_back(bound.data.begin(), bound.data.end());
    for (const Finding& finding : check()) ADD_FAILURE() << finding.message();
    std::vector<std::vector<std::byte>> checked;
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      checked.emplace_back(buffers_[i].data.begin(), buffers_[i].data.end());
      std::copy(before[i].begin(), before[i].end(), buffers_[i].data.begin());
    }
    run();
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      EXPECT_TRUE(std::equal(checked[i].begin(), checked[i].end(), buffers_[i].data.begin()))
          << buffers_[i].name;
    }
  }

 private:
  KernelFile& file_;
  std::string kernel_;
  Launch launch_;
  std::vector<BoundBuffer> buffers_;
  std::map<std::uint32_t, std::vector<std::byte>> values_;
  std::vector<ConstantValue> constants_;
};

/// Numbers in [−1, 1), the same at every call.
inline std::vector<float> random_floats(std::size_t count, std::uint32_t seed) {
  std::vector<float> out(count);
  for (float& x : out) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<float>(seed >> 8) * 0x1p-23f - 1.0f;
  }
  return out;
}

inline std::vector<std::uint16_t> to_half(std::span<const float> values) {
  std::vector<std::uint16_t> out;
  for (const float x : values) out.push_back(f32_to_f16(x));
  return out;
}

}  // namespace lattice::msl
