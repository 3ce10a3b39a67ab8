#include "gpu/device.h"

#include "support/fail.h"

namespace lattice::gpu {

void Buffer::check_range(std::size_t offset, std::size_t length) const {
  if (offset > bytes_ || length > bytes_ - offset) {
    fail_usage("{} bytes from {} on go past a device buffer of {}", length, offset, bytes_);
  }
}

void Commands::product(const MatrixProduct& /*product*/) {
  fail_usage("the device has no library of matrix products");
}

}  // namespace lattice::gpu
