// That the stand-in is strict: each fault that a Mac would punish, or let pass and punish one day, is planted
// here and must be seen.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "gpu/kernel_table.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/metal/device_pick.h"
#include "gpu/metal/metal_cpp.h"
#include "gpu/metal/pipeline_compiler.h"
#include "gpu/metal/stand_in/machine.h"
#include "gpu/metal/stand_in/objc.h"

namespace lattice::gpu {
namespace {

using metal::Owned;

/// Sees that one violation has these words, and forgets them all.
void expect_violation(const std::string& words) {
  const std::vector<std::string> all = stand_in::take_violations();
  std::string seen;
  for (const std::string& one : all) seen += one + '\n';
  EXPECT_NE(seen.find(words), std::string::npos) << "seen: " << seen;
}
void expect_none() {
  for (const std::string& one : stand_in::take_violations()) ADD_FAILURE() << one;
}

/// Everything that a good program needs to copy 16 bytes, for tests to do wrong one thing of it.
class StandIn : public testing::Test {
 protected:
  static constexpr lattice_gpu::CopyArgs kArgs{1};

  void SetUp() override {
    device = std::move(metal::pick_device().device);
    queue.reset(device->newCommandQueue(4));
    event.reset(device->newSharedEvent());
    metal::PipelineCompiler compiler(*device, std::nullopt);
    copy = compiler.compile(find_kernel(built_in_kernels(), "copy", {}), {});
    from = new_buffer();
    to = new_buffer();
  }
  void TearDown() override {
    expect_none();
    buffer.reset();
  }
  [[nodiscard]] Owned<MTL::Buffer> new_buffer(std::size_t bytes = 64) const {
    return Owned<MTL::Buffer>(device->newBuffer(bytes, MTL::ResourceStorageModeShared));
  }
  MTL::ComputeCommandEncoder* open() {
    buffer = metal::retained(queue->commandBufferWithUnretainedReferences());
    auto* encoder = buffer->computeCommandEncoder(MTL::DispatchTypeConcurrent);
    encoder->setComputePipelineState(copy.get());
    return encoder;
  }
  void dispatch(MTL::ComputeCommandEncoder* encoder, const MTL::Buffer* source, const MTL::Buffer* target) {
    encoder->setBuffer(source, 0, 0);
    encoder->setBuffer(target, 0, 1);
    encoder->setBytes(&kArgs, sizeof kArgs, 2);
    encoder->dispatchThreadgroups({1, 1, 1}, {32, 1, 1});
  }
  void run(MTL::ComputeCommandEncoder* encoder) {
    encoder->endEncoding();
    buffer->commit();
    buffer->waitUntilCompleted();
  }

