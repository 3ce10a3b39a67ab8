// The likeliest token.

#include <metal_stdlib>

#include "kernel_args.h"
#include "sampling.h"

using namespace metal;
using namespace lattice_gpu;

/// peaks [slices] → the step's token, ring [args.drawn] and seen [ids]. One threadgroup of 32 threads.
[[kernel]] void sample_greedy(device StepState& step [[buffer(0)]], device const float* logits [[buffer(1)]],
                              device uint* seen [[buffer(2)]], device DrawnToken* ring [[buffer(3)]],
                              device const SamplingArgs& sampling [[buffer(4)]],
                              device const Peak* peaks [[buffer(5)]], constant SliceArgs& args [[buffer(6)]],
                              uint lane [[thread_index_in_simdgroup]]) {
  lattice_allow_next();
  lattice_wait_for_inputs();
  const Peak peak = peak_of(load_slices(peaks, no_peak(), args.slices, lane));
  if (lane != 0) return;
  DrawnToken drawn = {int(peak.id), peak.logit};
  if (!can_draw(peak)) drawn = no_token(peak, logits);
  leave_token(drawn, step, seen, ring, sampling, args);
}
