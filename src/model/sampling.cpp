#include "lattice/sampling.hpp"

#include <cmath>

#include "support/fail.h"

namespace lattice {

void Sampling::check() const {
  // Written so that a NaN fails every test.
  if (!(temperature >= 0) || std::isinf(temperature)) {
    fail_usage("temperature is {}, not 0 or a positive number", temperature);
  }
  if (top_k < 0) fail_usage("top_k is {}, not 0 (all) or a positive number", top_k);
  if (!(top_p > 0 && top_p <= 1)) fail_usage("top_p is {}, not above 0 and at most 1", top_p);
  if (!(min_p >= 0 && min_p < 1)) fail_usage("min_p is {}, not at least 0 and below 1", min_p);
  if (!(repetition_penalty > 0) || std::isinf(repetition_penalty)) {
    fail_usage("repetition_penalty is {}, not a positive number", repetition_penalty);
  }
  if (!(presence_penalty >= -2 && presence_penalty <= 2)) {
    fail_usage("presence_penalty is {}, not between -2 and 2", presence_penalty);
  }
  if (!(frequency_penalty >= -2 && frequency_penalty <= 2)) {
    fail_usage("frequency_penalty is {}, not between -2 and 2", frequency_penalty);
  }
}

}  // namespace lattice
