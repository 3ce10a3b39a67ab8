#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "lattice/error.hpp"

namespace lattice::gpu {
namespace {

template <typename Function>
void expect_usage(const std::vector<std::string>& parts, const Function& function) {
  try {
    function();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUsage);
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(SoftDevice, BuffersBeginZeroedAndKeepToTheirSize) {
  const auto buffer = fast_device().allocate(8);
  EXPECT_EQ(download(*buffer), (std::vector<float>{0, 0}));
  const std::vector<float> two{1, 2};
  buffer->upload<float>(two);
  EXPECT_EQ(download(*buffer), two);
  expect_usage({"4", "8"}, [&] { buffer->upload<float>(std::span(two), 1); });
  std::vector<float> out(2);
  expect_usage({"past"}, [&] { buffer->download<float>(std::span(out), 1); });
  expect_usage({"past"}, [&] { buffer->download(SIZE_MAX, std::as_writable_bytes(std::span(out))); });
  buffer->clear();
  EXPECT_EQ(download(*buffer), (std::vector<float>{0, 0}));
  expect_usage({"one byte"}, [] { (void)fast_device().allocate(0); });
}

TEST(SoftDevice, KnowsItsKernelsAndConstants) {
  EXPECT_EQ(fast_device().kernel("embed_q8_0", {}).name(), "embed_q8_0");
  expect_usage({"no kernel", "gemv_q9"}, [] { (void)fast_device().kernel("gemv_q9", {}); });
  const FunctionConstant unknown[] = {{99, 1}};
  expect_usage({"embed_f32", "99"}, [&] { (void)fast_device().kernel("embed_f32", unknown); });
  const FunctionConstant four[] = {{LATTICE_FC_SIMDGROUPS, 4}}, two[] = {{LATTICE_FC_SIMDGROUPS, 2}};
  EXPECT_EQ(&fast_device().kernel("gdn_step", four), &fast_device().kernel("gdn_step", four));
  EXPECT_NE(&fast_device().kernel("gdn_step", four), &fast_device().kernel("gdn_step", two));
}

TEST(SoftDevice, RefusesArgumentsThatDoNotFitTheKernel) {
  SoftDevice& device = fast_device();
  const Kernel& embed = device.kernel("embed_f32", {});
  const auto step = device.allocate(8), table = device.allocate(64), hidden = device.allocate(16);
  const lattice_gpu::EmbedArgs args{4, 1, 1, 0, 4};
  const auto commands = device.new_commands();
  const auto refused = [&](const std::vector<std::string>& parts, std::vector<Argument> arguments,
                           Extent groups = {1}, std::uint32_t threads = 32) {
    expect_usage(parts, [&] { commands->dispatch(embed, std::move(arguments), groups, threads); });
  };
  refused({"embed_f32", "5 buffers", "4"}, {*step, *table, *table, *hidden});
  refused({"embed_f32", "hidden", "constants"}, {*step, *table, *table, 1.0f, args});
  refused({"embed_f32", "args", "20", "4"}, {*step, *table, *table, *hidden, 1.0f});
  refused({"embed_f32", "quants", "multiple of 16"}, {*step, {*table, 8}, *table, *hidden, args});
  refused({"embed_f32", "step", "less than one"}, {{*step, 4}, *table, *table, *hidden, args});
  refused({"1024"}, {*step, *table, *table, *hidden, args}, {1}, 1025);
  refused({"at least one"}, {*step, *table, *table, *hidden, args}, {0});
  refused({"too many"}, {*step, *table, *table, *hidden, args}, {UINT32_MAX});
  EXPECT_EQ(commands->dispatches(), 0u);
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, 1}};
  const lattice_gpu::GemvArgs gemv{};
  expect_usage({"gemv_f32", "512"}, [&] {
    commands->dispatch(device.kernel("gemv_f32", constants),
                       {*table, *table, *table, *table, *table, *table, gemv}, {1}, 544);
  });
}

TEST(SoftDevice, ReplaysWhatWasRecorded) {
  SoftDevice& device = fast_device();
  const auto step = upload(device, std::vector<lattice_gpu::StepState>{{0, 0}});
  const auto table = upload(device, std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
  const auto hidden = device.allocate(16);
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel("embed_f32", {}),
                     {*step, *table, *table, *hidden, lattice_gpu::EmbedArgs{4, 1, 1, 0, 2}}, {1}, 32);
  const std::size_t before = device.dispatches_run();
  for (const std::int32_t token : {1, 0, 1}) {
    const lattice_gpu::StepState now{token, 0};
    step->upload(std::span(&now, 1));
    device.submit(*commands);
    EXPECT_EQ(download(*hidden).front(), token == 0 ? 1.0f : 5.0f);
  }
  EXPECT_EQ(device.dispatches_run() - before, 3u);
}

/// That the checks of this folder can fail: a dispatch whose matrix has fewer rows than it says.
TEST(SoftDevice, CheckingModeNamesWhatIsReadPastTheEnd) {
  SoftDevice device(std::filesystem::path(LATTICE_SOURCE_DIR) / "src/gpu/kernels", 1);
  const auto commands = device.new_commands();
  const auto step = upload(device, std::vector<lattice_gpu::StepState>{{3, 0}});
  const auto table = device.allocate(48), hidden = device.allocate(16);
  commands->dispatch(device.kernel("embed_f32", {}),
                     {*step, *table, *table, *hidden, lattice_gpu::EmbedArgs{4, 1, 1, 0, 4}}, {1}, 32);
  device.submit(*commands);
  ASSERT_FALSE(device.findings().empty());
  EXPECT_EQ(device.findings().front().kind, msl::FindingKind::kOutOfBoundsRead);
  EXPECT_NE(device.findings().front().message().find("quants"), std::string::npos)
      << device.findings().front().message();
}

}  // namespace
}  // namespace lattice::gpu
