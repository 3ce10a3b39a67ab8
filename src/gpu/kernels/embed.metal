// The residual stream begins with a row of the embedding, for each token.

#include <metal_stdlib>

#include "formats.h"
#include "hints.h"
#include "kernel_args.h"
#include "tiles.h"

using namespace metal;
using namespace lattice_gpu;

namespace lattice_gpu {

/// Columns of one chunk of row `token` of quants [vocab_size, row_chunks] → hidden [cols].
template <typename Format>
void copy_chunk(device const uint4* quants, device const half* scales, constant EmbedArgs& args, int token, uint chunk,
                device float* hidden) {
  const uint row = uint(token) < args.vocab_size ? uint(token) : 0;
  float values[Format::kCols];
  const ChunkPlaces places = {args.row_chunks, args.row_blocks, args.row_groups};
  Format::unpack(load_chunk<Format>(quants, scales, places, row, chunk), values);
  for (uint i = 0; i < Format::kCols; ++i) {
    const uint at = chunk * Format::kCols + i;
    if (at < args.cols) hidden[at] = values[i];
  }
}

}  // namespace lattice_gpu

/// Row step.token of quants → hidden [cols]. Threads: at least row_chunks.
template <typename Format>
[[kernel]] void embed(device const StepState& step [[buffer(0)]], device const uint4* quants [[buffer(1)]],
                      device const half* scales [[buffer(2)]], device float* hidden [[buffer(3)]],
                      constant EmbedArgs& args [[buffer(4)]], uint chunk [[thread_position_in_grid]]) {
  lattice_allow_next();
  if (chunk < args.row_chunks) copy_chunk<Format>(quants, scales, args, step.token, chunk, hidden);
}

/// Rows tokens[i] of quants → hidden [tokens, stride]. Threads: at least (row_chunks, tokens).
template <typename Format>
[[kernel]] void embed_prompt(device const PromptSpan& span [[buffer(0)]], device const int* tokens [[buffer(1)]],
                             device const uint4* quants [[buffer(2)]], device const half* scales [[buffer(3)]],
                             device float* hidden [[buffer(4)]], constant EmbedPromptArgs& args [[buffer(5)]],
                             uint2 place [[thread_position_in_grid]]) {
  if (place.x >= args.table.row_chunks || place.y >= uint(span.tokens)) return;
  copy_chunk<Format>(quants, scales, args.table, tokens[place.y], place.x, hidden + ulong(place.y) * args.stride);
}

#define LATTICE_EMBED(name, format)                                                                       \
  template [[host_name("embed_" name)]] [[kernel]] void embed<format>(                                    \
      device const StepState&, device const uint4*, device const half*, device float*, constant EmbedArgs&, uint); \
  template [[host_name("embed_prompt_" name)]] [[kernel]] void embed_prompt<format>(                      \
      device const PromptSpan&, device const int*, device const uint4*, device const half*, device float*, \
      constant EmbedPromptArgs&, uint2)

LATTICE_EMBED("f32", FormatF32);
LATTICE_EMBED("f16", FormatF16);
LATTICE_EMBED("bf16", FormatBF16);
LATTICE_EMBED("q8_0", FormatQ8_0);
LATTICE_EMBED("q4_0", FormatQ4_0);
