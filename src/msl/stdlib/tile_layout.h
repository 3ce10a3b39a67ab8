// Where Apple's GPUs keep the elements of a simdgroup_matrix: lane l holds (row(l), column(l)) and its right neighbour. Metal
// does not say so, but kernels that use thread_elements() count on it.
#pragma once

namespace lattice_msl::tile {

constexpr unsigned row(unsigned lane) { return lane / 16 * 4 + lane / 2 % 4; }
constexpr unsigned column(unsigned lane) { return lane / 8 % 2 * 4 + lane % 2 * 2; }
/// The lane that holds an element.
constexpr unsigned owner(unsigned row, unsigned column) { return row / 4 * 16 + column / 4 * 8 + row % 4 * 2 + column % 4 / 2; }

}  // namespace lattice_msl::tile
