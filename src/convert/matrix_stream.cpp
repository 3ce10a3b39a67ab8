#include "convert/matrix_stream.h"

#include <algorithm>
#include <cstring>

#include "model/value_check.h"
#include "quant/blocks.h"
#include "support/fail.h"

namespace lattice {
namespace {

/// Elements of a batch for each thread: enough work to make a phase's cost vanish, and 4 MiB of F32.
constexpr std::int64_t kBatchElements = std::int64_t{1} << 20;

/// The bytes of one row of `cols` elements.
std::int64_t row_bytes_of(DType type, std::int64_t cols) {
  return cols / block_elements(type) * block_bytes(type);
}

/// Converts single rows of one matrix; one object a thread.
class RowConverter {
 public:
  RowConverter(const PlannedMatrix& matrix, DType type)
      : matrix_(matrix),
        type_(type),
        copies_(matrix.source.dtype == type &&
                (matrix.cols.source.empty() || matrix.cols.unit % block_elements(type) == 0)),
        values_(copies_ ? 0 : static_cast<std::size_t>(matrix.source.cols)),
        moved_(copies_ || matrix.cols.source.empty() ? 0 : values_.size()) {}

  /// Writes row `row` of the output to `out`.
  void convert(std::int64_t row, std::byte* out) {
    const std::int64_t source_row = matrix_.rows.source_of(row);
    if (copies_) {
      copy(source_row, out);
      return;
    }
    dequantize_row(matrix_.source, source_row, values_);
    if (matrix_.cols.source.empty()) {
      quantize_blocks(type_, values_, out);
      return;
    }
    for (std::size_t i = 0; i < moved_.size(); ++i) {
      moved_[i] = values_[static_cast<std::size_t>(matrix_.cols.source_of(static_cast<std::int64_t>(i)))];
    }
    quantize_blocks(type_, moved_, out);
  }

 private:
  void copy(std::int64_t source_row, std::byte* out) const {
    const std::int64_t row_bytes = matrix_.source.row_bytes();
    const std::byte* in = matrix_.source.data + source_row * row_bytes;
    if (matrix_.cols.source.empty()) {
      std::memcpy(out, in, static_cast<std::size_t>(row_bytes));
      return;
    }
    const std::int64_t part_bytes = row_bytes_of(type_, matrix_.cols.unit);
    for (const std::int64_t part : matrix_.cols.source) {
      std::memcpy(out, in + part * part_bytes, static_cast<std::size_t>(part_bytes));
      out += part_bytes;
    }
  }

  const PlannedMatrix& matrix_;
  DType type_;
  bool copies_;  // the source's own blocks, rather than rounding them again
  std::vector<float> values_;
  std::vector<float> moved_;
};

}  // namespace

void MatrixStream::convert(const std::string& name, const PlannedMatrix& matrix, DType type,
                           const Sink& sink) {
  const MatrixView& source = matrix.source;
  const std::int64_t row_bytes = row_bytes_of(type, source.cols);
  const std::int64_t batch_rows =
      std::min(source.rows, pool_.size() * std::max<std::int64_t>(1, kBatchElements / source.cols));
  batch_.resize(static_cast<std::size_t>(batch_rows * row_bytes));

  for (std::int64_t first = 0; first < source.rows; first += batch_rows) {
    const std::int64_t rows = std::min(batch_rows, source.rows - first);
    pool_.run([&](int thread) {
      RowConverter converter(matrix, type);
      const Share share = share_of(rows, thread, pool_.size());
      for (std::int64_t i = share.first; i < share.last; ++i) {
        const std::int64_t source_row = matrix.rows.source_of(first + i);
        if (!row_is_finite(source, source_row)) {
          fail("{}: {} has a value or a scale that is not finite in row {}", file_, name, source_row);
        }
        converter.convert(first + i, batch_.data() + i * row_bytes);
        const MatrixView converted{type, 1, source.cols, batch_.data() + i * row_bytes, {}};
        if (!row_is_finite(converted, 0)) {
          fail("{}: {} has a value in row {} that is too large for {}; choose bf16 or f32", file_, name,
               source_row, dtype_name(type));
        }
      }
    });
    sink(std::span(batch_).first(static_cast<std::size_t>(rows * row_bytes)));
  }
}

}  // namespace lattice
