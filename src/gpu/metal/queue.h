#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "gpu/device.h"
#include "gpu/metal/metal_cpp.h"

namespace lattice::gpu::metal {

/// The one command queue. Submissions are encoded into an open command buffer, which is committed when it
/// holds several, when the device has nothing else to do, or when somebody waits for what is in it. Encoders
/// are concurrent: dispatches are ordered by explicit barriers and by nothing else.
class Queue {
 public:
  /// Submissions that a command buffer takes while the device is busy.
  static constexpr int kMostInBuffer = 2;
  /// Command buffers that are committed and not done. The host waits before it begins one more.
  static constexpr std::size_t kMostInFlight = 8;

  explicit Queue(MTL::Device& device);
  /// Waits for what is in flight.
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /// The encoder for a submission's dispatches, which come behind everything that was encoded before. It
  /// lives until end_submission().
  [[nodiscard]] MTL::ComputeCommandEncoder& begin_submission();
  void end_submission();

  /// The place behind everything that was submitted.
  [[nodiscard]] Mark mark();
  /// Returns when what was submitted before `mark` is done. Throws Error where some of it failed.
  void wait_for(Mark mark);
  /// The same for everything.
  void wait();

  /// Memory that the device's work may use, from the next command buffer on.
  void add(const MTL::Buffer& buffer);
  /// Waits for all work, so that the memory may go.
  void remove(const MTL::Buffer& buffer) noexcept;

  /// Seconds between start and end of the command buffers that are done, by the device's clock.
  [[nodiscard]] double busy_seconds();

 private:
  void open();
  void signal();
  void commit();
  [[nodiscard]] bool is_idle() const;
  /// Takes leave of buffers that are done, of at least one where `one` says so. Throws where one failed.
  void retire(bool one = false);
  void retire_front();
  void check_alive() const;

  Owned<MTL::CommandQueue> queue_;
  Owned<MTL::SharedEvent> event_;
  Owned<MTL::ResidencySet> resident_;  // null before macOS 15: Metal then makes resident what is bound
  bool resident_changed_ = false;
  Owned<MTL::CommandBuffer> open_;
  Owned<MTL::ComputeCommandEncoder> encoder_;
  int submissions_ = 0;                              // in the open buffer
  bool must_wait_ = false;                           // the open encoder has dispatches
  std::uint64_t signalled_ = 0;                      // the last value that was encoded
  std::uint64_t committed_ = 0;                      // the last value of a committed buffer
  std::deque<Owned<MTL::CommandBuffer>> in_flight_;  // the oldest first
  double busy_seconds_ = 0;
  std::string failure_;  // what the device died of
};

}  // namespace lattice::gpu::metal
