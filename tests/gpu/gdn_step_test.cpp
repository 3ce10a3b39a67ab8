#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::GdnArgs;
using lattice_gpu::StepState;

struct Shape {
  std::uint32_t k_heads;
  std::uint32_t v_heads;
  std::uint32_t head_dim;
  std::uint32_t taps;
  bool tiled;
  std::uint32_t simdgroups;
};

/// The mixer's heads in double precision, token by token, as its authors write it.
class Reference {
 public:
  Reference(const Shape& shape, std::vector<float> taps, std::vector<float> decay_rate,
            std::vector<float> dt_bias, std::vector<float> norm, float epsilon)
      : shape_(shape),
        taps_(std::move(taps)),
        decay_rate_(std::move(decay_rate)),
        dt_bias_(std::move(dt_bias)),
        norm_(std::move(norm)),
        epsilon_(epsilon),
        state_(std::size_t{shape.v_heads} * shape.head_dim * shape.head_dim) {}

  std::vector<double> step(const std::vector<float>& projections) {
    inputs_.push_back(projections);
    const std::size_t dim = shape_.head_dim;
    std::vector<double> out;
    for (std::size_t h = 0; h < shape_.v_heads; ++h) {
      const std::size_t k_head = shape_.tiled ? h % shape_.k_heads : h / (shape_.v_heads / shape_.k_heads);
      const std::vector<double> q = unit(convolved(k_head * dim), 1 / std::sqrt(static_cast<double>(dim)));
      const std::vector<double> k = unit(convolved((shape_.k_heads + k_head) * dim), 1);
      const std::vector<double> v = convolved((2 * shape_.k_heads + h) * dim);
      const std::size_t z = channels();
      const std::size_t b = z + shape_.v_heads * dim;
      const double beta = sigmoid(projections[b + h]);
      const double a = double{projections[b + shape_.v_heads + h]} + dt_bias_[h];
      const double decay = std::exp(decay_rate_[h] * std::log1p(std::exp(a)));
      std::vector<double> o(dim);
      double squares = 0;
      for (std::size_t i = 0; i < dim; ++i) {
        double* row = &state_[(h * dim + i) * dim];
        double predicted = 0;
        for (std::size_t j = 0; j < dim; ++j) predicted += (row[j] *= decay) * k[j];
        for (std::size_t j = 0; j < dim; ++j) {
          row[j] += beta * (v[i] - predicted) * k[j];
          o[i] += row[j] * q[j];
        }
        squares += o[i] * o[i];
      }
      for (std::size_t i = 0; i < dim; ++i) {
        out.push_back(o[i] / std::sqrt(squares / static_cast<double>(dim) + epsilon_) * norm_[i] *
                      silu(projections[z + h * dim + i]));
      }
    }
    return out;
  }

  [[nodiscard]] const std::vector<double>& state() const { return state_; }
  [[nodiscard]] std::size_t channels() const {
    return std::size_t{2 * shape_.k_heads + shape_.v_heads} * shape_.head_dim;
  }

 private:
  /// Channels first … first + head_dim of the newest token.
  [[nodiscard]] std::vector<double> convolved(std::size_t first) const {
    std::vector<double> out;
    for (std::size_t c = first; c < first + shape_.head_dim; ++c) {
      double sum = 0;
      for (std::size_t j = 0; j < shape_.taps && j < inputs_.size(); ++j) {
        sum += double{taps_[(shape_.taps - 1 - j) * channels() + c]} * inputs_[inputs_.size() - 1 - j][c];
      }
      out.push_back(silu(sum));
    }
    return out;
  }
  static std::vector<double> unit(std::vector<double> values, double scale) {
    double squares = 1e-6;
    for (const double x : values) squares += x * x;
    for (double& x : values) x *= scale / std::sqrt(squares);
    return values;
  }

  Shape shape_;
  std::vector<float> taps_, decay_rate_, dt_bias_, norm_;
  double epsilon_;
  std::vector<double> state_;
  std::vector<std::vector<float>> inputs_;
};

