#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "convert/tensor_plan.h"
#include "support/thread_pool.h"

namespace lattice {

/// Takes matrices from one type to another, a batch of rows at a time: memory stays at some megabytes a
/// thread, whatever the size of the matrix.
class MatrixStream {
 public:
  /// `file` names the source in messages.
  MatrixStream(std::string file, int threads) : pool_(threads), file_(std::move(file)) {}

  /// Called with the bytes that come next.
  using Sink = std::function<void(std::span<const std::byte>)>;

  /// Converts `matrix` to `type` and hands all of its rows to `sink`, in order. Rows that are of that type
  /// already are passed on unchanged, and not rounded again. Throws Error naming the file and `name` where a
  /// value is NaN or infinite, or would be in the new type.
  void convert(const std::string& name, const PlannedMatrix& matrix, DType type, const Sink& sink);

 private:
  ThreadPool pool_;
  std::vector<std::byte> batch_;
  std::string file_;
};

}  // namespace lattice
