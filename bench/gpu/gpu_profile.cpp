// Where a GPU device's time goes, kernel by kernel: those of a decode step, those of a prompt's piece, and
// those that stand by themselves.
//
//   gpu_profile --device cuda --shape 0.8b --type q8_0 --context 4096
//   gpu_profile --device soft --model models/tinystories-qwen35 --prompt 64 --repeats 1
//
// A step is recorded as always, on random weights or a model's, and its dispatches sorted by kernel and grid;
// each group is then replayed by itself, one dispatch after the other, on the buffers that the step has: all
// layers' in turn, so that weights come from memory as they do in the step. What the groups take together and
// what the whole step takes differ by how far dispatches of different kernels overlap.

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "bench/random_model.h"
#include "bench/shapes.h"
#include "formats/checkpoint.h"
#include "gpu/decode_step.h"
#include "gpu/gpu_backend.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/prefill_step.h"
#include "grouping_device.h"
#include "support/fail.h"
#include "tool.h"

namespace lattice::gpu {
namespace {

struct Options {
  std::string device{default_device()};
  std::string model;  // where there is none, random weights of `shape` and `type`
  std::string shape = "0.8b";
  std::string type = "q8_0";
  std::int64_t context = 0;
  std::int64_t prompt = 512;
  int repeats = 7;
};

std::string grid_text(const KernelGroup& group) {
  std::string text = fmt::format("{}", group.threadgroups.x);
  if (group.threadgroups.y > 1 || group.threadgroups.z > 1) text += fmt::format("x{}", group.threadgroups.y);
  if (group.threadgroups.z > 1) text += fmt::format("x{}", group.threadgroups.z);
  return group.threads == 0 ? text : fmt::format("{} of {}", text, group.threads);
}

/// Prints a table of groups, and below it the time of `whole` where there is one. `prepare` comes before each
/// sample of either.
void report(Device& device, const std::vector<KernelGroup>& groups, const Commands* whole, int repeats,
            const std::function<void()>& prepare) {
  fmt::print("  {:<24} {:>18} {:>6} {:>11} {:>8} {:>11} {:>9}\n", "kernel", "threadgroups", "count",
             "us each", "spread", "us together", "GB/s");
  double together = 0;
  for (const KernelGroup& group : groups) {
    const bench::Samples samples = time_replays(device, *group.commands, repeats, prepare);
    const double seconds = samples.median();
    const auto count = static_cast<double>(group.commands->dispatches());
    together += seconds;
    fmt::print("  {:<24} {:>18} {:>6} {:>11.2f} {:>7.1f}% {:>11.1f} {:>9}\n", group.kernel, grid_text(group),
               group.commands->dispatches(), seconds / count * 1e6, 100 * samples.mad() / seconds,
               seconds * 1e6,
               group.matrix_bytes > 0 ? fmt::format("{:.1f}", group.matrix_bytes / seconds * 1e-9) : "");
    std::fflush(stdout);
  }
  if (whole == nullptr) return;
  const bench::Samples samples = time_replays(device, *whole, repeats, prepare);
  fmt::print("  {:<24} {:>18} {:>6} {:>11} {:>8} {:>11.1f}\n", "the groups together", "", "", "", "",
             together * 1e6);
  fmt::print("  {:<24} {:>18} {:>6} {:>11} {:>7.1f}% {:>11.1f}\n\n", "the whole", "", whole->dispatches(), "",
             100 * samples.mad() / samples.median(), samples.median() * 1e6);
}

/// The weights to be measured, before they are on the device.
struct Source {
  Source(const Options& options, ThreadPool& pool) {
    if (options.model.empty()) {
      config = bench::shape_config(options.shape);
      random = std::make_unique<bench::RandomModel>(config, bench::random_type(options.type), pool);
      return;
    }
    checkpoint = Checkpoint::open(options.model);
    config = Config::from(*checkpoint);
    bound = Weights::bind(*checkpoint, config);
  }
  [[nodiscard]] const Weights& weights() const { return random ? random->weights() : bound; }

  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<bench::RandomModel> random;
  Weights bound;
  Config config;
};

/// A model on a device, with a sequence that has a context.
struct Subject {
  Subject(Device& device, const Options& options, ThreadPool& pool, const Source& source)
      : config(source.config),
        weights(MatrixPacker{device, pool, false}, config, source.weights(), nullptr),
        work(device, config, KvFormat::kF16),
        prefill(device, config, weights, /*exact=*/false),
        state(device, config, options.context + std::max<std::int64_t>(options.prompt, ReplayLimits{}.most),
              KvFormat::kF16) {
    state.make_up(options.context, 1);
    rewind(device);
    const lattice_gpu::PromptSpan span{static_cast<std::int32_t>(options.context),
                                       static_cast<std::int32_t>(options.prompt)};
    prefill.span->upload(std::span(&span, 1));
  }

