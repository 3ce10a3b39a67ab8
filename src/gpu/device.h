#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace lattice::gpu {

/// Memory on a device.
class Buffer {
 public:
  virtual ~Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// Copies between host and device, after all work that was submitted before. Throws Error(kUsage) where
  /// offset and length go past the buffer.
  virtual void upload(std::size_t offset, std::span<const std::byte> from) = 0;
  virtual void download(std::size_t offset, std::span<std::byte> to) const = 0;
  /// Sets every byte to zero, in order with submitted work.
  virtual void clear() = 0;

  template <typename T>
  void upload(std::span<const T> from, std::size_t first = 0) {
    upload(first * sizeof(T), std::as_bytes(from));
  }
  template <typename T>
  void download(std::span<T> to, std::size_t first = 0) const {
    download(first * sizeof(T), std::as_writable_bytes(to));
  }

 protected:
  explicit Buffer(std::size_t bytes) : bytes_(bytes) {}
  /// Throws Error(kUsage) unless [offset, offset + length) is inside.
  void check_range(std::size_t offset, std::size_t length) const;

 private:
  std::size_t bytes_;
};

/// The value of a function constant, by its index in the source.
struct FunctionConstant {
  std::uint32_t index = 0;
  std::uint32_t value = 0;  ///< of an unsigned integer, or 0 and 1 of a bool
};

/// A compiled kernel, with its constants fixed. Lives as long as its device.
class Kernel {
 public:
  virtual ~Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

 protected:
  Kernel() = default;
};

/// What a kernel's parameter is bound to: a place in a buffer, or a few bytes of the dispatch's own.
class Argument {
 public:
  Argument(const Buffer& buffer,
           std::size_t offset = 0)  // NOLINT(google-explicit-constructor): reads as a list
      : buffer_(&buffer), offset_(offset) {}
  /// A struct of kernel_args.h, copied: what a kernel's `constant T&` takes.
  template <typename T>
  requires std::is_trivially_copyable_v<T> &&
      (!std::is_base_of_v<Buffer, T>)Argument(const T& constants)  // NOLINT(google-explicit-constructor)
      : constants_(sizeof(T)) {
    std::memcpy(constants_.data(), &constants, sizeof(T));
  }

  [[nodiscard]] const Buffer* buffer() const noexcept { return buffer_; }
  [[nodiscard]] std::size_t offset() const noexcept { return offset_; }
  [[nodiscard]] std::span<const std::byte> constants() const noexcept { return constants_; }

 private:
  const Buffer* buffer_ = nullptr;
  std::size_t offset_ = 0;
  std::vector<std::byte> constants_;
};

struct Extent {
  std::uint32_t x = 1;
  std::uint32_t y = 1;
  std::uint32_t z = 1;
};

/// Y = alpha · X Wᵀ, and what Y held before where `accumulate`: sums and Y in float32. W [rows, cols], X
/// [vectors, cols] and Y [vectors, rows], each row `stride` elements behind the one before. Of W and X,
/// columns, stride and offset are multiples of 8 elements.
struct MatrixProduct {
  enum class Element : std::uint8_t { kHalf, kBfloat16 };

  Element element = Element::kHalf;  ///< of W and X
  std::uint32_t vectors = 0;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  Argument w;
  std::uint32_t w_stride = 0;
  Argument x;
  std::uint32_t x_stride = 0;
  Argument y;
  std::uint32_t y_stride = 0;
  float alpha = 1;
  bool accumulate = false;
};

/// Dispatches in order, recorded once and replayed any number of times: a CUDA graph, a list that is encoded
/// again, a list of calls. Buffers and kernels must outlive it.
class Commands {
 public:
  virtual ~Commands() = default;
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  /// Appends a dispatch. `arguments` are the kernel's buffers in the order of their indices. Throws
  /// Error(kUsage) naming the kernel and the parameter where number, kind, alignment or size do not fit what
  /// the kernel declares, or a threadgroup is larger than the kernel allows.
  virtual void dispatch(const Kernel& kernel, std::vector<Argument> arguments, Extent threadgroups,
                        std::uint32_t threads_per_threadgroup) = 0;
  /// Appends a product, made by the device's own matrix library. It counts as a dispatch. Throws
  /// Error(kUsage) where the device has none (Device::has_products()), or a matrix does not lie inside its
  /// buffer.
  virtual void product(const MatrixProduct& product);
  /// What comes after sees what was written before. Dispatches with no barrier between them may run together.
  /// What overrides this calls it.
  virtual void barrier() {
    if (dispatches() != phases_end_) ++closed_phases_;
    phases_end_ = dispatches();
  }
  /// Dispatches recorded so far.
  [[nodiscard]] virtual std::size_t dispatches() const noexcept = 0;
  /// Of them, groups that wait for the one before.
  [[nodiscard]] std::size_t phases() const noexcept {
    return closed_phases_ + (dispatches() != phases_end_ ? 1 : 0);
  }

