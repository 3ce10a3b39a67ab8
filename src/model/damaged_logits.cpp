#include "model/damaged_logits.h"

#include "support/fail.h"

namespace lattice {

void fail_damaged_logit(std::int64_t token, float logit) {
  fail("the model's logit of token {} is {}: {}", token, logit, kCausesOfDamage);
}

void fail_no_token() {
  fail("no token is left to draw: all logits are -inf");
}

}  // namespace lattice