  /// A step that draws its token goes on from there: this takes it back to the context that was asked for.
  void rewind(Device& device) {
    state.set_step(1, state.position());
    device.wait();
  }

  Config config;
  GpuWeights weights;
  Workspace work;
  PrefillWorkspace prefill;
  GpuState state;
};

void report_decode(Device& device, Subject& subject, const Options& options) {
  fmt::print("A decode step, {} tokens of context\n", options.context);
  GroupingDevice grouping(device);
  const std::uint32_t parts = subject.work.attention.sharing.parts(options.context);
  const auto record = [&](Device& on) {
    return StepRecorder(on, subject.config, subject.weights, subject.work, nullptr)
        .drawing_step(subject.state, parts, Draw::kLikeliest);
  };
  const auto whole = record(device);
  (void)record(grouping);
  report(device, grouping.take_groups(), whole.get(), options.repeats, [&] { subject.rewind(device); });
}

void report_prompt(Device& device, Subject& subject, const Options& options) {
  fmt::print("A prompt's piece, {} tokens after {}\n", options.prompt, options.context);
  GroupingDevice grouping(device);
  const auto record = [&](Device& on) {
    return PrefillRecorder(on, subject.config, subject.weights, subject.work, subject.prefill, KvFormat::kF16,
                           GemmShape{}, /*exact=*/false)
        .layers(subject.state, prefill_rows(options.prompt));
  };
  const auto whole = record(device);
  (void)record(grouping);
  report(device, grouping.take_groups(), whole.get(), options.repeats, nullptr);
}

/// Kernels that no Qwen3.5 text model calls: a masked product, and functions of an array's rows.
class StandaloneKernels {
 public:
  StandaloneKernels(Device& device, Subject& subject) : device_(device), subject_(subject) {}

  std::vector<KernelGroup> groups() {
    std::vector<KernelGroup> out;
    out.push_back(masked_head());
    out.push_back(on_rows("softmax", kSimdgroups));
    out.push_back(on_rows("logsumexp", kSimdgroups));
    out.push_back(layer_norm());
    return out;
  }

 private:
  static constexpr std::uint32_t kSimdgroups = 8;
  static constexpr std::uint32_t kRows = 64;

  /// The output head with every other row of blocks left out: half of its bytes.
  KernelGroup masked_head() {
    const DeviceMatrix& head = subject_.weights.head;
    constexpr std::uint32_t kSimdRows = 4;
    const std::uint32_t words = (head.cols + 1023) / 1024;
    std::vector<std::uint32_t> bits((head.rows + LATTICE_MASK_BLOCK - 1) / LATTICE_MASK_BLOCK * words);
    for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = i / words % 2 == 0 ? ~0u : 0u;
    Buffer& mask = keep(device_.allocate(bits.size() * sizeof(std::uint32_t)));
    mask.upload<std::uint32_t>(bits);
    const FunctionConstant constants[] = {{LATTICE_FC_ROWS, kSimdRows}, {LATTICE_FC_SIMDGROUPS, kSimdgroups}};
    const lattice_gpu::MaskedGemvArgs args{head.rows, head.row_chunks, head.row_blocks, head.row_groups,
                                           words};
    const std::uint32_t group_rows = kSimdRows * kSimdgroups;
    const double bytes = static_cast<double>(matrix_bytes(head)) / 2;
    return group(device_.kernel("gemv_masked_" + kernel_suffix(head.format), constants),
                 {*head.quants, head.scales ? *head.scales : *subject_.work.none, mask, *subject_.work.hidden,
                  *subject_.work.logits, args},
                 {(head.rows + group_rows - 1) / group_rows}, kSimdgroups * 32, bytes);
  }

