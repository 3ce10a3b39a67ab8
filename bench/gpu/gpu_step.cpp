// Times decode steps on a GPU device, with nothing of the host in between, and searches for the shapes of the
// GEMVs.
//
//   gpu_step SHAPE TYPE [CONTEXT] [tune [residual] [inner]|json] [f32]
//
// Steps of random weights are queued and waited for together: microseconds a token, median and range of
// several such runs, and the share of the device's copy bandwidth that they used (MBU). Further lines have
// the same with the draw of the likeliest token and with that of a random one, and what a token takes where
// the host reads every one of them. With `tune`, tries shapes for one kind of matrix after the other, biggest
// first, and prints what was best: choose_gemv_shape() is made from such tables. Vectors between dispatches
// are floats then, but for those that are named to lie in planes: `residual`, the residual stream, and
// `inner`, what mixers and SwiGLU make. With `json`, prints the medians for bench_compare
// (docs/benchmarks.md). Keys and values are halves, with `f32` floats.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "bench/random_model.h"
#include "bench/shapes.h"
#include "engine/traffic.h"
#include "gpu/cuda/cuda_device.h"
#include "gpu/decode_step.h"
#include "gpu/grid.h"
#include "gpu/kernel_table.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/layer_args.h"
#include "gpu/sampling_step.h"
#include "gpu/token_stream.h"
#include "support/cache_folder.h"
#include "tool.h"

