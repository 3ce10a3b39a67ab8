// The Metal device as a Mac would run it, on the stand-in.

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/metal/metal_commands.h"
#include "gpu/metal/metal_device.h"
#include "gpu/metal/pipeline_compiler.h"
#include "gpu/metal/stand_in/machine.h"
#include "gpu/metal/stand_in/objc.h"
#include "lattice/error.hpp"
#include "support/cache_folder.h"
#include "support/mapped_file.h"

namespace lattice::gpu {
namespace {

namespace fs = std::filesystem;
using stand_in::machine;
using stand_in::Progress;

template <typename Function>
void expect_error(const std::vector<std::string>& parts, const Function& function) {
  try {
    function();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

/// A list of n dispatches, each of which copies 16 bytes from one buffer to the next: n + 1 buffers.
struct Chain {
  Chain(Device& device, std::size_t n, bool with_barriers = true) : commands(device.new_commands()) {
    for (std::size_t i = 0; i <= n; ++i) buffers.push_back(device.allocate(16));
    for (std::size_t i = 0; i < n; ++i) {
      if (with_barriers) commands->barrier();
      commands->dispatch(device.kernel("copy", {}), {*buffers[i], *buffers[i + 1], lattice_gpu::CopyArgs{1}},
                         {1}, 32);
    }
  }
  void put(float value) { buffers.front()->upload<float>(std::vector<float>(4, value)); }
  [[nodiscard]] float end() const { return download(*buffers.back()).front(); }

  std::vector<std::unique_ptr<Buffer>> buffers;
  std::unique_ptr<Commands> commands;
};

TEST(MetalDevice, IsDescribed) {
  EXPECT_EQ(metal_absence(), "");
  EXPECT_EQ(metal_description(), "Apple M2 stand-in (10 cores, 8.6 GB for the GPU)");
  const auto device = make_metal_device();
  EXPECT_EQ(device->description(), "metal (Apple M2 stand-in)");
  EXPECT_EQ(device->cores(), 10u);
  machine().gpu_cores = 0;  // the registry does not tell
  EXPECT_EQ(make_metal_device()->cores(), 7u);
}

TEST(MetalDevice, IsAbsentForAReason) {
  machine().devices.clear();
  EXPECT_EQ(metal_absence(), "there is no Metal device");
  EXPECT_EQ(metal_description(), "");
  expect_error({"metal: there is no Metal device"}, [] { (void)make_metal_device(); });
  machine().devices = {{"Radeon", false}};
  EXPECT_EQ(metal_absence(),
            "the Metal devices are Radeon, and an Apple GPU of the M1's family or later is needed");
}

TEST(MetalDevice, IsTheFirstThatServesOrTheOneThatIsNamed) {
  machine().devices = {{"Radeon", false}, {"Apple M1", true}, {"Apple M9 Max", true}};
  EXPECT_EQ(make_metal_device()->description(), "metal (Apple M1)");
  setenv("LATTICE_METAL_DEVICE", "Max", 1);
  EXPECT_EQ(make_metal_device()->description(), "metal (Apple M9 Max)");
  setenv("LATTICE_METAL_DEVICE", "M7", 1);
  EXPECT_EQ(metal_absence(),
            "LATTICE_METAL_DEVICE asks for \"M7\", and the Metal devices are Radeon, Apple M1, Apple M9 Max");
  unsetenv("LATTICE_METAL_DEVICE");
}

TEST(MetalDevice, BuffersBeginZeroedAndKeepToTheirSize) {
  const auto device = make_metal_device();
  const auto buffer = device->allocate(8);
  EXPECT_EQ(download(*buffer), (std::vector<float>{0, 0}));
  const std::vector<float> two{1, 2};
  buffer->upload<float>(two);
  EXPECT_EQ(download(*buffer), two);
  expect_error({"4", "8"}, [&] { buffer->upload<float>(std::span(two), 1); });
  std::vector<float> out(2);
  expect_error({"past"}, [&] { buffer->download<float>(std::span(out), 1); });
  buffer->clear();
  EXPECT_EQ(download(*buffer), (std::vector<float>{0, 0}));
  expect_error({"one byte"}, [&] { (void)device->allocate(0); });
}

TEST(MetalDevice, SaysThatMemoryIsFull) {
  machine().most_memory = 100'000'000;
  const auto device = make_metal_device();
  const auto first = device->allocate(60'000'000);
  expect_error({"0.05 GB was asked for", "0.06 GB are in use", "at most 0.10"},
               [&] { (void)device->allocate(50'000'000); });
}

TEST(MetalDevice, WrapsMappedFilesWithoutACopy) {
  const auto device = make_metal_device();
  const fs::path path = fs::temp_directory_path() / ("lattice-wrapped-" + std::to_string(getpid()));
  std::vector<float> numbers(5000);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(numbers.data()), static_cast<std::streamsize>(numbers.size() * 4));
  const MappedFile file(path);
  fs::remove(path);

  const std::size_t before = machine().memory;
  const auto buffer = device->wrap(file.bytes().subspan(1600, 8000));  // from the 400th number on
  ASSERT_NE(buffer, nullptr);
  EXPECT_EQ(machine().memory, before);
  EXPECT_EQ(buffer->bytes(), 8000u);
  EXPECT_EQ(download(*buffer), std::vector<float>(numbers.begin() + 400, numbers.begin() + 2400));
  expect_error({"cannot be written"}, [&] { buffer->upload<float>(std::vector<float>{1}); });
  expect_error({"cannot be written"}, [&] { buffer->clear(); });

  const auto out = device->allocate(16);
  const auto commands = device->new_commands();
  commands->dispatch(device->kernel("copy", {}), {{*buffer, 32}, *out, lattice_gpu::CopyArgs{1}}, {1}, 32);
  device->submit(*commands);
  EXPECT_EQ(download(*out), (std::vector<float>{408, 409, 410, 411}));

  EXPECT_EQ(device->wrap(file.bytes().subspan(1604, 8000)), nullptr);  // kernels load 16 bytes at once
  EXPECT_EQ(device->wrap({}), nullptr);
  machine().most_buffer = 4096;
  EXPECT_EQ(device->wrap(file.bytes()), nullptr);
}

TEST(MetalDevice, KnowsItsKernelsAndConstants) {
  const auto device = make_metal_device();
  EXPECT_EQ(device->kernel("embed_q8_0", {}).name(), "embed_q8_0");
  expect_error({"no kernel", "gemv_q9"}, [&] { (void)device->kernel("gemv_q9", {}); });
  const FunctionConstant unknown[] = {{99, 1}};
  expect_error({"embed_f32", "99"}, [&] { (void)device->kernel("embed_f32", unknown); });
  // On the soft device a constant that is not given is as good as zero. Metal wants them all.
  expect_error({"rms_norm", "cannot be specialized", "needs a value"},
               [&] { (void)device->kernel("rms_norm", {}); });
  const FunctionConstant four[] = {{LATTICE_FC_SIMDGROUPS, 4}}, two[] = {{LATTICE_FC_SIMDGROUPS, 2}};
  EXPECT_EQ(&device->kernel("rms_norm", four), &device->kernel("rms_norm", four));
  EXPECT_NE(&device->kernel("rms_norm", four), &device->kernel("rms_norm", two));
}

TEST(MetalDevice, RefusesWhatDoesNotFitTheKernelOrThePipeline) {
  machine().most_threads = 256;
  const auto device = make_metal_device();
  const Kernel& embed = device->kernel("embed_f32", {});
  const auto step = device->allocate(8), table = device->allocate(64), hidden = device->allocate(16);
  const lattice_gpu::EmbedArgs args{4, 1, 1, 0, 4};
  const auto commands = device->new_commands();
  const auto refused = [&](const std::vector<std::string>& parts, std::vector<Argument> arguments,
                           std::uint32_t threads = 32) {
    expect_error(parts, [&] { commands->dispatch(embed, std::move(arguments), {1}, threads); });
  };
  refused({"embed_f32", "5 buffers", "4"}, {*step, *table, *table, *hidden});
  refused({"embed_f32", "hidden", "constants"}, {*step, *table, *table, 1.0f, args});
  refused({"embed_f32", "quants", "multiple of 16"}, {*step, {*table, 8}, *table, *hidden, args});
  refused({"embed_f32", "at most 256 threads on this device, not 288"},
          {*step, *table, *table, *hidden, args}, 288);
  EXPECT_EQ(commands->dispatches(), 0u);
  machine().simd_width = 16;
  expect_error({"copy", "simdgroups of 16 lanes"}, [&] { (void)device->kernel("copy", {}); });
}

TEST(MetalDevice, KeepsPipelinesOnDisk) {
  const fs::path folder = cache_folder("metal").value();
  fs::remove_all(folder);
  const auto pipelines_compiled = [] {
    const int before = machine().pipelines_compiled;
    const auto device = make_metal_device();
    (void)device->kernel("copy", {});
    const FunctionConstant two[] = {{LATTICE_FC_SIMDGROUPS, 2}};
    (void)device->kernel("rms_norm", two);
    return machine().pipelines_compiled - before;
  };
  EXPECT_EQ(pipelines_compiled(), 2);
  EXPECT_EQ(pipelines_compiled(), 0);
  ASSERT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
  const fs::path file = fs::directory_iterator(folder)->path();
  std::ofstream(file) << "damaged";
  EXPECT_EQ(pipelines_compiled(), 2);
  EXPECT_EQ(pipelines_compiled(), 0);
  stand_in::set_macos(16);  // its compiler is another
  EXPECT_EQ(pipelines_compiled(), 2);
  // Nowhere to write: it is compiled every time, and nothing else happens.
  fs::remove_all(folder);
  std::ofstream(folder) << "a file where the folder should be";
  EXPECT_EQ(pipelines_compiled(), 2);
  EXPECT_EQ(pipelines_compiled(), 2);
  fs::remove(folder);
}

class MetalCommands : public testing::TestWithParam<Progress> {
 protected:
  void SetUp() override { machine().progress = GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Progress, MetalCommands,
                         testing::Values(Progress::kLate, Progress::kEager, Progress::kRandom));

TEST_P(MetalCommands, RunInOrderAndSeeWhatWasUploaded) {
  const auto device = make_metal_device();
  Chain chain(*device, 5);
  for (const float value : {3.0f, 4.0f, 5.0f}) {
    chain.put(value);
    device->submit(*chain.commands);
    EXPECT_EQ(chain.end(), value);
  }
  EXPECT_EQ(device->submitted().dispatches, 15);
  EXPECT_EQ(device->submitted().phases, 15);
  EXPECT_EQ(machine().dispatches, 15);
  EXPECT_EQ(machine().barriers, 3 * 4);
}

TEST_P(MetalCommands, HaveNoBarrierWhereNothingDepends) {
  const auto device = make_metal_device();
  const auto from = upload(*device, std::vector<float>{1, 2, 3, 4});
  const auto a = device->allocate(16), b = device->allocate(64);
  const auto commands = device->new_commands();
  const Kernel& copy = device->kernel("copy", {});
  const lattice_gpu::CopyArgs args{1};
  commands->dispatch(copy, {*from, *a, args}, {1}, 32);
  commands->dispatch(copy, {*from, *b, args}, {1}, 32);
  commands->dispatch(copy, {*from, {*b, 32}, args}, {1}, 32);  // apart from the other
  device->submit(*commands);
  EXPECT_EQ(download(*a), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(machine().barriers, 0);
}

TEST_P(MetalCommands, AreQueuedSeveralToABufferAndBoundedInFlight) {
  const auto device = make_metal_device();
  Chain chain(*device, 3);
  chain.put(7);
  constexpr int kSubmissions = 101;
  for (int i = 0; i < kSubmissions; ++i) device->submit(*chain.commands);
  device->wait();
  EXPECT_EQ(chain.end(), 7);
  EXPECT_EQ(machine().dispatches, 3 * kSubmissions);
  EXPECT_LE(machine().most_in_flight, static_cast<int>(metal::Queue::kMostInFlight));
  if (GetParam() == Progress::kLate) {
    // The first at once, as the device had nothing to do; then two a buffer.
    EXPECT_EQ(machine().buffers_committed, 1 + 50);
    EXPECT_EQ(machine().encoders, machine().buffers_committed);
    EXPECT_EQ(machine().most_in_flight, static_cast<int>(metal::Queue::kMostInFlight));
  }
}

/// A mark does not wait for what comes behind it, and what comes behind is not held up by it.
TEST_P(MetalCommands, AreReadAtMarksWhileOthersAreUnderWay) {
  const auto device = make_metal_device();
  const auto from = device->allocate(16 * 16), to = device->allocate(16 * 16);
  std::vector<float> numbers(64);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  from->upload<float>(numbers);
  std::vector<std::unique_ptr<Commands>> steps;
  std::vector<Mark> marks;
  for (std::size_t i = 0; i < 16; ++i) {
    steps.push_back(device->new_commands());
    steps.back()->dispatch(device->kernel("copy", {}),
                           {{*from, i * 16}, {*to, i * 16}, lattice_gpu::CopyArgs{1}}, {1}, 32);
  }
  EXPECT_EQ(device->mark(), Mark{0});
  for (const auto& step : steps) {
    device->submit(*step);
    marks.push_back(device->mark());
  }
  for (const std::size_t i : {std::size_t{2}, std::size_t{3}, std::size_t{9}, std::size_t{15}}) {
    std::vector<float> out(4);
    device->download_at(marks[i], *to, i * 16, std::as_writable_bytes(std::span(out)));
    EXPECT_EQ(out.front(), static_cast<float>(4 * i));
    if (GetParam() == Progress::kLate) {
      EXPECT_EQ(machine().dispatches, static_cast<int>(i) + 1);
    }
  }
  EXPECT_EQ(device->mark(), marks.back());
}

TEST_P(MetalCommands, MayBeEmpty) {
  const auto device = make_metal_device();
  const auto commands = device->new_commands();
  commands->barrier();
  device->submit(*commands);
  device->wait();
  EXPECT_EQ(machine().buffers_committed, 0);
}

/// What is under way when its owner goes is waited for: the stand-in sees what is released too early.
TEST_P(MetalCommands, MayStillRunWhenTheirBuffersGo) {
  const auto device = make_metal_device();
  {
    Chain chain(*device, 3);
    device->submit(*chain.commands);
    device->submit(*chain.commands);
    device->submit(*chain.commands);
  }
  const auto second = make_metal_device();
  auto chain = std::make_unique<Chain>(*second, 1);
  second->submit(*chain->commands);
}

TEST_P(MetalCommands, NeedNoResidencySets) {
  stand_in::set_macos(14);
  const auto device = make_metal_device();
  Chain chain(*device, 2);
  chain.put(9);
  device->submit(*chain.commands);
  EXPECT_EQ(chain.end(), 9);
}

TEST_P(MetalCommands, TellTheTimeThatTheDeviceWasBusy) {
  const auto device = make_metal_device();
  Chain chain(*device, 2);
  EXPECT_EQ(device->busy_seconds(), 0);
  device->submit(*chain.commands);
  device->wait();
  const double once = device->busy_seconds();
  EXPECT_GT(once, 0);
  device->submit(*chain.commands);
  device->wait();
  EXPECT_GT(device->busy_seconds(), once);
}

TEST_P(MetalCommands, FailWhileOthersAreStillEncoded) {
  machine().failing_buffer = {0, MTL::CommandBufferErrorInternal};
  const auto device = make_metal_device();
  Chain chain(*device, 2);
  device->submit(*chain.commands);
  const Mark first = device->mark();
  device->submit(*chain.commands);
  std::vector<std::byte> out(16);
  expect_error({"metal: the device failed"},
               [&] { device->download_at(first, *chain.buffers.back(), 0, out); });
}

TEST(MetalDevice, MeasuresItsOwnBandwidth) {
  const auto device = make_metal_device();
  EXPECT_GT(device->measure_copy_bandwidth(), 1e7);
  EXPECT_EQ(machine().memory, 0u);
}

TEST_P(MetalCommands, FailInWords) {
  for (const auto& [code, words] :
       {std::pair<long, std::string>{MTL::CommandBufferErrorOutOfMemory, "memory is full"},
        {MTL::CommandBufferErrorTimeout, "took too long"},
        {MTL::CommandBufferErrorDeviceRemoved, "the device is gone"},
        {MTL::CommandBufferErrorInternal, "told to fail"}}) {
    machine().failing_buffer = {machine().buffers_committed + 1, code};
    const auto device = make_metal_device();
    Chain chain(*device, 2);
    const auto run = [&] {
      for (int i = 0; i < 5; ++i) device->submit(*chain.commands);
      std::vector<std::byte> out(16);
      device->download_at(device->mark(), *chain.buffers.back(), 0, out);
    };
    expect_error({"metal: the device failed while it ran the kernels: ", words}, run);
    expect_error({"metal: the device failed", words}, [&] { device->wait(); });
    expect_error({"metal: the device failed", words}, [&] { device->submit(*chain.commands); });
    machine().failing_buffer.reset();
  }
}

}  // namespace
}  // namespace lattice::gpu