 protected:
  Commands() = default;

 private:
  std::size_t closed_phases_ = 0;
  std::size_t phases_end_ = 0;  // dispatches that lie in closed phases
};

/// A place in the order of submitted work.
using Mark = std::uint64_t;

/// How much work was submitted.
struct Work {
  std::int64_t dispatches = 0;
  std::int64_t phases = 0;
};

/// A processor that runs Metal Shading Language: Apple's, NVIDIA's by way of the translator, or the device in
/// software. Used from one thread at a time.
class Device {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  [[nodiscard]] virtual std::string description() const = 0;
  /// Processors that share out a dispatch's threadgroups, for which kernels' shapes are chosen; 0 where every
  /// thread is run one after the other.
  [[nodiscard]] virtual std::uint32_t cores() const noexcept = 0;
  /// Memory for `bytes`, at least 1, zeroed. Throws Error where the device has not so much.
  [[nodiscard]] virtual std::unique_ptr<Buffer> allocate(std::size_t bytes) = 0;
  /// A buffer over a part of a mapped file, which outlives it and does not change: nothing is copied, and
  /// nothing may be written. Null where the device has memory of its own or the part lies where it cannot be
  /// used.
  [[nodiscard]] virtual std::unique_ptr<Buffer> wrap([[maybe_unused]] std::span<const std::byte> memory) {
    return nullptr;
  }
  /// The kernel called `name` with `constants`, compiled when first asked for. Throws Error(kUsage) for a
  /// name or an index that the sources do not have.
  [[nodiscard]] virtual const Kernel& kernel(std::string_view name,
                                             std::span<const FunctionConstant> constants) = 0;
  [[nodiscard]] virtual std::unique_ptr<Commands> new_commands() = 0;
  /// Whether Commands::product() can be used: the device comes with a library that multiplies matrices faster
  /// than portable kernels do.
  [[nodiscard]] virtual bool has_products() const noexcept { return false; }
  /// Whether a simdgroup multiplies bytes together, in hardware (lattice_pair_sums() of kernels/hints.h):
  /// weights that are bytes or fit into them are then multiplied as such, and laid out for it.
  [[nodiscard]] virtual bool multiplies_bytes() const noexcept { return false; }
  /// Whether a simdgroup multiplies matrices of halves in hardware, laid out as lattice_multiply_halves() of
  /// kernels/hints.h says: a step's attention over a cache of halves is then made of such products.
  [[nodiscard]] virtual bool multiplies_halves() const noexcept { return false; }
  /// Queues a replay behind everything that was submitted before, and returns at once.
  virtual void submit(const Commands& commands) = 0;
  /// Returns when all that was submitted is done. Throws Error where some of it failed.
  virtual void wait() = 0;
  /// Bytes a second, read and written ones counted, of a copy from the device's memory to itself, measured
  /// with far more than its caches hold; 0 where its memory is the host's.
  [[nodiscard]] virtual double measure_copy_bandwidth() { return 0; }

  /// Seconds that the device has worked on what is done of all that was submitted, by its own clock; 0 where
  /// it does not tell.
  [[nodiscard]] virtual double busy_seconds() { return 0; }

  /// The place behind everything that was submitted so far.
  [[nodiscard]] virtual Mark mark() { return 0; }
  /// Copies what the work before `mark` left in a buffer. Does not wait for what was submitted since, which
  /// must not write to that place. A device that cannot do this waits for everything, as this does.
  virtual void download_at([[maybe_unused]] Mark mark, const Buffer& from, std::size_t offset,
                           std::span<std::byte> to) {
    from.download(offset, to);
  }

  /// What was submitted since the device was made.
  [[nodiscard]] const Work& submitted() const noexcept { return submitted_; }

 protected:
  Device() = default;
  /// For submit() to call.
  void count(const Commands& commands) noexcept {
    submitted_.dispatches += static_cast<std::int64_t>(commands.dispatches());
    submitted_.phases += static_cast<std::int64_t>(commands.phases());
  }

 private:
  Work submitted_;
};

}  // namespace lattice::gpu
