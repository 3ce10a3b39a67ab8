#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <variant>
#include <vector>

#include "gpu/metal/stand_in/gpu_device.h"
#include "gpu/metal/stand_in/library.h"
#include "msl/soft/dispatch.h"

namespace lattice::gpu::stand_in {

/// What a kernel's buffer is bound to.
struct Binding {
  GpuBuffer* buffer = nullptr;
  std::size_t offset = 0;
  std::vector<std::byte> bytes;  ///< of setBytes, where there is no buffer
  bool is_fresh = false;         ///< bound since the dispatch before
};
using Bindings = std::array<std::optional<Binding>, msl::kBindings>;

struct Dispatch {
  Pipeline* pipeline;
  Bindings bindings;
  msl::Grid grid;
};

/// Dispatches that no barrier orders: Metal may run them in any order, or all at once.
using Phase = std::vector<Dispatch>;

struct Signal {
  GpuEvent* event;
  std::uint64_t value;
};

/// What a command buffer does, in order.
using Step = std::variant<Phase, Signal>;

class CommandBuffer;

class CommandQueue final : public Object {
 public:
  explicit CommandQueue(std::size_t most) : Object("MTLCommandQueue"), most_(most), random_(machine().seed) {}

  MTL::CommandBuffer* new_buffer();
  void add_residency_set(const MTL::ResidencySet* set);
  void remove_residency_set(const MTL::ResidencySet* set);

  void commit(CommandBuffer& buffer);
  /// Does the next step that was committed; false where there is none.
  bool advance();
  /// Does so now and then, where the machine's progress is random.
  void advance_at_random();
  [[nodiscard]] const std::vector<Strong<ResidencySet>>& residency_sets() const noexcept { return sets_; }
  [[nodiscard]] std::mt19937_64& random() noexcept { return random_; }

 protected:
  void dealloc() override;

 private:
  std::size_t most_;
  std::mt19937_64 random_;
  std::vector<Strong<CommandBuffer>> committed_;  // not done, the oldest first
  std::vector<CommandBuffer*> made_;              // neither committed nor released
  std::vector<Strong<ResidencySet>> sets_;
  friend class CommandBuffer;
};

class Encoder;

class CommandBuffer final : public Object {
 public:
  explicit CommandBuffer(CommandQueue& queue) : Object("MTLCommandBuffer"), queue_(&queue) {}

  MTL::ComputeCommandEncoder* new_encoder(MTL::DispatchType type);
  void signal(const MTL::Event* event, uint64_t value);
  void commit();
  void wait();
  MTL::CommandBufferStatus status();
  NS::Error* error();
  CFTimeInterval start_time();
  CFTimeInterval end_time();

  /// Of a committed buffer: does its next step; false where it is done.
  bool advance();
  [[nodiscard]] bool is_done() const noexcept { return status_ >= MTL::CommandBufferStatusCompleted; }

 protected:
  void dealloc() override;

 private:
  friend class Encoder;
  [[nodiscard]] bool takes_more(std::string_view use);
  void use(const Dispatch& dispatch, int by);
  void finish(MTL::CommandBufferStatus status);

  Strong<CommandQueue> queue_;
  MTL::CommandBufferStatus status_ = MTL::CommandBufferStatusNotEnqueued;
  Encoder* encoder_ = nullptr;  // that has not ended
  std::vector<Step> steps_;
  std::size_t done_ = 0;
  int number_ = 0;  // of committed buffers
  Strong<Error> error_;
  double start_ = 0;
  double end_ = 0;
};

class Encoder final : public Object {
 public:
  explicit Encoder(CommandBuffer& buffer) : Object("MTLComputeCommandEncoder"), buffer_(&buffer) {}

  void set_pipeline(const MTL::ComputePipelineState* pipeline);
  void set_buffer(const MTL::Buffer* buffer, NS::UInteger offset, NS::UInteger index);
  void set_bytes(const void* bytes, NS::UInteger length, NS::UInteger index);
  void barrier(MTL::BarrierScope scope);
  void dispatch(MTL::Size threadgroups, MTL::Size threads);
  void end();

 protected:
  void dealloc() override;

 private:
  [[nodiscard]] bool takes_more(std::string_view use);
  [[nodiscard]] Binding* slot(NS::UInteger index, std::string_view use);
  [[nodiscard]] bool check_bindings() const;
  void end_phase();

  Strong<CommandBuffer> buffer_;
  bool has_ended_ = false;
  Pipeline* pipeline_ = nullptr;
  Bindings bindings_;
  Phase phase_;
};

/// Lets queues do something, where they do as they please.
void advance_at_random();
/// Does what all queues hold, one step a call; false where nothing is left.
bool advance_any();

}  // namespace lattice::gpu::stand_in