namespace lattice::gpu {
namespace {

using Clock = std::chrono::steady_clock;
using MatrixKind = std::tuple<std::uint32_t, std::uint32_t, DType>;  // rows, columns, format

constexpr std::uint32_t kCores = 132;  // of the devices that tables are searched on: H100 and H200

MatrixKind kind_of(const DeviceMatrix& matrix) {
  return {matrix.rows, matrix.cols, matrix.format};
}

/// How often a shape's threadgroups may stand on a core: as the compiler's registers allow; once, for which
/// it takes all registers that make loads come early; or more often by at most as many as it can do without.
std::vector<std::uint32_t> residents(const GemvShape& shape, const DeviceMatrix& matrix) {
  constexpr std::uint32_t kRegisters = 65536;
  constexpr std::uint32_t kUnitRegisters = 10;  // of weights and scales, of a tile
  const std::uint32_t weights = shape.rows / 16 * shape.unroll * kUnitRegisters;
  const std::uint32_t groups = gemv_threadgroups(shape, matrix);
  std::vector<std::uint32_t> out = {0};
  if (2 * groups <= 3 * kCores) out.push_back(1);
  for (std::uint32_t n = 2; n <= 6 && (n - 1) * kCores < groups; ++n) {
    const std::uint32_t registers = kRegisters / (n * shape.simdgroups * kSimdWidth) / 8 * 8;
    if (registers >= weights + 24 && registers <= weights + 50) out.push_back(n);
  }
  return out;
}

/// Which vectors between dispatches lie in planes.
struct InPlanes {
  bool residual = false;
  bool inner = false;
};

/// A matrix of a step, and how the step multiplies it.
struct StepMatrix {
  DeviceMatrix matrix;
  GemvForm form;
};

std::vector<StepMatrix> step_matrices(const Config& config, DType format, InPlanes in_planes) {
  std::vector<StepMatrix> out;
  const auto add = [&](std::int64_t rows, std::int64_t cols, GemvForm form) {
    DeviceMatrix matrix = shaped_matrix(format, rows, cols, /*tiled=*/true);
    const bool reads_residual = form.norm;
    form.from_planes = matrix.is_tiled() && (reads_residual ? in_planes.residual : in_planes.inner);
    const bool leaves =
        form.epilogue == LATTICE_EPILOGUE_SWIGLU ? in_planes.inner : in_planes.residual && !reads_residual;
    if (matrix.is_tiled() && leaves) form.to_planes = planes_for(matrix);
    out.push_back({std::move(matrix), form});
  };
  const HeadNorm heads = HeadNorm::of(kCores, config);
  add(linear_projections(config), config.hidden_size, {.norm = true});
  add(full_projections(config), config.hidden_size, {.norm = true});
  add(config.hidden_size, config.linear_v_dim(), {.heads = heads, .epilogue = LATTICE_EPILOGUE_ADD});
  add(config.hidden_size, config.q_dim(), {.epilogue = LATTICE_EPILOGUE_ADD});
  add(2 * config.intermediate_size, config.hidden_size, {.norm = true, .epilogue = LATTICE_EPILOGUE_SWIGLU});
  add(config.hidden_size, config.intermediate_size, {.epilogue = LATTICE_EPILOGUE_ADD});
  add(config.vocab_size, config.hidden_size, {.norm = true});
  return out;
}

/// Shapes whose rounds fill a row or hardly exceed it.
std::vector<GemvShape> byte_candidates(const DeviceMatrix& matrix, const GemvForm& form) {
  std::vector<GemvShape> out;
  constexpr std::uint32_t kMostChunks = 16;  // of 16 bytes, in flight a lane
  constexpr std::uint32_t kMostSimdgroups = 16;
  for (const std::uint32_t rows : {16u, 32u}) {
    for (const std::uint32_t split : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 10u, 12u, 14u, 16u}) {
      for (std::uint32_t unroll = 1; unroll <= 8 && rows / 8 * unroll <= kMostChunks; ++unroll) {
        const std::uint32_t round =
            round_chunks({.rows = rows, .split = split, .unroll = unroll, .bytes = true});
        const bool is_one = round >= matrix.row_chunks && 7 * round <= 8 * matrix.row_chunks;
        const bool is_near = 100 * ceil_div(matrix.row_chunks, round) * round <= 103 * matrix.row_chunks;
        if (!is_near && !is_one) continue;
        for (std::uint32_t simdgroups = split; simdgroups <= kMostSimdgroups; simdgroups += split) {
          GemvShape shape{
              .rows = rows, .split = split, .simdgroups = simdgroups, .unroll = unroll, .bytes = true};
          if (simdgroups < 4 || !fits_stage(shape, matrix.format)) continue;
          for (const std::uint32_t resident : residents(shape, matrix)) {
            shape.resident = resident;
            shape.planes = form.from_planes;
            const bool leaves = form.to_planes != LATTICE_PLANES_NONE;
            if (leaves && !leaves_planes(shape, matrix, form.epilogue)) continue;
            shape.ahead = false;
            out.push_back(shape);
            shape.ahead = true;
            if (form.from_planes && resident <= 1 && round < matrix.row_chunks) out.push_back(shape);
          }
        }
      }
    }
  }
  return out;
}
std::vector<GemvShape> float_candidates(DType format) {
  std::vector<GemvShape> out;
  for (const std::uint32_t rows : {2u, 4u, 8u}) {
    for (const auto& [split, simdgroups] :
         {std::pair(1u, 4u), std::pair(1u, 8u), std::pair(2u, 8u), std::pair(4u, 8u), std::pair(8u, 8u),
          std::pair(1u, 16u), std::pair(4u, 16u)}) {
      for (const std::uint32_t unroll : {1u, 2u, 4u}) {
        for (const bool ahead : {false, true}) {
          const std::uint32_t chunks = rows * unroll * (ahead ? 2 : 1);
          const GemvShape shape{rows, split, simdgroups, unroll, ahead};
          if (chunks >= 4 && chunks <= 16 && fits_stage(shape, format)) out.push_back(shape);
        }
      }
    }
  }
  return out;
}

/// Weights that are on their way at a time, in bytes a core, if all threadgroups stand.
double bytes_in_flight(const GemvShape& shape, const DeviceMatrix& matrix, std::uint32_t cores) {
  const double unit_bytes = 1024.0 * shape.rows / 16 * shape.unroll;
  return gemv_threadgroups(shape, matrix) * shape.simdgroups * unit_bytes / cores;
}

/// Whether as many bytes are on their way at a time as a core's share of the memory wants, and not many more.
/// An output head, which has enough of them in most shapes, is tried in few.
bool moves_enough(const GemvShape& shape, const DeviceMatrix& matrix, std::uint32_t cores) {
  constexpr std::uint32_t kHeadRows = 1024;   // a core
  constexpr double kMostBytes = 160 << 10;    // a core
  constexpr double kLargeMatrix = 128 << 10;  // likewise
  if (matrix.rows / cores >= kHeadRows) {
    return shape.split <= 4 && shape.simdgroups >= 8 && shape.simdgroups % 4 == 0 && shape.resident <= 1;
  }
  const double core_bytes = 16.0 * matrix.rows * matrix.row_chunks / cores;
  const double fewest = core_bytes >= kLargeMatrix ? 24 << 10 : std::min<double>(12 << 10, core_bytes);
  const double bytes = bytes_in_flight(shape, matrix, cores);
  return bytes >= fewest && bytes <= kMostBytes;
}

/// Whether a shape leaves neither lanes nor cores idle, nor looks ahead where nothing is.
bool is_worth_a_try(const GemvShape& shape, const DeviceMatrix& matrix, std::uint32_t cores) {
  constexpr std::uint32_t kFewestSimdgroups = 3;  // a core
  const std::uint32_t round = round_chunks(shape);
  const std::uint32_t groups = gemv_threadgroups(shape, matrix);
  if (round / shape.unroll > matrix.row_chunks || round >= 2 * matrix.row_chunks) return false;
  if (groups * shape.simdgroups < kFewestSimdgroups * cores && matrix.rows >= cores) return false;
  if (shape.bytes) return moves_enough(shape, matrix, cores);
  return !shape.ahead || matrix.row_chunks > round;
}

std::vector<GemvShape> candidates(const StepMatrix& of, std::uint32_t cores) {
  std::vector<GemvShape> out =
      of.matrix.is_tiled() ? byte_candidates(of.matrix, of.form) : float_candidates(of.matrix.format);
  std::erase_if(out, [&](const GemvShape& shape) { return !is_worth_a_try(shape, of.matrix, cores); });
  return out;
}

/// A model of random weights on the device, and the shapes that its step is recorded with.
class Subject {
 public:
  Subject(Device& device, const std::string& shape, DType type, std::int64_t context, KvFormat kv)
      : device_(device),
        kv_(kv),
        config_(bench::shape_config(shape)),
        context_(context),
        pool_(usable_processors()),
        weights_([&] {
          const bench::RandomModel random(config_, type, pool_);
          weight_bytes_ = random.weights().bytes_per_token();
          return std::make_unique<GpuWeights>(MatrixPacker{device, pool_, false}, config_, random.weights(),
                                              nullptr);
        }()),
        work_(device, config_, kv),
        state_(device, config_, context + kMostSteps, kv) {
    state_.make_up(context_, 1);
  }

