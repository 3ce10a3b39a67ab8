#include "gpu/metal/queue.h"

#include <utility>

#include "support/fail.h"

namespace lattice::gpu::metal {
namespace {

constexpr std::uint64_t kPatienceMs = 1000;  // between two looks at whether the device is still alive

/// What a failed command buffer died of, with what a person can do about it.
std::string describe_failure(const NS::Error* error) {
  const std::string text = text_of(error);
  switch (error == nullptr ? 0 : static_cast<MTL::CommandBufferError>(error->code())) {
    case MTL::CommandBufferErrorOutOfMemory:
      return text + " (the device's memory is full: a shorter context or a smaller format needs less)";
    case MTL::CommandBufferErrorTimeout:
      return text + " (the system ended work that took too long)";
    case MTL::CommandBufferErrorDeviceRemoved:
      return text + " (the device is gone)";
    default:
      return text;
  }
}

}  // namespace

Queue::Queue(MTL::Device& device) {
  const AutoreleaseScope scope;
  queue_.reset(device.newCommandQueue(kMostInFlight + 1));
  event_.reset(device.newSharedEvent());
  if (queue_ == nullptr || event_ == nullptr) fail("metal: the device gives no command queue");
  if (!responds(&device, "newResidencySetWithDescriptor:error:")) return;
  const Owned<MTL::ResidencySetDescriptor> descriptor(MTL::ResidencySetDescriptor::alloc()->init());
  NS::Error* error = nullptr;
  resident_.reset(device.newResidencySet(descriptor.get(), &error));
  // Once for the queue is useResidencySet() for each of its command buffers.
  if (resident_ != nullptr) queue_->addResidencySet(resident_.get());
}

// What ends does what it can: work that failed is of no interest any more.
Queue::~Queue() {
  try {
    wait();
  } catch (...) {  // NOLINT(bugprone-empty-catch)
  }
  if (resident_ != nullptr) queue_->removeResidencySet(resident_.get());
}

void Queue::check_alive() const {
  if (!failure_.empty()) fail("metal: the device failed while it ran the kernels: {}", failure_);
}

void Queue::open() {
  if (in_flight_.size() >= kMostInFlight) retire(true);
  // Buffers and pipelines outlive the work (remove() waits), so that nothing need be retained for each.
  open_ = retained(queue_->commandBufferWithUnretainedReferences());
  if (open_ == nullptr) fail("metal: the device gives no command buffer");
}

MTL::ComputeCommandEncoder& Queue::begin_submission() {
  check_alive();
  if (open_ == nullptr) open();
  if (encoder_ == nullptr) {
    encoder_ = retained(open_->computeCommandEncoder(MTL::DispatchTypeConcurrent));
    if (encoder_ == nullptr) fail("metal: the device gives no encoder");
  } else if (must_wait_) {
    encoder_->memoryBarrier(MTL::BarrierScopeBuffers);
  }
  must_wait_ = true;
  return *encoder_;
}

void Queue::end_submission() {
  ++submissions_;
  if (submissions_ >= kMostInBuffer || is_idle()) commit();
}

void Queue::signal() {
  if (encoder_ != nullptr) {
    encoder_->endEncoding();
    encoder_.reset();
    must_wait_ = false;
    open_->encodeSignalEvent(event_.get(), ++signalled_);
  }
}

void Queue::commit() {
  if (open_ == nullptr) return;
  signal();
  if (resident_changed_) {
    resident_->commit();
    resident_->requestResidency();
    resident_changed_ = false;
  }
  open_->commit();
  committed_ = signalled_;
  in_flight_.push_back(std::move(open_));
  submissions_ = 0;
}

bool Queue::is_idle() const {
  return in_flight_.empty() || event_->signaledValue() >= committed_;
}

Mark Queue::mark() {
  if (open_ != nullptr) signal();
  return signalled_;
}

void Queue::wait_for(Mark mark) {
  const AutoreleaseScope scope;
  check_alive();
  if (mark > committed_) commit();
  // Where a command buffer failed, nothing is signalled behind it.
  while (!event_->waitUntilSignaledValue(mark, kPatienceMs) && !in_flight_.empty()) retire();
  retire();
}

void Queue::wait() {
  const AutoreleaseScope scope;
  check_alive();
  commit();
  while (!in_flight_.empty()) retire(true);
}

void Queue::retire(bool one) {
  if (one) in_flight_.front()->waitUntilCompleted();
  while (!in_flight_.empty() && in_flight_.front()->status() >= MTL::CommandBufferStatusCompleted) {
    retire_front();
  }
}

void Queue::retire_front() {
  const Owned<MTL::CommandBuffer> done = std::move(in_flight_.front());
  in_flight_.pop_front();
  busy_seconds_ += done->GPUEndTime() - done->GPUStartTime();
  if (done->status() != MTL::CommandBufferStatusError) return;
  failure_ = describe_failure(done->error());
  // What came behind it works with what it did not leave: all of it is waited for, and of no use.
  commit();
  for (const Owned<MTL::CommandBuffer>& other : in_flight_) other->waitUntilCompleted();
  in_flight_.clear();
  check_alive();
}

void Queue::add(const MTL::Buffer& buffer) {
  if (resident_ == nullptr) return;
  resident_->addAllocation(&buffer);
  resident_changed_ = true;
}

void Queue::remove(const MTL::Buffer& buffer) noexcept {
  try {
    if (failure_.empty()) wait();
  } catch (...) {  // NOLINT(bugprone-empty-catch): where the device is lost, nothing uses the memory any more
  }
  if (resident_ == nullptr) return;
  resident_->removeAllocation(&buffer);
  resident_changed_ = true;
}

double Queue::busy_seconds() {
  const AutoreleaseScope scope;
  retire();
  return busy_seconds_;
}

}  // namespace lattice::gpu::metal
