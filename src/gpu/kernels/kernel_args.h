#pragma once

// What host and kernels agree on: the arguments of each kernel, one struct a kernel, and the indices of the
// function constants. Included by C++ and by Metal Shading Language alike, so only 32-bit members.

#ifdef __METAL_VERSION__
#include <metal_stdlib>
#define LATTICE_UINT uint
#define LATTICE_INT int
#else
#include <cstdint>
#define LATTICE_UINT std::uint32_t
#define LATTICE_INT std::int32_t
#endif

namespace lattice_gpu {

/// A decode step's own data, in device memory, so that the step is recorded once and replayed for every
/// token.
struct StepState {
  LATTICE_INT token;     // the input
  LATTICE_INT position;  // its index in the sequence
};

struct EmbedArgs {
  LATTICE_UINT cols;        // hidden_size
  LATTICE_UINT row_chunks;  // 16-byte chunks of a row of quants
  LATTICE_UINT row_blocks;  // scales of a row
  LATTICE_UINT row_groups;  // of four chunks, where rows lie in tiles (tiles.h); 0: they follow one another
  LATTICE_UINT vocab_size;  // a token beyond it reads row 0: the host checks what it feeds
};

struct GemvArgs {
  LATTICE_UINT rows;        // of the matrix
  LATTICE_UINT row_chunks;  // 16-byte chunks of a row of quants, padding included
  LATTICE_UINT row_blocks;  // scales of a row (quantised formats)
  LATTICE_UINT cols;        // without padding: the count that the norm divides by
  LATTICE_UINT row_groups;  // as in EmbedArgs; gemv reads rows that follow one another, gemv_bytes tiles
  float epsilon;            // of the norm, either
};

struct MaskedGemvArgs {
  LATTICE_UINT rows;  // and what follows: as in GemvArgs
  LATTICE_UINT row_chunks;
  LATTICE_UINT row_blocks;
  LATTICE_UINT row_groups;  // as in EmbedArgs
  LATTICE_UINT mask_words;  // of a row of blocks: ⌈cols / 1024⌉
};

struct GdnArgs {
  LATTICE_UINT tiled;     // 1: V head h reads K head h % k_heads; 0: h / (v_heads / k_heads)
  LATTICE_UINT z_offset;  // of z, b and a in a token's projections, in floats
  LATTICE_UINT b_offset;
  LATTICE_UINT a_offset;
  float epsilon;  // of the gated norm
};

struct AttentionArgs {
  LATTICE_UINT heads;
  LATTICE_UINT kv_heads;
  LATTICE_UINT head_dim;
  LATTICE_UINT capacity;  // tokens that the cache holds
  LATTICE_UINT k_offset;  // of k and v in a token's projections, in floats
  LATTICE_UINT v_offset;
  LATTICE_UINT parts;  // threadgroups that share out the keys of a KV head
  float epsilon;       // of the q and k norms
  float scale;         // 1/√head_dim
};

struct CopyArgs {
  LATTICE_UINT vectors;  // of 16 bytes
};

/// How the next token of a sequence is drawn, as lattice::Sampling has it. In device memory, so that a
/// recorded step serves every call.
struct SamplingArgs {
  LATTICE_UINT ids;    // of the logits, those that may be drawn
  LATTICE_UINT top_k;  // 0: all
  float temperature;   // above 0; a greedy step does not read it
  float top_p;
  float min_p;
  LATTICE_UINT penalties;  // whether one of the three that follow changes anything
  float repetition;
  float presence;
  float frequency;
  LATTICE_UINT seed_low;
  LATTICE_UINT seed_high;
};

/// How the vocabulary is cut into slices, one a threadgroup of LATTICE_SLICE_SPANS simdgroups, each with a
/// span of neighbouring ids.
struct SliceArgs {
  LATTICE_UINT slices;  // at most LATTICE_MOST_SLICES
  LATTICE_UINT length;  // ids of a slice: of LATTICE_SLICE_SPANS spans; the last ones may have fewer, or none
  LATTICE_UINT drawn;   // tokens that the ring of drawn tokens holds
};

/// The likeliest token of a slice, the lower id of equal ones.
struct Peak {
  float logit;           // -INFINITY where none is possible
  LATTICE_UINT id;       // LATTICE_NO_ID then
  LATTICE_UINT damaged;  // the lowest id whose logit is +INFINITY or no number, or LATTICE_NO_ID
};

/// A token that may be drawn.
struct Candidate {
  float logit;
  LATTICE_UINT id;
};

/// What a step leaves for the host to read.
struct DrawnToken {
  LATTICE_INT token;  // below 0: none can be drawn, for the logit of id ~token
  float logit;        // the token's, penalised; of one below 0 what is wrong with it: -INFINITY: all are
};

#define LATTICE_NO_ID 0xffffffffu
#define LATTICE_MOST_SLICES 128  // about as many as large devices have cores
#define LATTICE_SLICE_SPANS 8
// Of what is known of an id; the other bits count how often it was generated.
#define LATTICE_SEEN_IN_PROMPT 0x80000000u

// The histogram of candidates by distance from the likeliest, (max − logit) / temperature. Beyond the last
// bin a token's weight is below e⁻³² = 1.3e-14 of the likeliest's, which no sum of floats would notice.
#define LATTICE_BINS 512
#define LATTICE_BINS_PER_UNIT 16
#define LATTICE_BIN_UNIT 4096.0f  // small enough that a million tokens of one bin do not overflow

// What follows is for prompts: many tokens at once.

/// The piece of a prompt that is being fed, in device memory, so that what was recorded for one piece serves
/// every other: the kernels' grids are for as many rows as were recorded, and those past `tokens` do nothing.
struct PromptSpan {
  LATTICE_INT position;  // of the first token, in the sequence
  LATTICE_INT tokens;
};

struct EmbedPromptArgs {
  EmbedArgs table;
  LATTICE_UINT stride;  // floats from one token's row to the next
};

struct RowsArgs {
  LATTICE_UINT cols;
  LATTICE_UINT in_stride;  // floats from one token's row to the next
  LATTICE_UINT out_stride;
  float epsilon;  // of the norm
};

struct LayerNormArgs {
  RowsArgs rows;
  LATTICE_UINT row_count;
};

struct GemmArgs {
  LATTICE_UINT rows;        // of the matrix
  LATTICE_UINT row_chunks;  // 16-byte chunks of a row of quants, padding included
  LATTICE_UINT row_blocks;  // scales of a row (quantised formats)
  LATTICE_UINT row_groups;  // as in EmbedArgs
  LATTICE_UINT x_stride;    // floats from one token's vector to the next: a multiple of 32
  LATTICE_UINT y_stride;
  LATTICE_UINT first;  // the token whose result is y's first row
};

/// Of the kernels of pack.metal; each reads what its comment names.
struct PackArgs {
  LATTICE_UINT cols;
  LATTICE_UINT in_stride;    // floats from one token's row to the next
  LATTICE_UINT sums_stride;  // and of what is added
  LATTICE_UINT out_stride;   // 16-bit elements from one token's packed row to the next
  LATTICE_UINT plane;        // and from one part to the next
  float epsilon;             // of the norm
  float factor;              // that a normed row is packed with, a power of two
};

struct UnpackArgs {
  LATTICE_UINT chunks;      // of all rows
  LATTICE_UINT row_chunks;  // 16-byte chunks of a row of quants
  LATTICE_UINT row_blocks;  // scales of a row
  LATTICE_UINT row_groups;  // as in EmbedArgs
  float factor;             // that the weights are unpacked with, a power of two
};

struct GdnPrefillArgs {
  LATTICE_UINT k_heads;
  LATTICE_UINT v_heads;
  LATTICE_UINT head_dim;
  LATTICE_UINT conv_kernel;
  LATTICE_UINT tiled;  // as in GdnArgs
  LATTICE_UINT z_offset;
  LATTICE_UINT b_offset;
  LATTICE_UINT a_offset;
  float epsilon;            // of the gated norm
  LATTICE_UINT stride;      // floats from one token's projections to the next
  LATTICE_UINT out_stride;  // and of the output
  LATTICE_UINT rows;  // tokens that the arrays between the kernels have room for: a multiple of the chunk
  LATTICE_UINT padded_dim;  // head_dim, rounded up to a multiple of 8
};

struct AttentionPrefillArgs {
  AttentionArgs heads;
  LATTICE_UINT stride;  // floats from one token's projections to the next
  LATTICE_UINT out_stride;
};

#define LATTICE_MASK_BLOCK 32  // rows, and columns, that one bit of a mask stands for
#define LATTICE_GDN_CHUNK 64   // tokens of a chunk of the delta rule

// Function constants.
#define LATTICE_FC_ROWS 0        // rows that a simdgroup multiplies together: 1, 2, 4 or 8
#define LATTICE_FC_SPLIT 1       // simdgroups that share a row's columns
#define LATTICE_FC_SIMDGROUPS 2  // of a threadgroup
#define LATTICE_FC_UNROLL 3      // chunks of a row that a lane loads together: 1 to 8
#define LATTICE_FC_NORM 4        // one of the GemvNorms: what of the input is folded in
#define LATTICE_FC_EPILOGUE 5    // one of the GemvEpilogues
#define LATTICE_FC_GROUP 6       // query heads of a KV head: 1 to 8
#define LATTICE_FC_LANE_DIMS 7   // head_dim / 32: 1 to 8
#define LATTICE_FC_VECTORS 8     // linear_head_dim / 4: 1 to 64
#define LATTICE_FC_AHEAD 9       // 1: what a round needs is loaded in the one before: GemvShape::ahead
#define LATTICE_FC_LONG 10       // 1: rows are longer than a stage
#define LATTICE_FC_TAPS 11       // of the causal convolution
#define LATTICE_FC_K_HEADS 12    // of a linear layer
#define LATTICE_FC_V_HEADS 13
#define LATTICE_FC_TILE_TOKENS \
  16  // of a GEMM's tile: a multiple of 8 · SIMD_TOKENS, at most 32 times it and 64
#define LATTICE_FC_TILE_ROWS 17    // likewise, of SIMD_ROWS
#define LATTICE_FC_SIMD_TOKENS 18  // simdgroups side by side along a tile's tokens
#define LATTICE_FC_SIMD_ROWS 19    // and along its rows
#define LATTICE_FC_PARTS 20        // 16-bit floats that hold a packed activation: 1 or 2
#define LATTICE_FC_BFLOAT 21       // 1: they are bfloat16, 0: half
#define LATTICE_FC_ADD 22          // 1: a norm's input has a product added first
#define LATTICE_FC_FLOATS 23       // 1: it is wanted in floats as well

#define LATTICE_FC_LOADS 24       // vectors of 4 floats that a thread brings to a stage
#define LATTICE_FC_ROUNDS 25      // one of the GemvRounds
#define LATTICE_FC_HEAD_PARTS 26  // threadgroups that share a head of gdn_step: divides its dimension
#define LATTICE_FC_ROTARY 27      // rotary_dim: even, at most head_dim
// Threadgroups of SIMDGROUPS that a core shall hold at a time: CUDA's compiler bounds their registers by it.
#define LATTICE_FC_RESIDENT 28
#define LATTICE_FC_TO_PLANES 29  // one of the Planes: how the output is left
#define LATTICE_FC_QUERIES 30    // query heads of a KV head that a threadgroup takes together: 1 to 4

// Columns of the input that a GEMV's threadgroup holds at a time: a multiple of what its simdgroups load
// together, which therefore is SPLIT · UNROLL · 32 chunks at most.
#define LATTICE_STAGE_COLS 4096

// How a vector lies that only a product will read: planes.h.
#define LATTICE_PLANES_NONE 0  // floats
#define LATTICE_PLANES_BYTES 1
#define LATTICE_PLANES_NIBBLES 2
#define LATTICE_MOST_PLANE_HEADS 64  // of a vector in planes that has its heads' norm left

#define LATTICE_NORM_NONE 0
#define LATTICE_NORM_RMS 1    // RMSNorm of x
#define LATTICE_NORM_HEADS 2  // what gdn_step leaves of its heads' norm: head_norm.h

// How often what a threadgroup loads together fills a row.
#define LATTICE_ROUNDS_ANY 0   // not a whole number of times
#define LATTICE_ROUNDS_ONE 1   // once
#define LATTICE_ROUNDS_MANY 2  // several times

#define LATTICE_EPILOGUE_STORE 0   // y = W x
#define LATTICE_EPILOGUE_ADD 1     // y += W x
#define LATTICE_EPILOGUE_SWIGLU 2  // rows in pairs: y[i] = silu(row 2i) · row 2i+1

}  // namespace lattice_gpu
