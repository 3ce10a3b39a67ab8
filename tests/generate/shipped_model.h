#pragma once

#include "lattice/model.hpp"
#include "model/golden.h"

namespace lattice {

/// The shipped model on the CPU; `threads` as in LoadOptions.
inline Model load_shipped(int threads = 0) {
  LoadOptions options;
  options.threads = threads;
  return Model::load(golden::shipped_model_path(), options);
}

/// The same for all tests of a program.
inline const Model& shipped_model() {
  static const Model model = load_shipped();
  return model;
}

}  // namespace lattice
