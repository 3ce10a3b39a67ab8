#include "gpu/argument_check.h"

#include <algorithm>
#include <bit>

#include "msl/soft/soft_module.h"
#include "support/fail.h"

namespace lattice::gpu {
namespace {

constexpr std::size_t kLargestAlignment = 16;  // of a kernel's types

/// The largest alignment that elements of this size can ask for.
std::size_t alignment_of(std::size_t element_bytes) {
  return std::min(kLargestAlignment,
                  std::size_t{1} << std::countr_zero(std::max<std::size_t>(element_bytes, 1)));
}

void check_constants(std::string_view kernel, const KernelParameter& parameter, std::size_t element,
                     const Argument& argument) {
  if (!parameter.takes_constants) {
    fail_usage("kernel {}: parameter {} is a device buffer, and constants were given", kernel,
               parameter.name);
  }
  if (argument.constants().size() != element) {
    fail_usage("kernel {}: parameter {} has {} bytes, and {} were given", kernel, parameter.name, element,
               argument.constants().size());
  }
}

void check_argument(std::string_view kernel, const KernelParameter& parameter, std::size_t element,
                    const Argument& argument) {
  if (argument.buffer() == nullptr) return check_constants(kernel, parameter, element, argument);
  if (parameter.by_value) {
    fail_usage("kernel {}: parameter {} takes constants, and a buffer was given", kernel, parameter.name);
  }
  const std::size_t bytes = argument.buffer()->bytes();
  if (argument.offset() > bytes || bytes - argument.offset() < element) {
    fail_usage(
        "kernel {}: parameter {} begins at byte {} of a buffer of {}, which leaves less than one element "
        "of {}",
        kernel, parameter.name, argument.offset(), bytes, element);
  }
  if (argument.offset() % alignment_of(element) != 0) {
    fail_usage("kernel {}: parameter {} begins at byte {}, which is no multiple of {}", kernel,
               parameter.name, argument.offset(), alignment_of(element));
  }
}

/// `multiple`: of elements, what columns, stride and place have to be multiples of.
void check_operand(char name, const Argument& matrix, std::uint64_t rows, std::uint64_t cols,
                   std::uint64_t stride, std::size_t element, std::uint64_t multiple) {
  if (matrix.buffer() == nullptr) fail_usage("matrix {} of a product is no buffer", name);
  if (rows == 0 || cols == 0 || stride < cols || cols % multiple != 0 || stride % multiple != 0) {
    fail_usage("matrix {} of a product has {} rows of {} elements, {} apart, of which {} go together", name,
               rows, cols, stride, multiple);
  }
  const std::size_t bytes = matrix.buffer()->bytes();
  const std::uint64_t needed = (rows - 1) * stride + cols;  // below 2⁶⁴: all three are of 32 bits
  if (matrix.offset() > bytes || (bytes - matrix.offset()) / element < needed ||
      matrix.offset() % (element * multiple) != 0) {
    fail_usage("matrix {} of a product takes {} elements of {} bytes from byte {} on, in a buffer of {}",
               name, needed, element, matrix.offset(), bytes);
  }
}

}  // namespace

void check_product(const MatrixProduct& product) {
  constexpr std::size_t kElement = 2;
  constexpr std::uint64_t kTogether = 8;  // 16 bytes, which libraries load at a time
  check_operand('W', product.w, product.rows, product.cols, product.w_stride, kElement, kTogether);
  check_operand('X', product.x, product.vectors, product.cols, product.x_stride, kElement, kTogether);
  check_operand('Y', product.y, product.vectors, product.rows, product.y_stride, sizeof(float), 1);
}

msl::Grid check_dispatch(const KernelSignature& signature, const soft::KernelInfo& info,
                         std::span<const Argument> arguments, Extent threadgroups,
                         std::uint32_t threads_per_threadgroup) {
  const std::vector<KernelParameter>& parameters = signature.parameters;
  if (arguments.size() != parameters.size()) {
    fail_usage("kernel {} takes {} buffers, not {}", signature.name, parameters.size(), arguments.size());
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    check_argument(signature.name, parameters[i], info.parameters[parameters[i].place].element_bytes,
                   arguments[i]);
  }
  if (signature.max_threads != 0 && threads_per_threadgroup > signature.max_threads) {
    fail_usage("kernel {} takes threadgroups of at most {} threads, not {}", signature.name,
               signature.max_threads, threads_per_threadgroup);
  }
  if (std::uint64_t{threadgroups.x} * threads_per_threadgroup > UINT32_MAX) {
    fail_usage("kernel {}: {} threadgroups of {} threads are too many", signature.name, threadgroups.x,
               threads_per_threadgroup);
  }
  const msl::Grid grid{{threadgroups.x * threads_per_threadgroup, threadgroups.y, threadgroups.z},
                       {threads_per_threadgroup, 1, 1}};
  msl::validate(grid);
  return grid;
}

}  // namespace lattice::gpu
