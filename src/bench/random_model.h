#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "model/weights.h"
#include "support/thread_pool.h"

namespace lattice::bench {

/// Random bytes of a weight matrix in `type`: signs, mantissas and quants are random, exponents and scales
/// such that an element is about 1/√cols, which keeps activations as they are in a trained model. Never
/// zeros, which some machines multiply faster, and which compress. The same for the same seed, at any number
/// of threads.
class RandomMatrix {
 public:
  /// Throws Error where the memory cannot be had.
  RandomMatrix(DType type, std::int64_t rows, std::int64_t cols, std::uint64_t seed, ThreadPool& pool);

  [[nodiscard]] MatrixView view() const noexcept;

 private:
  MatrixView shape_;
  std::unique_ptr<std::byte[]> data_;
};

/// A model with random weights, in memory. For a backend that repacks what it is given: the matrices of equal
/// width are windows into one pool of random bytes, each at another row, so that the whole takes little more
/// memory than its largest matrix.
class RandomModel {
 public:
  RandomModel(const Config& config, DType type, ThreadPool& pool);

  /// Point into this object, which must outlive them.
  [[nodiscard]] const Weights& weights() const noexcept { return weights_; }

  /// Bytes that the pools of such a model take.
  [[nodiscard]] static std::int64_t pool_bytes(const Config& config, DType type);
  /// Bytes that its matrices would take one by one: what a backend makes of them.
  [[nodiscard]] static std::int64_t matrix_bytes(const Config& config, DType type);

 private:
  std::map<std::int64_t, RandomMatrix> pools_;  // by columns
  Weights weights_;
};

}  // namespace lattice::bench