  /// Seconds for a step in each of a few runs.
  bench::Samples times(int runs = kRuns) {
    const auto step = recorder().step(state_, parts());
    dispatches_ = step->dispatches();
    return times_of(*step, runs);
  }
  /// The same with a draw, each step going on from the token and the position of the one before.
  bench::Samples drawing_times(const Sampling& sampling) {
    DrawOptions options = draw_options();
    options.sampling = sampling;
    upload_sampling(state_.draw_memory(), options);
    return times_of(*recorder().drawing_step(state_, parts(), work_.sampling.draw_for(sampling)), kRuns);
  }
  /// The same of a stream whose every token the host reads.
  bench::Samples stream_times() {
    const StepRecorder steps = recorder();
    const auto head = steps.head();
    bench::Samples out;
    for (int run = 0; run <= kStreamRuns; ++run) {
      state_.make_up(context_, 1);
      GpuTokenStream stream(device_, config_, steps, work_, *head, state_, kFirstToken, draw_options());
      (void)stream.next();  // until here a step may be recorded
      const auto start = Clock::now();
      for (int i = 1; i < kMostSteps; ++i) (void)stream.next();
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count() / (kMostSteps - 1);
      if (run > 0) out.values.push_back(seconds);
      device_.wait();
    }
    return out;
  }

  [[nodiscard]] double bytes() const {
    return static_cast<double>(
        bytes_per_token(config_, weight_bytes_, kv_ == KvFormat::kF32 ? 4 : 2, context_));
  }
  [[nodiscard]] std::size_t dispatches() const { return dispatches_; }

  /// Twice: the best shape for one kind depends on what the others leave of the device, as dispatches
  /// overlap.
  void tune(InPlanes in_planes) {
    std::map<MatrixKind, StepMatrix> kinds;
    for (StepMatrix& of : step_matrices(config_, weights_->head.format, in_planes)) {
      const MatrixKind kind = kind_of(of.matrix);
      chosen_[kind] = first_guess(of);
      kinds.try_emplace(kind, std::move(of));
    }
    double best = times().min();
    fmt::print(" before: {:.1f} us\n", best * 1e6);
    for (const char* pass : {"first", "second"}) {
      fmt::print(" the {} time:\n", pass);
      for (const MatrixKind& kind : largest_first()) tune_kind(kind, kinds.at(kind), best);
    }
  }

 private:
  /// What is chosen, where it passes vectors on as wanted, or who has nearest to so many bytes in flight.
  [[nodiscard]] GemvShape first_guess(const StepMatrix& of) const {
    constexpr double kBytes = 40 << 10;  // a core
    const std::vector<GemvShape> all = candidates(of, device_.cores());
    GemvShape chosen = choose_gemv_shape(device_.cores(), of.matrix);
    chosen.planes = of.form.from_planes;
    if (all.empty() || of.form.to_planes == LATTICE_PLANES_NONE ||
        leaves_planes(chosen, of.matrix, of.form.epilogue)) {
      return chosen;
    }
    return *std::ranges::min_element(all, {}, [&](const GemvShape& shape) {
      return std::abs(std::log(bytes_in_flight(shape, of.matrix, device_.cores()) / kBytes));
    });
  }

