#pragma once

#include <map>
#include <memory>
#include <tuple>

#include "gpu/cuda/cuda_commands.h"

namespace lattice::gpu::cuda {

struct CublasLt;

/// NVIDIA's cuBLASLt, which is opened at run time where it is installed. Its algorithm for a product is the
/// one that it recommends first: the same in every process, so that equal prompts have equal logits.
class MatrixLibrary {
 public:
  /// Null where there is no cuBLASLt, or none that serves.
  [[nodiscard]] static std::unique_ptr<MatrixLibrary> open(const Session& session);
  ~MatrixLibrary();
  MatrixLibrary(const MatrixLibrary&) = delete;
  MatrixLibrary& operator=(const MatrixLibrary&) = delete;

  /// Queues a product on `stream`, which may be one that is captured. Two of them must not run at the same
  /// time: they share the memory for intermediate results.
  void enqueue(const MatrixProduct& product, Stream stream);

 private:
  struct Plan;
  /// Whatever a plan depends on: what the product says of its matrices, and how each is aligned.
  using Key = std::tuple<int, std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t,
                         std::uint32_t, bool, std::uint64_t, std::uint64_t, std::uint64_t>;

  MatrixLibrary(const CublasLt& functions, const Session& session, void* handle);
  [[nodiscard]] const Plan& plan(const MatrixProduct& product);

  const CublasLt& functions_;
  const Session& session_;
  void* handle_;
  CudaBuffer workspace_;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace lattice::gpu::cuda
