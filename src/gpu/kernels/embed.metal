// The residual stream of a decode step begins with a row of the embedding.

#include <metal_stdlib>

#include "formats.h"
#include "hints.h"
#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

/// Row step.token of quants [vocab_size, row_chunks] → hidden [cols]. Threads: at least row_chunks.
template <typename Format>
[[kernel]] void embed(device const StepState& step [[buffer(0)]], device const uint4* quants [[buffer(1)]],
                      device const half* scales [[buffer(2)]], device float* hidden [[buffer(3)]],
                      constant EmbedArgs& args [[buffer(4)]], uint chunk [[thread_position_in_grid]]) {
  lattice_allow_next();
  if (chunk >= args.row_chunks) return;
  const uint token = uint(step.token) < args.vocab_size ? uint(step.token) : 0;
  float values[Format::kCols];
  Format::unpack(Format::load(quants + ulong(token) * args.row_chunks, scales + ulong(token) * args.row_blocks, chunk),
                 values);
  for (uint i = 0; i < Format::kCols; ++i) {
    const uint at = chunk * Format::kCols + i;
    if (at < args.cols) hidden[at] = values[i];
  }
}

#define LATTICE_EMBED(name, format)                                                                       \
  template [[host_name(name)]] [[kernel]] void embed<format>(                                             \
      device const StepState&, device const uint4*, device const half*, device float*, constant EmbedArgs&, uint)

LATTICE_EMBED("embed_f32", FormatF32);
LATTICE_EMBED("embed_f16", FormatF16);
LATTICE_EMBED("embed_bf16", FormatBF16);
LATTICE_EMBED("embed_q8_0", FormatQ8_0);
LATTICE_EMBED("embed_q4_0", FormatQ4_0);