  void tune_kind(const MatrixKind& kind, const StepMatrix& of, double& best) {
    GemvShape kept = shape_of(kind);
    std::vector<std::pair<double, GemvShape>> tried;
    for (const GemvShape& shape : candidates(of, device_.cores())) {
      chosen_[kind] = shape;
      const double seconds = times(3).min();
      tried.emplace_back(seconds, shape);
      if (seconds < best) {
        best = seconds;
        kept = shape;
      }
    }
    chosen_[kind] = kept;
    std::ranges::sort(tried, {}, [](const auto& one) { return one.first; });
    fmt::print("  {} x {}: {:.1f} us with {}\n", std::get<0>(kind), std::get<1>(kind), best * 1e6,
               text(kept));
    for (std::size_t i = 1; i < std::min<std::size_t>(tried.size(), 5); ++i) {
      fmt::print("      {:.1f} {}\n", tried[i].first * 1e6, text(tried[i].second));
    }
    std::fflush(stdout);
  }

  static constexpr int kRuns = 15;
  static constexpr int kStreamRuns = 7;
  static constexpr int kMostSteps = 100;  // of a run
  static constexpr std::int32_t kFirstToken = 1;

  /// The kinds of matrices, those that most bytes are in first.
  [[nodiscard]] std::vector<MatrixKind> largest_first() const {
    std::map<MatrixKind, double> bytes;
    for (const GpuLayer& layer : weights_->layers) {
      for (const DeviceMatrix* matrix : {&layer.gate_up, &layer.down}) count(*matrix, bytes);
      std::visit(
          [&](const auto& mixer) {
            for (const DeviceMatrix& matrix : mixer.in) count(matrix, bytes);
            count(mixer.out, bytes);
          },
          layer.mixer);
    }
    count(weights_->head, bytes);
    std::vector<MatrixKind> out;
    out.reserve(bytes.size());
    for (const auto& [kind, size] : bytes) out.push_back(kind);
    std::ranges::sort(out, [&](const MatrixKind& a, const MatrixKind& b) { return bytes[a] > bytes[b]; });
    return out;
  }

  [[nodiscard]] std::uint32_t parts() const { return work_.attention.sharing.parts(context_); }
  [[nodiscard]] StepRecorder recorder() const {
    return {device_, config_, *weights_, work_,
            [this](const DeviceMatrix& matrix) { return shape_of(matrix); }};
  }
  [[nodiscard]] DrawOptions draw_options() const {
    DrawOptions options;
    options.n_ids = config_.vocab_size;
    options.most = kMostSteps;
    return options;
  }
  /// Lets the next step be one behind context_ again.
  void rewind() {
    state_.set_step(kFirstToken, context_);
    device_.wait();
  }
  bench::Samples times_of(const Commands& commands, int runs) {
    return time_replays(device_, commands, runs, [this] { rewind(); }, {.least = 3, .most = kMostSteps});
  }

  static void count(const DeviceMatrix& matrix, std::map<MatrixKind, double>& bytes) {
    bytes[kind_of(matrix)] += 16.0 * matrix.rows * matrix.row_chunks;
  }
  [[nodiscard]] static DeviceMatrix matrix_of(const MatrixKind& kind) {
    const auto [rows, cols, format] = kind;
    return shaped_matrix(format, rows, cols, /*tiled=*/true);
  }
  [[nodiscard]] GemvShape shape_of(const MatrixKind& kind) const {
    const auto found = chosen_.find(kind);
    return found != chosen_.end() ? found->second : choose_gemv_shape(device_.cores(), matrix_of(kind));
  }
  [[nodiscard]] GemvShape shape_of(const DeviceMatrix& matrix) const { return shape_of(kind_of(matrix)); }