  metal::AutoreleaseScope scope;
  Owned<MTL::Device> device;
  Owned<MTL::CommandQueue> queue;
  Owned<MTL::SharedEvent> event;
  Owned<MTL::ComputePipelineState> copy;
  Owned<MTL::Buffer> from, to;
  Owned<MTL::CommandBuffer> buffer;
};

TEST_F(StandIn, HasNothingAgainstAGoodProgram) {
  static_cast<float*>(from->contents())[0] = 5;
  auto* encoder = open();
  dispatch(encoder, from.get(), to.get());
  run(encoder);
  EXPECT_EQ(buffer->status(), MTL::CommandBufferStatusCompleted);
  EXPECT_EQ(static_cast<float*>(to->contents())[0], 5);
  EXPECT_GE(buffer->GPUEndTime(), buffer->GPUStartTime());
}

TEST_F(StandIn, DoesNothingBeforeSomebodyWaits) {
  static_cast<float*>(from->contents())[0] = 5;
  auto* encoder = open();
  dispatch(encoder, from.get(), to.get());
  encoder->endEncoding();
  buffer->encodeSignalEvent(event.get(), 3);
  buffer->commit();
  EXPECT_EQ(static_cast<float*>(to->contents())[0], 0);
  EXPECT_EQ(event->signaledValue(), 0u);
  EXPECT_FALSE(event->waitUntilSignaledValue(4, 1));
  EXPECT_TRUE(event->waitUntilSignaledValue(3, 1));
  EXPECT_EQ(static_cast<float*>(to->contents())[0], 5);
}

// Encoders and command buffers.

TEST_F(StandIn, SeesAnEncoderThatIsNotEnded) {
  auto* encoder = open();
  dispatch(encoder, from.get(), to.get());
  buffer->commit();
  expect_violation("commit: an encoder has not ended");
  buffer->encodeSignalEvent(event.get(), 1);
  expect_violation("encodeSignalEvent:: an encoder has not ended");
  (void)buffer->computeCommandEncoder(MTL::DispatchTypeConcurrent);
  expect_violation("an encoder has not ended");
  run(encoder);
}

TEST_F(StandIn, SeesAnEncoderThatIsReleasedBeforeItEnds) {
  {
    const metal::AutoreleaseScope inner;
    (void)open();
  }
  expect_violation("an encoder is released that has not ended");
  buffer->commit();
  buffer->waitUntilCompleted();
}

TEST_F(StandIn, SeesAnEncoderThatGoesOnAfterItsEnd) {
  auto* encoder = open();
  encoder->endEncoding();
  dispatch(encoder, from.get(), to.get());
  expect_violation("the encoder has ended");
  encoder->endEncoding();
  expect_violation("endEncoding: the encoder has ended");
}

TEST_F(StandIn, SeesACommandBufferThatIsCommittedTwice) {
  run(open());
  buffer->commit();
  expect_violation("commit: the command buffer is committed");
  (void)buffer->computeCommandEncoder(MTL::DispatchTypeConcurrent);
  expect_violation("the command buffer is committed");
}

TEST_F(StandIn, SeesAWaitForWhatWasNeverCommitted) {
  open()->endEncoding();
  buffer->waitUntilCompleted();
  expect_violation("it waits for ever");
}

TEST_F(StandIn, SeesWorkThatWasNeverCommitted) {
  {
    const metal::AutoreleaseScope inner;
    auto* encoder = open();
    dispatch(encoder, from.get(), to.get());
    encoder->endEncoding();
    buffer.reset();
  }
  expect_violation("a command buffer is released with work that was never committed");
}

TEST_F(StandIn, SeesMoreCommandBuffersThanTheQueueHas) {
  for (int i = 0; i < 5; ++i) (void)queue->commandBufferWithUnretainedReferences();
  expect_violation("a command buffer more than the queue has");
}

TEST_F(StandIn, SeesTimesThatAreReadTooEarly) {
  auto* encoder = open();
  encoder->endEncoding();
  buffer->commit();
  (void)buffer->GPUEndTime();
  expect_violation("GPUEndTime: the command buffer is not done");
  buffer->waitUntilCompleted();
}

TEST_F(StandIn, SeesAnEventThatGoesBack) {
  auto* encoder = open();
  encoder->endEncoding();
  buffer->encodeSignalEvent(event.get(), 2);
  buffer->encodeSignalEvent(event.get(), 2);
  buffer->commit();
  buffer->waitUntilCompleted();
  expect_violation("an event is signalled with what is no later value");
}

TEST_F(StandIn, SeesAnEncoderThatIsNotConcurrent) {
  buffer = metal::retained(queue->commandBufferWithUnretainedReferences());
  buffer->computeCommandEncoder(MTL::DispatchTypeSerial)->endEncoding();
  expect_violation("an encoder is to order all dispatches by itself");
}

// Barriers.

TEST_F(StandIn, SeesAMissingBarrierBetweenAWriteAndARead) {
  const auto third = new_buffer();
  auto* encoder = open();
  dispatch(encoder, from.get(), to.get());
  dispatch(encoder, to.get(), third.get());
  run(encoder);
  expect_violation("no barrier stands between kernel copy");
  encoder = open();
  dispatch(encoder, from.get(), to.get());
  encoder->memoryBarrier(MTL::BarrierScopeBuffers);
  dispatch(encoder, to.get(), third.get());
  run(encoder);
}

TEST_F(StandIn, SeesAMissingBarrierBetweenTwoWrites) {
  const auto other = new_buffer();
  auto* encoder = open();
  dispatch(encoder, from.get(), to.get());
  dispatch(encoder, other.get(), to.get());
  run(encoder);
  expect_violation("no barrier stands between kernel copy");
}

TEST_F(StandIn, SeesWritesThatBeginApartAndMeet) {
  constexpr lattice_gpu::CopyArgs kTwo{2};  // 32 bytes
  const auto other = new_buffer();
  std::fill_n(static_cast<float*>(from->contents()), 16, 1.0f);
  std::fill_n(static_cast<float*>(other->contents()), 16, 2.0f);
  for (const std::size_t offset : {std::size_t{32}, std::size_t{16}}) {
    std::fill_n(static_cast<float*>(to->contents()), 16, 0.0f);
    auto* encoder = open();
    encoder->setBuffer(from.get(), 0, 0);
    encoder->setBuffer(to.get(), 0, 1);
    encoder->setBytes(&kTwo, sizeof kTwo, 2);
    encoder->dispatchThreadgroups({1, 1, 1}, {32, 1, 1});
    encoder->setBuffer(other.get(), 0, 0);
    encoder->setBuffer(to.get(), offset, 1);
    encoder->setBytes(&kArgs, sizeof kArgs, 2);
    encoder->dispatchThreadgroups({1, 1, 1}, {32, 1, 1});
    run(encoder);
    if (offset == 16) expect_violation("which write one place");
    expect_none();
  }
}

TEST_F(StandIn, SeesABarrierThatOrdersTextures) {
  auto* encoder = open();
  encoder->memoryBarrier(MTL::BarrierScopeTextures);
  expect_violation("orders no buffers");
  run(encoder);
}

// Arguments.

TEST_F(StandIn, SeesArgumentsThatAreNotBound) {
  auto* encoder = open();
  encoder->setBuffer(from.get(), 0, 0);
  encoder->setBytes(&kArgs, sizeof kArgs, 2);
  encoder->dispatchThreadgroups({1, 1, 1}, {32, 1, 1});
  expect_violation("buffer 1 (to) is not bound");
  dispatch(encoder, from.get(), to.get());
  encoder->setBuffer(from.get(), 0, 0);
  encoder->setBytes(&kArgs, sizeof kArgs, 2);
  encoder->dispatchThreadgroups({1, 1, 1}, {32, 1, 1});
  expect_violation("buffer 1 (to) has what an earlier dispatch was given");
  run(encoder);
}

TEST_F(StandIn, SeesArgumentsOfTheWrongKind) {
  auto* encoder = open();
  encoder->setBuffer(from.get(), 0, 0);
  encoder->setBytes(&kArgs, sizeof kArgs, 1);
  encoder->setBytes(&kArgs, sizeof kArgs, 2);
  encoder->dispatchThreadgroups({1, 1, 1}, {32, 1, 1});
  expect_violation("buffer 1 (to) is written, and was given bytes");
  const std::uint64_t wide = 1;
  encoder->setBuffer(from.get(), 0, 0);
  encoder->setBuffer(to.get(), 0, 1);
  encoder->setBytes(&wide, sizeof wide, 2);
  encoder->dispatchThreadgroups({1, 1, 1}, {32, 1, 1});
  expect_violation("has 4 bytes, and was given 8");
  encoder->setBuffer(from.get(), 2, 0);
  encoder->setBuffer(to.get(), 56, 1);
  encoder->setBytes(&kArgs, sizeof kArgs, 2);
  encoder->dispatchThreadgroups({1, 1, 1}, {32, 1, 1});
  expect_violation("buffer 1 (to) has not one element");
  run(encoder);
}

TEST_F(StandIn, SeesArgumentsThatNoEncoderTakes) {
  auto* encoder = open();
  encoder->setBuffer(from.get(), 0, 31);
  expect_violation("index 31 is beyond the 31");
  encoder->setBuffer(from.get(), 64, 0);
  expect_violation("offset 64 is past the buffer's 64 bytes");
  encoder->setBuffer(reinterpret_cast<MTL::Buffer*>(queue.get()), 0, 0);
  expect_violation("setBuffer: was given a MTLCommandQueue");
  encoder->setBuffer(nullptr, 0, 0);
  expect_violation("setBuffer: was given nil");
  const std::vector<std::byte> many(4097);
  encoder->setBytes(many.data(), many.size(), 0);
  expect_violation("4097 bytes are given, and it takes up to 4096");
  run(encoder);
}

TEST_F(StandIn, SeesThreadgroupsOfTheWrongSize) {
  stand_in::machine().most_threads = 64;
  auto* encoder = open();
  for (const NS::UInteger threads : {NS::UInteger{0}, NS::UInteger{96}}) {
    encoder->setBuffer(from.get(), 0, 0);
    encoder->setBuffer(to.get(), 0, 1);
    encoder->setBytes(&kArgs, sizeof kArgs, 2);
    encoder->dispatchThreadgroups({1, 1, 1}, {threads, 1, 1});
    expect_violation("kernel copy: threadgroups of " + std::to_string(threads) +
                     " threads, and it takes 1 to 64");
  }
  encoder->dispatchThreadgroups({0, 1, 1}, {32, 1, 1});
  expect_violation("no threadgroups");
  run(encoder);
}

TEST_F(StandIn, SeesADispatchWithoutAPipeline) {
  buffer = metal::retained(queue->commandBufferWithUnretainedReferences());
  auto* encoder = buffer->computeCommandEncoder(MTL::DispatchTypeConcurrent);
  dispatch(encoder, from.get(), to.get());
  expect_violation("a dispatch has no pipeline");
  encoder->setComputePipelineState(nullptr);
  expect_violation("setComputePipelineState: was given nil");
  run(encoder);
}

// Counts and lives of objects.

TEST_F(StandIn, SeesOneReleaseTooMany) {
  auto* string = NS::String::alloc()->init("text", NS::UTF8StringEncoding);
  string->release();
  string->release();
  expect_violation("release was sent to a NSString that was released");
  (void)string->utf8String();
  expect_violation("UTF8String was sent to a NSString that was released");
}

TEST_F(StandIn, SeesWhatIsNeverReleased) {
  const auto count_live = [](const std::string& name) {
    return std::ranges::count_if(stand_in::live_objects(),
                                 [&](const std::string& one) { return one.starts_with(name); });
  };
  EXPECT_EQ(count_live("NSString"), 0);
  auto* string = NS::String::alloc()->init("text", NS::UTF8StringEncoding);
  EXPECT_EQ(count_live("NSString (1)"), 1);
  string->release();
  EXPECT_EQ(count_live("NSString"), 0);
}

TEST(StandInLeaks, AreReportedAtTheEndOfATest) {
  (void)NS::String::alloc()->init("text", NS::UTF8StringEncoding);
  stand_in::forget_objects();
  expect_violation("NSString is never released (1 too few)");
}

TEST(StandInLeaks, AreReportedWhereThereIsNoPool) {
  (void)NS::ProcessInfo::processInfo();
  expect_violation("NSProcessInfo is autoreleased and there is no pool");
  stand_in::forget_objects();
  expect_violation("NSProcessInfo is never released");
}

TEST_F(StandIn, SeesABufferThatIsReleasedInFlight) {
  auto* encoder = open();
  dispatch(encoder, from.get(), to.get());
  encoder->endEncoding();
  buffer->commit();
  to.reset();
  expect_violation("an MTLBuffer is released while a command buffer that uses it is not done");
  buffer->waitUntilCompleted();
  expect_violation("uses a buffer that was released");
}

TEST_F(StandIn, SeesAPipelineThatIsReleasedInFlight) {
  auto* encoder = open();
  dispatch(encoder, from.get(), to.get());
  encoder->endEncoding();
  buffer->commit();
  copy.reset();
  expect_violation("a pipeline is released while a command buffer that uses it is not done");
  buffer->waitUntilCompleted();
  expect_violation("a dispatch's pipeline was released");
}

TEST_F(StandIn, SeesABufferThatIsUsedAfterItsRelease) {
  const MTL::Buffer* gone = to.get();
  to.reset();
  auto* encoder = open();
  encoder->setBuffer(gone, 0, 1);
  expect_violation("setBuffer: was given a MTLBuffer that was released");
  run(encoder);
}

// Messages.

TEST_F(StandIn, SeesMessagesThatNobodyAnswers) {
  (void)device->newFence();
  expect_violation("a MTLDevice has no method newFence");
  (void)NS::Array::array();
  expect_violation("class NSArray has no method array");
  (void)NS::Bundle::mainBundle();  // a class that is not played is nil
  expect_violation("mainBundle was sent to nil");
}

TEST_F(StandIn, HasTheMethodsOfItsSystemAlone) {
  EXPECT_TRUE(metal::responds(device.get(), "newResidencySetWithDescriptor:error:"));
  stand_in::set_macos(14);
  EXPECT_FALSE(metal::responds(device.get(), "newResidencySetWithDescriptor:error:"));
  const Owned<MTL::ResidencySetDescriptor> descriptor(MTL::ResidencySetDescriptor::alloc()->init());
  EXPECT_EQ(device->newResidencySet(descriptor.get(), nullptr), nullptr);
  expect_violation("a MTLDevice has no method newResidencySetWithDescriptor:error:");
}

// Memory.

TEST_F(StandIn, SeesBuffersThatCannotBe) {
  Owned<MTL::Buffer>(device->newBuffer(0, MTL::ResourceStorageModeShared)).reset();
  expect_violation("a buffer of no bytes");
  Owned<MTL::Buffer>(device->newBuffer(16, MTL::ResourceStorageModePrivate)).reset();
  expect_violation("a buffer with options 32");
  Owned<MTL::Buffer>(device->newBuffer(16, MTL::ResourceHazardTrackingModeUntracked)).reset();
  expect_violation("a buffer with options 256");
  const auto page = static_cast<std::size_t>(getpagesize());
  const std::unique_ptr<std::byte, void (*)(void*)> pages(
      static_cast<std::byte*>(std::aligned_alloc(page, 2 * page)), std::free);
  EXPECT_EQ(device->newBuffer(pages.get() + 16, page, MTL::ResourceStorageModeShared, nullptr), nullptr);
  expect_violation("takes whole pages");
  EXPECT_EQ(device->newBuffer(pages.get(), page + 16, MTL::ResourceStorageModeShared, nullptr), nullptr);
  expect_violation("takes whole pages");
}

TEST_F(StandIn, SeesABufferThatIsInNoResidencySet) {
  const Owned<MTL::ResidencySetDescriptor> descriptor(MTL::ResidencySetDescriptor::alloc()->init());
  const Owned<MTL::ResidencySet> set(device->newResidencySet(descriptor.get(), nullptr));
  queue->addResidencySet(set.get());
  set->addAllocation(from.get());
  set->addAllocation(to.get());
  auto* encoder = open();
  dispatch(encoder, from.get(), to.get());
  run(encoder);
  expect_violation("is in no residency set");  // nothing was committed
  set->commit();
  encoder = open();
  dispatch(encoder, from.get(), to.get());
  run(encoder);
  set->removeAllocation(to.get());
  set->removeAllocation(to.get());
  expect_violation("was given what is not in the set");
}

// The compiler.

TEST_F(StandIn, SeesFunctionConstantsOfTheWrongTypeOrMissing) {
  metal::PipelineCompiler compiler(*device, std::nullopt);
  const auto file = std::ranges::find(built_in_kernels(), "gemv", &BuiltInKernels::name);
  const Owned<MTL::Library> library = compiler.compile_library("gemv", file->metal);
  const Owned<MTL::FunctionConstantValues> values(MTL::FunctionConstantValues::alloc()->init());
  const auto make = [&] {
    NS::Error* error = nullptr;
    const Owned<NS::String> name = metal::ns_string("gemv_f32");
    const Owned<MTL::Function> function(library->newFunction(name.get(), values.get(), &error));
    return function != nullptr ? std::string() : metal::text_of(error);
  };
  const std::uint32_t one = 1;
  for (const std::uint32_t index :
       {LATTICE_FC_ROWS, LATTICE_FC_SPLIT, LATTICE_FC_SIMDGROUPS, LATTICE_FC_UNROLL, LATTICE_FC_NORM,
        LATTICE_FC_EPILOGUE, LATTICE_FC_VECTORS, LATTICE_FC_HEAD_PARTS}) {
    values->setConstantValue(&one, MTL::DataTypeUInt, index);
  }
  EXPECT_NE(make().find("function gemv_f32 needs a value for constant"), std::string::npos) << make();
  for (const std::uint32_t index : {LATTICE_FC_AHEAD, LATTICE_FC_LONG}) {
    values->setConstantValue(&one, MTL::DataTypeBool, index);
  }
  EXPECT_EQ(make(), "");
  values->setConstantValue(&one, MTL::DataTypeUInt, LATTICE_FC_AHEAD);
  EXPECT_NE(make().find("is of another type"), std::string::npos) << make();
  values->setConstantValue(&one, MTL::DataTypeFloat, LATTICE_FC_AHEAD);
  expect_violation("is given as type");
}

TEST_F(StandIn, SeesFastMathAndAnOldLanguage) {
  const auto file = std::ranges::find(built_in_kernels(), "copy", &BuiltInKernels::name);
  const Owned<MTL::CompileOptions> options(MTL::CompileOptions::alloc()->init());
  NS::Error* error = nullptr;
  const Owned<NS::String> copy_source = metal::ns_string(file->metal);
  Owned<MTL::Library>(device->newLibrary(copy_source.get(), options.get(), &error)).reset();
  expect_violation("compiled with fast math");
  const auto gemv = std::ranges::find(built_in_kernels(), "gemv", &BuiltInKernels::name);
  options->setFastMathEnabled(false);
  options->setLanguageVersion(MTL::LanguageVersion3_0);
  const Owned<NS::String> gemv_source = metal::ns_string(gemv->metal);
  Owned<MTL::Library>(device->newLibrary(gemv_source.get(), options.get(), &error)).reset();
  expect_violation("bfloat is used");
}

}  // namespace
}  // namespace lattice::gpu
