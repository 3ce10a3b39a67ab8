// What simdgroup_matrix needs of the soft device.
#pragma once

#include "soft/target_simd.h"

namespace lattice_msl::target {

/// Checks that the simdgroup comes together, and says which lane this is.
inline unsigned enter_tile(const char* name, Site site) {
  unsigned lane = 0;
  active_mask<lattice::soft::kSimdScope>(lane, name, site);
  return lane;
}
inline unsigned current_lane(Site site = here()) { return enter_tile("simdgroup_matrix", site); }

/// One value of every lane, readable by all. Valid until the lane's next simdgroup operation.
template <class T>
class Exchange {
 public:
  Exchange(const T& own, const char* name, Site site)
      : all_(collect<lattice::soft::kSimdScope>(own, nullptr, name, site, lane_)) {}
  unsigned lane() const { return lane_; }
  const T& read(unsigned lane) const { return slot<T>(all_, lane); }

 private:
  unsigned lane_ = 0;
  const Collective* all_;
};

}  // namespace lattice_msl::target
