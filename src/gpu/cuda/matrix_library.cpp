#include "gpu/cuda/matrix_library.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "gpu/cuda/shared_library.h"

namespace lattice::gpu::cuda {

// The part of cuBLASLt's interface that is used, declared here as its documentation has it. Matrices are
// column-major there: Y [vectors, rows] is D [rows, vectors] = Wᵀ X, with W and X as [cols, …].

using Status = int;  // cublasStatus_t
using Handle = void*;
using Descriptor = void*;  // of an operation, a layout or a preference

/// cublasLtMatmulAlgo_t
struct Algorithm {
  std::array<std::uint64_t, 8> data;
};
/// cublasLtMatmulHeuristicResult_t
struct Candidate {
  Algorithm algorithm;
  std::size_t workspace_bytes;
  Status status;
  float waves;
  std::array<int, 4> reserved;
};

struct CublasLt {
  Status (*create)(Handle*);
  Status (*destroy)(Handle);
  const char* (*status_string)(Status);
  Status (*operation_create)(Descriptor*, int compute_type, int scale_type);
  Status (*operation_destroy)(Descriptor);
  Status (*operation_set)(Descriptor, int attribute, const void*, std::size_t);
  Status (*layout_create)(Descriptor*, int type, std::uint64_t rows, std::uint64_t cols, std::int64_t stride);
  Status (*layout_destroy)(Descriptor);
  Status (*preference_create)(Descriptor*);
  Status (*preference_destroy)(Descriptor);
  Status (*preference_set)(Descriptor, int attribute, const void*, std::size_t);
  Status (*candidates)(Handle, Descriptor operation, Descriptor a, Descriptor b, Descriptor c, Descriptor d,
                       Descriptor preference, int wanted, Candidate*, int* found);
  Status (*multiply)(Handle, Descriptor operation, const void* alpha, DevicePointer a, Descriptor a_layout,
                     DevicePointer b, Descriptor b_layout, const void* beta, DevicePointer c,
                     Descriptor c_layout, DevicePointer d, Descriptor d_layout, const Algorithm*,
                     DevicePointer workspace, std::size_t, Stream);
};

namespace {

constexpr int kComputeFloat = 68;                 // CUBLAS_COMPUTE_32F
constexpr int kFloat = 0;                         // CUDA_R_32F
constexpr int kHalf = 2;                          // CUDA_R_16F
constexpr int kBfloat16 = 14;                     // CUDA_R_16BF
constexpr int kTransposeA = 3;                    // CUBLASLT_MATMUL_DESC_TRANSA
constexpr std::int32_t kTransposed = 1;           // CUBLAS_OP_T
constexpr int kMostWorkspace = 1;                 // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
constexpr int kAlignment[] = {5, 6, 7, 8};        // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES and of B, C, D
constexpr std::size_t kWorkspace = 32u << 20;     // what NVIDIA recommends for compute capability 9.0
constexpr std::uint64_t kLargestAlignment = 256;  // that the library knows of

std::optional<CublasLt> load() {
  std::vector<std::string> names = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"};
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const char* home = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nothing here sets any
    if (home != nullptr) names.push_back(fmt::format("{}/lib64/libcublasLt.so", home));
  }
  names.emplace_back("/usr/local/cuda/lib64/libcublasLt.so");
  const SharedLibrary library(names);
  if (!library.is_open()) return std::nullopt;
  CublasLt out{};
  bool complete = true;
  const auto find = [&](auto& function, const char* name) {
    library.load(function, name);
    complete &= function != nullptr;
  };
  find(out.create, "cublasLtCreate");
  find(out.destroy, "cublasLtDestroy");
  find(out.status_string, "cublasLtGetStatusString");
  find(out.operation_create, "cublasLtMatmulDescCreate");
  find(out.operation_destroy, "cublasLtMatmulDescDestroy");
  find(out.operation_set, "cublasLtMatmulDescSetAttribute");
  find(out.layout_create, "cublasLtMatrixLayoutCreate");
  find(out.layout_destroy, "cublasLtMatrixLayoutDestroy");
  find(out.preference_create, "cublasLtMatmulPreferenceCreate");
  find(out.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  find(out.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  find(out.candidates, "cublasLtMatmulAlgoGetHeuristic");
  find(out.multiply, "cublasLtMatmul");
  if (!complete) return std::nullopt;
  return out;
}

void check(const CublasLt& functions, Status status, std::string_view doing) {
  if (status != 0) fail("cuda: {} failed: cuBLASLt says {}", doing, functions.status_string(status));
}

DevicePointer address_of(const Argument& matrix) {
  return dynamic_cast<const CudaBuffer&>(*matrix.buffer()).address() + matrix.offset();
}

std::uint64_t alignment_of(const Argument& matrix) {
  const DevicePointer address = address_of(matrix);
  return std::min(kLargestAlignment, std::uint64_t{1} << std::countr_zero(address));
}

/// A descriptor, with what ends it.
class Owned {
 public:
  explicit Owned(Status (*destroy)(Descriptor)) : destroy_(destroy) {}
  ~Owned() {
    if (at_ != nullptr) (void)destroy_(at_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  [[nodiscard]] Descriptor* place() noexcept { return &at_; }
  [[nodiscard]] Descriptor get() const noexcept { return at_; }

 private:
  Status (*destroy_)(Descriptor);
  Descriptor at_ = nullptr;
};

}  // namespace

/// How products of one kind are made.
struct MatrixLibrary::Plan {
  explicit Plan(const CublasLt& functions)
      : operation(functions.operation_destroy),
        w(functions.layout_destroy),
        x(functions.layout_destroy),
        y(functions.layout_destroy) {}
  Owned operation;
  Owned w;
  Owned x;
  Owned y;
  Algorithm algorithm{};
};

std::unique_ptr<MatrixLibrary> MatrixLibrary::open(const Session& session) {
  static const std::optional<CublasLt> functions = load();
  if (!functions) return nullptr;
  (void)session.use();
  Handle handle = nullptr;
  if (functions->create(&handle) != 0) return nullptr;
  return std::unique_ptr<MatrixLibrary>(new MatrixLibrary(*functions, session, handle));
}

MatrixLibrary::MatrixLibrary(const CublasLt& functions, const Session& session, void* handle)
    : functions_(functions), session_(session), handle_(handle), workspace_(session, kWorkspace) {}

MatrixLibrary::~MatrixLibrary() {
  plans_.clear();
  session_.make_current();
  (void)functions_.destroy(handle_);
}

const MatrixLibrary::Plan& MatrixLibrary::plan(const MatrixProduct& product) {
  const std::uint64_t alignments[] = {alignment_of(product.w), alignment_of(product.x),
                                      alignment_of(product.y)};
  const Key key{static_cast<int>(product.element),
                product.vectors,
                product.rows,
                product.cols,
                product.w_stride,
                product.x_stride,
                product.y_stride,
                product.accumulate,
                alignments[0],
                alignments[1],
                alignments[2]};
  if (const auto found = plans_.find(key); found != plans_.end()) return *found->second;

  constexpr std::string_view kDoing = "planning a product of matrices";
  const auto done = [&](Status status) { check(functions_, status, kDoing); };
  auto plan = std::make_unique<Plan>(functions_);
  const int type = product.element == MatrixProduct::Element::kHalf ? kHalf : kBfloat16;
  done(functions_.operation_create(plan->operation.place(), kComputeFloat, kFloat));
  done(functions_.operation_set(plan->operation.get(), kTransposeA, &kTransposed, sizeof kTransposed));
  done(functions_.layout_create(plan->w.place(), type, product.cols, product.rows, product.w_stride));
  done(functions_.layout_create(plan->x.place(), type, product.cols, product.vectors, product.x_stride));
  done(functions_.layout_create(plan->y.place(), kFloat, product.rows, product.vectors, product.y_stride));

  Owned preference(functions_.preference_destroy);
  done(functions_.preference_create(preference.place()));
  done(functions_.preference_set(preference.get(), kMostWorkspace, &kWorkspace, sizeof kWorkspace));
  for (std::size_t i = 0; i < std::size(kAlignment); ++i) {
    const auto bytes = static_cast<std::uint32_t>(alignments[std::min<std::size_t>(i, 2)]);  // C is D
    done(functions_.preference_set(preference.get(), kAlignment[i], &bytes, sizeof bytes));
  }
  Candidate best{};
  int found = 0;
  done(functions_.candidates(handle_, plan->operation.get(), plan->w.get(), plan->x.get(), plan->y.get(),
                             plan->y.get(), preference.get(), 1, &best, &found));
  if (found == 0) {
    fail("cuda: cuBLASLt has no way to multiply {} vectors with {} x {} weights", product.vectors,
         product.rows, product.cols);
  }
  done(best.status);
  plan->algorithm = best.algorithm;
  return *plans_.emplace(key, std::move(plan)).first->second;
}

void MatrixLibrary::enqueue(const MatrixProduct& product, Stream stream) {
  (void)session_.use();
  const Plan& how = plan(product);
  const float beta = product.accumulate ? 1.0f : 0.0f;
  check(functions_,
        functions_.multiply(handle_, how.operation.get(), &product.alpha, address_of(product.w), how.w.get(),
                            address_of(product.x), how.x.get(), &beta, address_of(product.y), how.y.get(),
                            address_of(product.y), how.y.get(), &how.algorithm, workspace_.address(),
                            kWorkspace, stream),
        "multiplying matrices");
}

}  // namespace lattice::gpu::cuda
