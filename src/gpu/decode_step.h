#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gpu/attention_decode.h"
#include "gpu/device.h"
#include "gpu/gemv_shape.h"
#include "gpu/gpu_state.h"
#include "gpu/gpu_weights.h"
#include "gpu/sampling_step.h"

namespace lattice::gpu {

/// How gdn_step leaves its output: heads of `dim` values, each less the factor of its norm, which follows
/// from what the `parts` threadgroups of a head leave (kernels/head_norm.h). dim 0: the input is no such
/// output.
struct HeadNorm {
  std::uint32_t dim = 0;
  std::uint32_t parts = 0;

  /// What a device of so many cores (Device::cores()) does with a model's linear layers.
  [[nodiscard]] static HeadNorm of(std::uint32_t cores, const Config& config) noexcept;
  /// Whether a threadgroup's rows are whole groups, as planes want them.
  [[nodiscard]] bool leaves_planes() const noexcept { return dim / parts % kSimdWidth == 0; }
};

/// What a GEMV's kernel is compiled for beside its shape.
struct GemvForm {
  bool norm = false;           ///< an RMSNorm of x comes first
  HeadNorm heads = {};         ///< or what is left of its heads' norm
  bool from_planes = false;    ///< x lies in planes_for(the matrix)
  std::uint32_t epilogue = 0;  ///< one of the LATTICE_EPILOGUEs
  /// One of the LATTICE_PLANES: how what SwiGLU makes is left; and sums, besides, behind the floats, for an
  /// RMSNorm that reads them.
  std::uint32_t to_planes = 0;
};

/// The name of the kernel that a shape means for a format.
[[nodiscard]] std::string gemv_kernel(const GemvShape& shape, DType format, const GemvForm& form);
/// Its function constants. Of the matrix, format and size are read.
[[nodiscard]] std::vector<FunctionConstant> gemv_constants(const GemvShape& shape, const DeviceMatrix& matrix,
                                                           const GemvForm& form);

/// The planes that a matrix in tiles reads: one of the LATTICE_PLANES (kernels/planes.h).
[[nodiscard]] std::uint32_t planes_for(const DeviceMatrix& reader) noexcept;
/// Whether a shape's threadgroups have whole groups of what the epilogue makes of the matrix's rows, as
/// planes want them.
[[nodiscard]] bool leaves_planes(const GemvShape& shape, const DeviceMatrix& matrix,
                                 std::uint32_t epilogue) noexcept;

/// y = W x, or what the epilogue makes of it.
struct Gemv {
  const DeviceMatrix& matrix;
  GemvForm form = {};
  const Buffer& x;
  std::size_t x_first = 0;  ///< of x, in floats
  const Buffer& y;
  std::size_t y_first = 0;               ///< of y, in floats; 0 where y is left in planes
  const Buffer* norm = nullptr;          ///< the norm's weight, unless it is in the planes already
  const Buffer* head_squares = nullptr;  ///< of the heads' norm
  const Buffer* next_norm = nullptr;     ///< the weight of the RMSNorm that sums in planes are for
  float epsilon = 0;                     ///< of the norm, either
};

/// Appends a GEMV's dispatch. `none` is bound where a parameter has no buffer. Throws Error(kUsage) for a
/// shape that does not fit the stage.
void record_gemv(Device& device, Commands& commands, const Gemv& gemv, const GemvShape& shape,
                 const Buffer& none);

/// What a token's pass through the layers leaves from one dispatch to the next. One for all sequences.
struct Workspace {
  Workspace(Device& device, const Config& config, KvFormat kv);

  AttentionDecode attention;
  std::unique_ptr<Buffer> low_angles;  // see RotaryTables in rotary_tables.h
  std::unique_ptr<Buffer> high_angles;
  std::unique_ptr<Buffer> hidden;        // [hidden_size], the residual stream, with planes behind it
  std::unique_ptr<Buffer> projections;   // of a mixer's input
  std::unique_ptr<Buffer> mixed;         // a mixer's output before its out-projection: floats, or in planes
  HeadNorm heads;                        // of a linear mixer's
  std::unique_ptr<Buffer> head_squares;  // [linear_v_heads, HeadNorm::parts]
  std::unique_ptr<Buffer> partial;       // [attention_heads, KeySharing::most_parts, head_dim + 2]
  std::unique_ptr<Buffer> activated;     // [intermediate_size], likewise
  std::unique_ptr<Buffer> logits;        // [vocab_size]
  SamplingMemory sampling;
  std::unique_ptr<Buffer> none;  // bound where a kernel asks for a buffer that it will not touch
};

/// Records decode steps.
class StepRecorder {
 public:
  StepRecorder(Device& device, const Config& config, const GpuWeights& weights, const Workspace& work,
               GemvChooser chooser)
      : device_(device), config_(config), weights_(weights), work_(work), chooser_(std::move(chooser)) {}