  /// Over kRows rows of logits.
  KernelGroup on_rows(std::string_view name, std::uint32_t simdgroups) {
    const auto cols = static_cast<std::uint32_t>(subject_.config.vocab_size);
    const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, simdgroups}};
    return group(device_.kernel(name, constants),
                 {random_rows(cols), keep(device_.allocate(std::size_t{kRows} * cols * sizeof(float))),
                  lattice_gpu::RowsArgs{cols, cols, cols, 0}},
                 {kRows}, simdgroups * 32, 0);
  }

  KernelGroup layer_norm() {
    const auto cols = static_cast<std::uint32_t>(subject_.config.hidden_size);
    const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, kSimdgroups}};
    const Buffer& weight = *subject_.weights.final_norm;
    return group(
        device_.kernel("layer_norm", constants),
        {random_rows(cols), weight, weight, keep(device_.allocate(std::size_t{kRows} * cols * sizeof(float))),
         lattice_gpu::LayerNormArgs{{cols, cols, cols, 1e-6f}, kRows}},
        {kRows / kSimdgroups}, kSimdgroups * 32, 0);
  }

  KernelGroup group(const Kernel& kernel, std::vector<Argument> arguments, Extent grid, std::uint32_t threads,
                    double bytes) {
    KernelGroup out{std::string(kernel.name()), grid, threads, bytes, device_.new_commands()};
    out.commands->dispatch(kernel, std::move(arguments), grid, threads);
    return out;
  }

  Buffer& random_rows(std::uint32_t cols) {
    return keep(random_buffer(device_, std::size_t{kRows} * cols * sizeof(float), 1));
  }
  Buffer& keep(std::unique_ptr<Buffer> buffer) {
    buffers_.push_back(std::move(buffer));
    return *buffers_.back();
  }

  Device& device_;
  Subject& subject_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

void profile(const Options& options) {
  const std::unique_ptr<Device> device = open_device(options.device);
  fmt::print("{}\n", device->description());
  if (const double roof = device->measure_copy_bandwidth(); roof > 0) {
    fmt::print("copies {:.0f} GB/s, read and written ones counted\n", roof * 1e-9);
  }
  fmt::print("{}\n", options.model.empty() ? fmt::format("random weights, {} {}", options.shape, options.type)
                                           : options.model);
  fmt::print("medians of {} samples; spread is the median distance from it\n\n", options.repeats);
  if (options.prompt > most_prefill_rows(*device)) {
    fail_usage("--prompt: a piece has at most {} tokens on this device", most_prefill_rows(*device));
  }
  ThreadPool pool(usable_processors());
  const Source source(options, pool);
  check_dimensions(source.config);
  Subject subject(*device, options, pool, source);
  report_decode(*device, subject, options);
  report_prompt(*device, subject, options);
  fmt::print("By themselves\n");
  StandaloneKernels others(*device, subject);
  report(*device, others.groups(), nullptr, options.repeats, nullptr);
}

int run(int count, char** arguments) {
  Options options;
  CLI::App app("Times a GPU device's kernels one by one, on random weights in a released model's shape.",
               "gpu_profile");
  app.add_option("--device", options.device, "Where to run: metal (on a Mac), cuda or soft")
      ->capture_default_str();
  app.add_option("--model", options.model, "A checkpoint, in the place of random weights")
      ->check(CLI::ExistingPath);
  app.add_option("--shape", options.shape, "A released model's size: 0.8b, 2b, 4b, 9b or 27b")
      ->capture_default_str();
  app.add_option("--type", options.type, "The weights' format: q8_0, q4_0, bf16, f16 or f32")
      ->capture_default_str();
  app.add_option("--context", options.context, "Tokens that the sequence has already")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{262144}))
      ->capture_default_str();
  app.add_option("--prompt", options.prompt, "Tokens of the prompt's piece")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{2048}))
      ->capture_default_str();
  app.add_option("--repeats", options.repeats, "Samples of each")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  profile(options);
  return 0;
}

}  // namespace
}  // namespace lattice::gpu

int main(int count, char** arguments) {
  return lattice::gpu::run_tool("gpu_profile", [&] { return lattice::gpu::run(count, arguments); });
}
