#include "gpu/metal/stand_in/commands.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "gpu/metal/stand_in/execute.h"

namespace lattice::gpu::stand_in {
namespace {

constexpr std::size_t kMostBytes = 4096;  // of setBytes

std::vector<CommandQueue*>& queues() {
  static std::vector<CommandQueue*> all;
  return all;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

msl::Size3 size_of(const MTL::Size& size) {
  return {static_cast<std::uint32_t>(size.width), static_cast<std::uint32_t>(size.height),
          static_cast<std::uint32_t>(size.depth)};
}

}  // namespace

Machine& machine() {
  static Machine machine;
  return machine;
}

void start_machine(Machine spec, int macos_version) {
  queues().clear();
  forget_objects();
  (void)take_violations();
  machine() = std::move(spec);
  set_macos(macos_version);
}

void advance_at_random() {
  for (CommandQueue* queue : queues()) queue->advance_at_random();
}
bool advance_any() {
  return std::ranges::any_of(queues(), [](CommandQueue* queue) { return queue->advance(); });
}

// --- events ---

bool GpuEvent::wait_until(uint64_t wanted, uint64_t /*milliseconds*/) {
  while (value < wanted) {
    if (!advance_any()) return false;  // no work is left that could signal it: time would pass
  }
  return true;
}

// --- queues ---

MTL::CommandBuffer* CommandQueue::new_buffer() {
  if (std::ranges::find(queues(), this) == queues().end()) queues().push_back(this);
  while (committed_.size() + made_.size() >= most_ && advance()) {
  }
  if (committed_.size() + made_.size() >= most_) {
    violate(
        "a command buffer more than the queue has is asked for, and none was committed: it waits for "
        "ever");
    return nullptr;
  }
  auto* buffer = make<CommandBuffer>(*this);
  made_.push_back(buffer);
  return to_metal<MTL::CommandBuffer>(buffer->autorelease());
}

void CommandQueue::add_residency_set(const MTL::ResidencySet* set) {
  if (auto* own = as<ResidencySet>(set, "addResidencySet:")) sets_.emplace_back(own);
}
void CommandQueue::remove_residency_set(const MTL::ResidencySet* set) {
  auto* own = as<ResidencySet>(set, "removeResidencySet:");
  std::erase_if(sets_, [&](const Strong<ResidencySet>& one) { return one.get() == own; });
}

void CommandQueue::commit(CommandBuffer& buffer) {
  std::erase(made_, &buffer);
  committed_.emplace_back(&buffer);
  machine().most_in_flight = std::max(machine().most_in_flight, static_cast<int>(committed_.size()));
  while (machine().progress == Progress::kEager && advance()) {
  }
}

bool CommandQueue::advance() {
  if (committed_.empty()) return false;
  if (!committed_.front()->advance()) committed_.erase(committed_.begin());
  return true;
}

void CommandQueue::advance_at_random() {
  if (machine().progress != Progress::kRandom) return;
  while (random_() % 8 == 0 && advance()) {
  }
}

void CommandQueue::dealloc() {
  if (!committed_.empty()) violate("a command queue is released with work that is not done");
  std::erase(queues(), this);
  sets_.clear();
}

// --- command buffers ---

bool CommandBuffer::takes_more(std::string_view use) {
  if (status_ != MTL::CommandBufferStatusNotEnqueued) {
    violate("{}: the command buffer is committed", use);
    return false;
  }
  if (encoder_ != nullptr) {
    violate("{}: an encoder has not ended", use);
    return false;
  }
  return true;
}

MTL::ComputeCommandEncoder* CommandBuffer::new_encoder(MTL::DispatchType type) {
  if (!takes_more("computeCommandEncoderWithDispatchType:")) return nullptr;
  if (type != MTL::DispatchTypeConcurrent) violate("an encoder is to order all dispatches by itself");
  ++machine().encoders;
  auto* encoder = make<Encoder>(*this);
  encoder_ = encoder;
  return to_metal<MTL::ComputeCommandEncoder>(encoder->autorelease());
}

void CommandBuffer::signal(const MTL::Event* event, uint64_t value) {
  auto* own = as<GpuEvent>(event, "encodeSignalEvent:");
  if (own != nullptr && takes_more("encodeSignalEvent:")) steps_.emplace_back(Signal{own, value});
}

void CommandBuffer::use(const Dispatch& dispatch, int by) {
  dispatch.pipeline->uses += by;
  for (const std::optional<Binding>& binding : dispatch.bindings) {
    if (binding && binding->buffer != nullptr) binding->buffer->uses += by;
  }
}

void CommandBuffer::commit() {
  if (!takes_more("commit")) return;
  status_ = MTL::CommandBufferStatusCommitted;
  number_ = machine().buffers_committed++;
  start_ = seconds_now();
  queue_->commit(*this);
  stand_in::advance_at_random();
}

void CommandBuffer::finish(MTL::CommandBufferStatus status) {
  status_ = status;
  end_ = seconds_now();
  for (const Step& step : steps_) {
    if (const auto* phase = std::get_if<Phase>(&step)) {
      for (const Dispatch& dispatch : *phase) use(dispatch, -1);
    }
  }
  steps_.clear();
}

bool CommandBuffer::advance() {
  const auto& failing = machine().failing_buffer;
  if (failing && failing->first <= number_) {
    auto* error = make<Error>(failing->second, "the stand-in was told to fail");
    error_ = Strong<Error>(error);
    error->release();
    finish(MTL::CommandBufferStatusError);
    return false;
  }
  if (done_ == steps_.size()) {
    finish(MTL::CommandBufferStatusCompleted);
    return false;
  }
  Step& step = steps_[done_++];
  if (auto* signal = std::get_if<Signal>(&step)) {
    if (signal->value <= signal->event->value) violate("an event is signalled with what is no later value");
    signal->event->value = signal->value;
  } else {
    execute(std::get<Phase>(step), queue_->residency_sets(), queue_->random());
  }
  return true;
}

void CommandBuffer::wait() {
  if (status_ == MTL::CommandBufferStatusNotEnqueued) {
    return violate("waitUntilCompleted: the command buffer was never committed: it waits for ever");
  }
  while (!is_done() && queue_->advance()) {
  }
}

MTL::CommandBufferStatus CommandBuffer::status() {
  stand_in::advance_at_random();
  return status_;
}
NS::Error* CommandBuffer::error() {
  if (!is_done()) violate("error: the command buffer is not done");
  return to_metal<NS::Error>(error_.get());
}
CFTimeInterval CommandBuffer::start_time() {
  if (!is_done()) violate("GPUStartTime: the command buffer is not done");
  return start_;
}
CFTimeInterval CommandBuffer::end_time() {
  if (!is_done()) violate("GPUEndTime: the command buffer is not done");
  return end_;
}

void CommandBuffer::dealloc() {
  if (status_ == MTL::CommandBufferStatusNotEnqueued && !steps_.empty()) {
    violate("a command buffer is released with work that was never committed");
    finish(MTL::CommandBufferStatusNotEnqueued);
  }
  std::erase(queue_->made_, this);
  error_.reset();
  queue_.reset();
}

// --- encoders ---

bool Encoder::takes_more(std::string_view use) {
  stand_in::advance_at_random();
  if (has_ended_) violate("{}: the encoder has ended", use);
  return !has_ended_;
}

Binding* Encoder::slot(NS::UInteger index, std::string_view use) {
  if (!takes_more(use)) return nullptr;
  if (index >= bindings_.size()) {
    violate("{}: index {} is beyond the {} that there are", use, index, bindings_.size());
    return nullptr;
  }
  return &bindings_[index].emplace();
}

void Encoder::set_pipeline(const MTL::ComputePipelineState* pipeline) {
  if (takes_more("setComputePipelineState:")) {
    pipeline_ = as<Pipeline>(pipeline, "setComputePipelineState:");
  }
}

void Encoder::set_buffer(const MTL::Buffer* buffer, NS::UInteger offset, NS::UInteger index) {
  auto* own = as<GpuBuffer>(buffer, "setBuffer:");
  if (own != nullptr && offset >= own->bytes()) {
    violate("setBuffer: offset {} is past the buffer's {} bytes", offset, own->bytes());
  }
  if (own == nullptr) return;
  if (Binding* binding = slot(index, "setBuffer:")) *binding = {own, offset, {}, true};
}

void Encoder::set_bytes(const void* bytes, NS::UInteger length, NS::UInteger index) {
  if (length == 0 || length > kMostBytes) {
    return violate("setBytes: {} bytes are given, and it takes up to {}", length, kMostBytes);
  }
  const auto* from = static_cast<const std::byte*>(bytes);
  if (Binding* binding = slot(index, "setBytes:")) *binding = {nullptr, 0, {from, from + length}, true};
}

void Encoder::barrier(MTL::BarrierScope scope) {
  if (!takes_more("memoryBarrierWithScope:")) return;
  if (scope != MTL::BarrierScopeBuffers) violate("a barrier of scope {} orders no buffers", scope);
  ++machine().barriers;
  end_phase();
}

void Encoder::end_phase() {
  if (!phase_.empty()) buffer_->steps_.emplace_back(std::move(phase_));
  phase_.clear();
}

bool Encoder::check_bindings() const {
  const KernelSignature& signature = pipeline_->function->signature;
  const soft::KernelInfo& info = pipeline_->function->source.soft->kernel(signature.name);
  bool good = true;
  const auto complain = [&](const KernelParameter& parameter, std::string_view what) {
    violate("kernel {}: buffer {} ({}) {}", signature.name, parameter.index, parameter.name, what);
    good = false;
  };
  for (const KernelParameter& parameter : signature.parameters) {
    const std::optional<Binding>& binding = bindings_[parameter.index];
    const std::size_t element = info.parameters[parameter.place].element_bytes;
    if (!binding) {
      complain(parameter, "is not bound");
    } else if (!binding->is_fresh) {
      complain(parameter, "has what an earlier dispatch was given");
    } else if (binding->buffer == nullptr) {
      if (parameter.writable) complain(parameter, "is written, and was given bytes");
      if (binding->bytes.size() != element) {
        complain(parameter, fmt::format("has {} bytes, and was given {}", element, binding->bytes.size()));
      }
    } else {
      if (binding->offset % 4 != 0) complain(parameter, "begins at no multiple of 4");
      if (binding->buffer->bytes() - binding->offset < element) complain(parameter, "has not one element");
    }
  }
  return good;
}

void Encoder::dispatch(MTL::Size threadgroups, MTL::Size threads) {
  if (!takes_more("dispatchThreadgroups:")) return;
  if (pipeline_ == nullptr) return violate("a dispatch has no pipeline");
  const std::string& name = pipeline_->function->signature.name;
  const std::uint64_t volume = threads.width * threads.height * threads.depth;
  if (volume == 0 || volume > pipeline_->most_threads()) {
    return violate("kernel {}: threadgroups of {} threads, and it takes 1 to {}", name, volume,
                   pipeline_->most_threads());
  }
  if (threadgroups.width * threadgroups.height * threadgroups.depth == 0) {
    return violate("kernel {}: no threadgroups", name);
  }
  if (!check_bindings()) return;
  const msl::Size3 groups = size_of(threadgroups);
  const msl::Size3 group = size_of(threads);
  Dispatch out{
      pipeline_, bindings_, {{groups[0] * group[0], groups[1] * group[1], groups[2] * group[2]}, group}};
  // What the kernel does not declare stays bound, and is none of the dispatch's.
  for (std::size_t i = 0; i < out.bindings.size(); ++i) {
    const auto& parameters = pipeline_->function->signature.parameters;
    if (std::ranges::find(parameters, i, &KernelParameter::index) == parameters.end())
      out.bindings[i].reset();
  }
  buffer_->use(out, 1);
  phase_.push_back(std::move(out));
  for (std::optional<Binding>& binding : bindings_) {
    if (binding) binding->is_fresh = false;
  }
}

void Encoder::end() {
  if (!takes_more("endEncoding")) return;
  end_phase();
  has_ended_ = true;
  buffer_->encoder_ = nullptr;
  buffer_.reset();
}

void Encoder::dealloc() {
  if (!has_ended_) {
    violate("an encoder is released that has not ended");
    end_phase();
    buffer_->encoder_ = nullptr;
    buffer_.reset();
  }
}

void register_metal_commands() {
  using Barrier = void (MTL::ComputeCommandEncoder::*)(MTL::BarrierScope);
  using SetBuffer = void (MTL::ComputeCommandEncoder::*)(const MTL::Buffer*, NS::UInteger, NS::UInteger);
  using SetBytes = void (MTL::ComputeCommandEncoder::*)(const void*, NS::UInteger, NS::UInteger);
  using DispatchGroups = void (MTL::ComputeCommandEncoder::*)(MTL::Size, MTL::Size);
  using NewEncoder = MTL::ComputeCommandEncoder* (MTL::CommandBuffer::*)(MTL::DispatchType);
  ClassBuilder<CommandQueue>("MTLCommandQueue")
      .method<&CommandQueue::new_buffer>("commandBufferWithUnretainedReferences",
                                         &MTL::CommandQueue::commandBufferWithUnretainedReferences)
      .method<&CommandQueue::add_residency_set>("addResidencySet:", &MTL::CommandQueue::addResidencySet, 15)
      .method<&CommandQueue::remove_residency_set>(
          "removeResidencySet:", &MTL::CommandQueue::removeResidencySet, 15);
  ClassBuilder<CommandBuffer>("MTLCommandBuffer")
      .method<&CommandBuffer::new_encoder>(
          "computeCommandEncoderWithDispatchType:",
          static_cast<NewEncoder>(&MTL::CommandBuffer::computeCommandEncoder))
      .method<&CommandBuffer::signal>("encodeSignalEvent:value:", &MTL::CommandBuffer::encodeSignalEvent)
      .method<&CommandBuffer::commit>("commit", &MTL::CommandBuffer::commit)
      .method<&CommandBuffer::wait>("waitUntilCompleted", &MTL::CommandBuffer::waitUntilCompleted)
      .method<&CommandBuffer::status>("status", &MTL::CommandBuffer::status)
      .method<&CommandBuffer::error>("error", &MTL::CommandBuffer::error)
      .method<&CommandBuffer::start_time>("GPUStartTime", &MTL::CommandBuffer::GPUStartTime)
      .method<&CommandBuffer::end_time>("GPUEndTime", &MTL::CommandBuffer::GPUEndTime);
  ClassBuilder<Encoder>("MTLComputeCommandEncoder")
      .method<&Encoder::set_pipeline>("setComputePipelineState:",
                                      &MTL::ComputeCommandEncoder::setComputePipelineState)
      .method<&Encoder::set_buffer>("setBuffer:offset:atIndex:",
                                    static_cast<SetBuffer>(&MTL::ComputeCommandEncoder::setBuffer))
      .method<&Encoder::set_bytes>("setBytes:length:atIndex:",
                                   static_cast<SetBytes>(&MTL::ComputeCommandEncoder::setBytes))
      .method<&Encoder::barrier>("memoryBarrierWithScope:",
                                 static_cast<Barrier>(&MTL::ComputeCommandEncoder::memoryBarrier))
      .method<&Encoder::dispatch>(
          "dispatchThreadgroups:threadsPerThreadgroup:",
          static_cast<DispatchGroups>(&MTL::ComputeCommandEncoder::dispatchThreadgroups))
      .method<&Encoder::end>("endEncoding", &MTL::ComputeCommandEncoder::endEncoding);
}

}  // namespace lattice::gpu::stand_in