  /// From the token in GpuState::step_state() to the residual stream behind the last layer: embedding, and
  /// for each layer five dispatches, or six where the keys are shared out.
  [[nodiscard]] std::unique_ptr<Commands> layers(const GpuState& state, std::uint32_t parts) const;
  /// The final norm and the output head: the residual stream → Workspace::logits.
  [[nodiscard]] std::unique_ptr<Commands> head() const;
  /// Both.
  [[nodiscard]] std::unique_ptr<Commands> step(const GpuState& state, std::uint32_t parts) const;
  /// Both, and the draw of the next token, which is left for the next step.
  [[nodiscard]] std::unique_ptr<Commands> drawing_step(GpuState& state, std::uint32_t parts, Draw draw) const;

  /// layers() for a step at `position`, or step() `with_head`, recorded when it is first asked for and kept
  /// with the state.
  [[nodiscard]] const Commands& step_at(GpuState& state, std::int64_t position, bool with_head) const;
  /// The same of drawing_step().
  [[nodiscard]] const Commands& drawing_step_at(GpuState& state, std::int64_t position, Draw draw) const;

 private:
  /// Who reads the residual stream next: matrices behind a norm.
  struct ResidualReader {
    std::span<const DeviceMatrix> matrices;
    const Buffer& norm;
  };

  /// Returns how the residual stream is left for the output head: one of the LATTICE_PLANES.
  std::uint32_t record_layers(Commands& commands, const GpuState& state, std::uint32_t parts) const;
  /// `planes`: how it lies for its reader.
  void record_head(Commands& commands, std::uint32_t planes) const;
  void embed(Commands& commands, const GpuState& state) const;
  void project_in(Commands& commands, const ResidualReader& reader, std::uint32_t planes) const;
  /// These three leave the residual stream for `next`, and return how.
  std::uint32_t mix(Commands& commands, const GpuLinearMixer& mixer, const GpuState& state,
                    const GpuState::LayerMemory& memory, const ResidualReader& next) const;
  std::uint32_t mix(Commands& commands, const GpuFullMixer& mixer, const GpuState& state,
                    const GpuState::LayerMemory& memory, std::uint32_t parts,
                    const ResidualReader& next) const;
  std::uint32_t mlp(Commands& commands, const GpuLayer& layer, std::uint32_t planes,
                    const ResidualReader& next) const;
  [[nodiscard]] Gemv of_residual(const DeviceMatrix& matrix, const Buffer& norm, std::uint32_t planes,
                                 const Buffer& y) const;
  std::uint32_t add_to_residual(Commands& commands, Gemv gemv, const ResidualReader& next) const;
  [[nodiscard]] ResidualReader mixer_of(const GpuLayer& layer) const;
  /// Who reads the residual stream behind layer `i`: the next one's mixer, or the output head.
  [[nodiscard]] ResidualReader reader_behind(std::size_t i) const;
  [[nodiscard]] GemvShape shape_of(const DeviceMatrix& matrix) const {
    return chooser_ ? chooser_(matrix) : choose_gemv_shape(device_.cores(), matrix);
  }
  /// How a vector is left for the matrices that will read it: one of the LATTICE_PLANES, floats where its
  /// maker cannot leave planes or they do not want the same.
  [[nodiscard]] std::uint32_t planes_between(bool can_leave, std::span<const DeviceMatrix> readers) const;
  void gemv(Commands& commands, const Gemv& gemv) const {
    record_gemv(device_, commands, gemv, shape_of(gemv.matrix), *work_.none);
  }

  Device& device_;
  const Config& config_;
  const GpuWeights& weights_;
  const Workspace& work_;
  GemvChooser chooser_;
};

}  // namespace lattice::gpu
