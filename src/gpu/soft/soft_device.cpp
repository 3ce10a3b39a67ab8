#include "gpu/soft/soft_device.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>
#include <variant>

#include <fmt/format.h>

#include "gpu/argument_check.h"
#include "msl/parser.h"
#include "support/fail.h"
#include "support/float16.h"
#include "support/printable.h"

namespace lattice::gpu {
namespace {

class SoftBuffer final : public Buffer {
 public:
  explicit SoftBuffer(std::size_t bytes) : Buffer(bytes), data_(std::calloc(bytes, 1)) {
    if (data_ == nullptr) fail("there is no memory for a device buffer of {} bytes", bytes);
  }
  ~SoftBuffer() override { std::free(data_); }
  SoftBuffer(const SoftBuffer&) = delete;
  SoftBuffer& operator=(const SoftBuffer&) = delete;

  void upload(std::size_t offset, std::span<const std::byte> from) override {
    check_range(offset, from.size());
    std::copy(from.begin(), from.end(), data() + offset);
  }
  void download(std::size_t offset, std::span<std::byte> to) const override {
    check_range(offset, to.size());
    std::copy_n(data() + offset, to.size(), to.begin());
  }
  void clear() override { std::fill_n(data(), bytes(), std::byte{0}); }

  [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(data_); }

 private:
  void* data_;
};

const SoftBuffer& own(const Buffer& buffer) {
  return dynamic_cast<const SoftBuffer&>(buffer);
}

std::vector<std::byte> bytes_of(std::uint32_t value, std::size_t bytes) {
  const auto* from = reinterpret_cast<const std::byte*>(&value);
  return {from, from + std::min(bytes, sizeof value)};  // little endian, as every host that this is built for
}

}  // namespace

class SoftDevice::SoftKernel final : public Kernel {
 public:
  SoftKernel(File& file, const KernelSignature& signature, std::vector<msl::ConstantValue> constants)
      : file_(file),
        signature_(signature),
        info_(file.module.kernel(signature.name)),
        constants_(std::move(constants)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return signature_.name; }
  [[nodiscard]] File& file() const noexcept { return file_; }
  [[nodiscard]] const KernelSignature& signature() const noexcept { return signature_; }
  [[nodiscard]] const soft::KernelInfo& info() const noexcept { return info_; }
  [[nodiscard]] const std::vector<msl::ConstantValue>& constants() const noexcept { return constants_; }
  /// Bytes of what a parameter points or refers to.
  [[nodiscard]] std::size_t element_bytes(const KernelParameter& parameter) const {
    return info_.parameters[parameter.place].element_bytes;
  }

 private:
  File& file_;
  const KernelSignature& signature_;
  const soft::KernelInfo& info_;
  std::vector<msl::ConstantValue> constants_;
};

struct SoftDevice::Dispatch {
  const SoftKernel* kernel;
  std::vector<Argument> arguments;
  msl::Grid grid;
};

class SoftDevice::SoftCommands final : public Commands {
 public:
  explicit SoftCommands(bool products) : products_(products) {}

  void dispatch(const Kernel& kernel, std::vector<Argument> arguments, Extent threadgroups,
                std::uint32_t threads_per_threadgroup) override {
    const auto& soft_kernel = dynamic_cast<const SoftKernel&>(kernel);
    const msl::Grid grid = check_dispatch(soft_kernel.signature(), soft_kernel.info(), arguments,
                                          threadgroups, threads_per_threadgroup);
    list_.emplace_back(Dispatch{&soft_kernel, std::move(arguments), grid});
  }
  void product(const MatrixProduct& product) override {
    if (!products_) return Commands::product(product);
    check_product(product);
    list_.emplace_back(product);
  }
  // A barrier changes nothing: dispatches run one after the other.
  [[nodiscard]] std::size_t dispatches() const noexcept override { return list_.size(); }
  [[nodiscard]] const auto& list() const noexcept { return list_; }