  Device& device_;
  KvFormat kv_;
  Config config_;
  std::int64_t context_;
  ThreadPool pool_;
  std::int64_t weight_bytes_ = 0;
  std::unique_ptr<GpuWeights> weights_;
  Workspace work_;
  GpuState state_;
  std::map<MatrixKind, GemvShape> chosen_;
  std::size_t dispatches_ = 0;
};

void compile(const cuda::KernelCompiler& compiler, const GemvShape& shape, const DeviceMatrix& matrix,
             const GemvForm& form) {
  const std::vector<FunctionConstant> constants = gemv_constants(shape, matrix, form);
  const FoundKernel found =
      find_kernel(built_in_kernels(), gemv_kernel(shape, matrix.format, form), constants);
  (void)compiler.compile({found.file->cuda, found.place, constants});
}

/// Compiles every candidate into the cache on disk, with a process a processor: before the device is opened.
void compile_ahead(const Config& config, DType format, InPlanes in_planes, cuda::Capability capability,
                   int driver_version) {
  const int processes = usable_processors();
  for (int p = 0; p < processes; ++p) {
    if (fork() != 0) continue;
    const cuda::KernelCompiler compiler(capability, driver_version, cuda::CubinCache(cache_folder("cuda")));
    int n = 0;
    for (const StepMatrix& of : step_matrices(config, format, in_planes)) {
      for (const GemvShape& shape : candidates(of, kCores)) {
        if (n++ % processes != p) continue;
        compile(compiler, shape, of.matrix, of.form);
        if (of.matrix.rows != narrow(linear_projections(config)) || !of.form.from_planes) continue;
        compile(compiler, shape, of.matrix, {.norm = true});  // the first layer's, behind the embedding
      }
    }
    std::_Exit(0);
  }
  while (wait(nullptr) > 0) {
  }
}

void print_times(const char* what, const bench::Samples& times) {
  fmt::print("  {}: {:.1f} us ({:.1f} to {:.1f}), {:.0f} tok/s\n", what, times.median() * 1e6,
             times.min() * 1e6, times.max() * 1e6, 1 / times.median());
}

int run(int count, char** arguments) {
  const std::string shape = count > 1 ? arguments[1] : "0.8b";
  const DType type = bench::random_type(count > 2 ? arguments[2] : "q8_0");
  const std::int64_t context = count > 3 ? std::atoll(arguments[3]) : 0;
  const std::vector<std::string_view> words(arguments + std::min(count, 4), arguments + count);
  const auto asks = [&](std::string_view word) { return std::ranges::find(words, word) != words.end(); };
  const bool tune = asks("tune");
  const bool json = asks("json");
  const InPlanes in_planes{.residual = asks("residual"), .inner = asks("inner")};
  const auto begin = Clock::now();
  if (tune) {
    const char* version = std::getenv("LATTICE_DRIVER_VERSION");
    compile_ahead(bench::shape_config(shape), type, in_planes, {9, 0},
                  version == nullptr ? 13000 : std::atoi(version));
    fmt::print("compiled in {:.1f} s\n", std::chrono::duration<double>(Clock::now() - begin).count());
  }
  CudaDevice device;
  const double roof = device.measure_copy_bandwidth();
  Subject subject(device, shape, type, context, asks("f32") ? KvFormat::kF32 : KvFormat::kF16);
  const double loaded = std::chrono::duration<double>(Clock::now() - begin).count();
  const Sampling of_20{.temperature = 1, .top_k = 20, .top_p = 0.95f};
  if (json) {
    const auto benchmark = [&](const char* name, const bench::Samples& times) {
      return fmt::format(R"({{"name": "{}/{}/{}/{}", "value": {}, "unit": "s"}})", name, shape,
                         dtype_name(type), context, times.median());
    };
    fmt::print(R"({{"schema": "lattice-bench/1", "benchmarks": [{}, {}, {}]}})"
               "\n",
               benchmark("step", subject.times()), benchmark("likeliest", subject.drawing_times({})),
               benchmark("of_20", subject.drawing_times(of_20)));
    return 0;
  }
  const auto report = [&](const char* what) {
    const bench::Samples times = subject.times();
    const double seconds = times.median();
    fmt::print(
        "{} {} context {} {}: {:.1f} us ({:.1f} to {:.1f}), {:.0f} tok/s, MBU {:.1f} % of {:.0f} GB/s, {} "
        "dispatches, loaded in {:.1f} s\n",
        shape, dtype_name(type), context, what, seconds * 1e6, times.min() * 1e6, times.max() * 1e6,
        1 / seconds, 100 * subject.bytes() / seconds / roof, roof * 1e-9, subject.dispatches(), loaded);
    std::fflush(stdout);
  };
  report("as chosen");
  if (tune) {
    subject.tune(in_planes);
    report("tuned");
  } else {
    print_times("with the draw of the likeliest", subject.drawing_times({}));
    print_times("with the draw of one of 20", subject.drawing_times(of_20));
    print_times("as a stream", subject.stream_times());
  }
  return 0;
}

}  // namespace
}  // namespace lattice::gpu

int main(int count, char** arguments) {
  return lattice::gpu::run_tool("gpu_step", [&] { return lattice::gpu::run(count, arguments); });
}