/// `tokens` steps from position 0 on, each held to the reference, and the state at the end.
void run_steps(SoftDevice& device, const Shape& shape, std::int32_t tokens) {
  Random random;
  SCOPED_TRACE(testing::Message() << shape.k_heads << '/' << shape.v_heads << " heads of " << shape.head_dim
                                  << ", " << shape.taps << " taps, tiled " << shape.tiled << ", seed "
                                  << random.seed());
  constexpr float kEpsilon = 1e-6f;
  const std::size_t channels = std::size_t{2 * shape.k_heads + shape.v_heads} * shape.head_dim;
  const auto taps = random.floats(channels * shape.taps);
  std::vector<float> decay_rate = random.floats(shape.v_heads);
  for (float& rate : decay_rate) rate = -std::abs(rate);
  const auto dt_bias = random.floats(shape.v_heads);
  const auto norm = random.floats(shape.head_dim);
  Reference reference(shape, taps, decay_rate, dt_bias, norm, kEpsilon);

  const std::uint32_t z = static_cast<std::uint32_t>(channels);
  const std::uint32_t b = z + shape.v_heads * shape.head_dim;
  const GdnArgs args{.tiled = shape.tiled ? 1u : 0u,
                     .z_offset = z,
                     .b_offset = b,
                     .a_offset = b + shape.v_heads,
                     .epsilon = kEpsilon};
  const auto step = device.allocate(sizeof(StepState));
  const auto projections = device.allocate((b + 2 * shape.v_heads) * sizeof(float));
  const auto taps_buffer = upload(device, taps), decay_buffer = upload(device, decay_rate),
             bias_buffer = upload(device, dt_bias), norm_buffer = upload(device, norm);
  // What stood in the ring before must not matter.
  const auto ring = upload(device, random.floats(channels * shape.taps, 100.0f));
  const auto state = device.allocate(reference.state().size() * sizeof(float));
  const auto out = device.allocate(std::size_t{shape.v_heads} * shape.head_dim * sizeof(float));
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, shape.simdgroups},
                                        {LATTICE_FC_VECTORS, shape.head_dim / 4},
                                        {LATTICE_FC_TAPS, shape.taps},
                                        {LATTICE_FC_K_HEADS, shape.k_heads},
                                        {LATTICE_FC_V_HEADS, shape.v_heads}};
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel("gdn_step", constants),
                     {*step, *projections, *taps_buffer, *decay_buffer, *bias_buffer, *norm_buffer, *ring,
                      *state, *out, args},
                     {shape.v_heads}, shape.simdgroups * 32);
  for (std::int32_t position = 0; position < tokens; ++position) {
    const StepState now{0, position};
    step->upload(std::span(&now, 1));
    const auto input = random.floats(b + 2 * shape.v_heads, 2.0f);
    projections->upload<float>(input);
    device.submit(*commands);
    SCOPED_TRACE(testing::Message() << "position " << position);
    expect_near(download(*out), reference.step(input), 2e-5);
  }
  expect_near(download(*state), reference.state(), 1e-5);
}

TEST(GdnStep, HoldsForShapesPastTheRingsEnd) {
  for (const bool tiled : {false, true}) {
    run_steps(fast_device(), {1, 1, 4, 4, tiled, 1}, 9);
    run_steps(fast_device(), {2, 6, 16, 4, tiled, 4}, 11);
    run_steps(fast_device(), {3, 3, 36, 2, tiled, 3}, 7);
    run_steps(fast_device(), {2, 4, 128, 4, tiled, 4}, 6);
    run_steps(fast_device(), {1, 2, 256, 5, tiled, 8}, 7);
  }
}

TEST(GdnStep, HasNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  run_steps(checking_device(), {2, 4, 20, 4, true, 2}, 6);
  run_steps(checking_device(), {2, 4, 36, 3, false, 3}, 4);
  expect_no_finding(checking_device(), before);
}

}  // namespace
}  // namespace lattice::gpu