 private:
  bool products_;
  std::vector<std::variant<Dispatch, MatrixProduct>> list_;
};

SoftDevice::SoftDevice(int threads, bool like_cuda)
    : pool_(threads == 0 ? usable_processors() : threads), like_cuda_(like_cuda) {
  for (const BuiltInKernels& kernels : built_in_kernels()) {
    files_.push_back(std::make_unique<File>(File{msl::SoftModule(*kernels.entry()), kernels.signatures}));
  }
}

SoftDevice::SoftDevice(const std::filesystem::path& kernels, int orders) : pool_(1), orders_(orders) {
  msl::CompileOptions options;
  options.checked = true;
  for (const auto& entry : std::filesystem::directory_iterator(kernels)) {
    if (entry.path().extension() != ".metal") continue;
    const msl::Module module = msl::parse_file(entry.path());
    files_.push_back(
        std::make_unique<File>(File{msl::SoftModule::compile(module, options), signatures_of(module)}));
  }
}

SoftDevice::~SoftDevice() = default;

std::string SoftDevice::description() const {
  return fmt::format("soft ({} thread{}{})", pool_.size(), pool_.size() == 1 ? "" : "s",
                     orders_ == 0 ? "" : ", checking");
}

std::unique_ptr<Buffer> SoftDevice::allocate(std::size_t bytes) {
  if (bytes == 0) fail_usage("a device buffer has at least one byte");
  return std::make_unique<SoftBuffer>(bytes);
}

const Kernel& SoftDevice::kernel(std::string_view name, std::span<const FunctionConstant> constants) {
  KernelKey key{std::string(name), {}};
  for (const FunctionConstant& constant : constants) key.second.emplace_back(constant.index, constant.value);
  if (const auto found = kernels_.find(key); found != kernels_.end()) return *found->second;

  for (const std::unique_ptr<File>& file : files_) {
    for (const KernelSignature& signature : file->signatures) {
      if (signature.name != name) continue;
      std::vector<msl::ConstantValue> values;
      for (const FunctionConstant& constant : constants) {
        const std::size_t bytes = file->module.constant_bytes(constant.index);
        if (bytes == 0) fail_usage("kernel {} has no function constant {}", name, constant.index);
        values.push_back({constant.index, bytes_of(constant.value, bytes)});
      }
      return *kernels_
                  .emplace(std::move(key), std::make_unique<SoftKernel>(*file, signature, std::move(values)))
                  .first->second;
    }
  }
  fail_usage("there is no kernel {}", printable(name));
}

std::unique_ptr<Commands> SoftDevice::new_commands() {
  return std::make_unique<SoftCommands>(like_cuda_);
}

void SoftDevice::submit(const Commands& commands) {
  count(commands);
  for (const auto& work : dynamic_cast<const SoftCommands&>(commands).list()) {
    std::visit([this](const auto& one) { run(one); }, work);
  }
}

void SoftDevice::run(const MatrixProduct& product) {
  const auto place = [](const Argument& matrix) { return own(*matrix.buffer()).data() + matrix.offset(); };
  const auto row_of = [&](const Argument& matrix, std::size_t stride, std::size_t row) {
    const auto* bits = reinterpret_cast<const std::uint16_t*>(place(matrix)) + row * stride;
    std::vector<float> out(product.cols);
    const bool half = product.element == MatrixProduct::Element::kHalf;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = half ? f16_to_f32(bits[i]) : bf16_to_f32(bits[i]);
    return out;
  };
  std::vector<std::vector<float>> vectors;
  for (std::uint32_t v = 0; v < product.vectors; ++v) {
    vectors.push_back(row_of(product.x, product.x_stride, v));
  }
  pool_.run([&](int thread) {
    const Share share = share_of(product.rows, thread, pool_.size());
    for (std::int64_t r = share.first; r < share.last; ++r) {
      const std::vector<float> row = row_of(product.w, product.w_stride, static_cast<std::size_t>(r));
      for (std::size_t v = 0; v < vectors.size(); ++v) {
        std::array<float, 8> sums{};  // columns are a multiple of 8
        for (std::size_t i = 0; i < row.size(); i += sums.size()) {
          for (std::size_t j = 0; j < sums.size(); ++j) sums[j] += row[i + j] * vectors[v][i + j];
        }
        const double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
        float& y =
            reinterpret_cast<float*>(place(product.y))[v * product.y_stride + static_cast<std::size_t>(r)];
        y = static_cast<float>(product.alpha * sum + (product.accumulate ? double{y} : 0.0));
      }
    }
  });
}

void SoftDevice::run(const Dispatch& dispatch) {
  const SoftKernel& kernel = *dispatch.kernel;
  kernel.file().module.specialize(kernel.constants());
  msl::Launch launch;
  launch.kernel = &kernel.info();
  launch.grid = dispatch.grid;
  ++dispatches_run_;
  if (orders_ != 0) return check(dispatch, launch);
  for (std::size_t i = 0; i < dispatch.arguments.size(); ++i) {
    const Argument& argument = dispatch.arguments[i];
    // Kernels only read what stands in `constant`, so that the constants may be handed out as they are.
    launch.buffers[kernel.signature().parameters[i].index] =
        argument.buffer() != nullptr
            ? static_cast<void*>(own(*argument.buffer()).data() + argument.offset())
            : const_cast<void*>(static_cast<const void*>(
                  argument.constants().data()));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  }
  kernel.file().module.dispatch(launch, pool_);
}

void SoftDevice::check(const Dispatch& dispatch, const msl::Launch& launch) {
  const SoftKernel& kernel = *dispatch.kernel;
  std::vector<std::vector<std::byte>> constants;  // check() writes every buffer back
  std::vector<msl::BoundBuffer> bound;
  constants.reserve(dispatch.arguments.size());
  for (std::size_t i = 0; i < dispatch.arguments.size(); ++i) {
    const Argument& argument = dispatch.arguments[i];
    const KernelParameter& parameter = kernel.signature().parameters[i];
    std::span<std::byte> data;
    if (argument.buffer() != nullptr) {
      const SoftBuffer& buffer = own(*argument.buffer());
      data = std::span(buffer.data(), buffer.bytes()).subspan(argument.offset());
    } else {
      data = constants.emplace_back(argument.constants().begin(), argument.constants().end());
    }
    bound.push_back({parameter.index, fmt::format("buffer {} (\"{}\")", parameter.index, parameter.name),
                     data, kernel.element_bytes(parameter)});
  }
  // Written buffers last: where one is bound twice, what the kernel wrote must be what stays.
  std::stable_partition(bound.begin(), bound.end(), [&](const msl::BoundBuffer& buffer) {
    return std::ranges::none_of(kernel.signature().parameters, [&](const KernelParameter& parameter) {
      return parameter.index == buffer.index && parameter.writable;
    });
  });
  for (msl::Finding& finding : kernel.file().module.check(launch, bound, orders_)) {
    findings_.push_back(std::move(finding));
  }
}

}  // namespace lattice::gpu
