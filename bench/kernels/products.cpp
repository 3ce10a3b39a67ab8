// GEMV and GEMM: every matrix of every size of the family, in every format, by every table of kernels.
//
// Names: gemv/FORMAT/SIZE/MATRIX/TABLE and gemm/…. Matrices are views into a pool of random bytes, a new
// place each time. One larger than the pool is multiplied in pieces, which reads the pool more than once and
// cache never.

#include <algorithm>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "bench/shapes.h"
#include "cpu/isa.h"
#include "cpu/packed_layout.h"
#include "cpu/packed_matrix.h"
#include "cpu/workspace.h"
#include "measured.h"

namespace lattice::bench {
namespace {

using cpu::kBlock;
using cpu::kGroupRows;

// A prefill batch of the backend.
constexpr std::int64_t kTokens = cpu::kBatch;
// The portable table is one to compare with, not to use: it takes seconds for the large matrices.
constexpr std::string_view kPortable = "scalar";

struct Format {
  std::string_view name;
  cpu::PackedFormat packed;
  RandomPool::Content content;
  int pair_shift = 0;
};

constexpr Format kFormats[] = {
    {"q8_0", cpu::PackedFormat::kQ8_0, RandomPool::Content::kQuants},
    {"q4_0", cpu::PackedFormat::kQ4_0, RandomPool::Content::kQuants},
    {"q4_k", cpu::PackedFormat::kQ4_K, RandomPool::Content::kQuants},
    {"q5_k", cpu::PackedFormat::kQ5_K, RandomPool::Content::kQuants},
    {"q6_k", cpu::PackedFormat::kQ6_K, RandomPool::Content::kQuants},
    {"mlx4", cpu::PackedFormat::kAffine4, RandomPool::Content::kQuants, 1},
    {"mlx8", cpu::PackedFormat::kAffine8, RandomPool::Content::kQuants, 1},
    {"bf16", cpu::PackedFormat::kBF16, RandomPool::Content::kBF16},
    {"f16", cpu::PackedFormat::kF16, RandomPool::Content::kF16},
    {"f32", cpu::PackedFormat::kF32, RandomPool::Content::kF32},
};

const RandomPool& pool_of(RandomPool::Content content, std::int64_t bytes) {
  static std::map<RandomPool::Content, std::unique_ptr<RandomPool>> pools;
  std::unique_ptr<RandomPool>& pool = pools[content];
  if (!pool) pool = std::make_unique<RandomPool>(content, bytes);
  return *pool;
}

/// Walks through the pools: a view of `groups` groups of rows, at the place after the last one's.
class ColdRows {
 public:
  ColdRows(const Format& format, std::int64_t cols)
      : format_(format),
        blocks_((cols + kBlock - 1) / kBlock),
        quant_bytes_(cpu::group_quant_bytes(format.packed, blocks_)),
        scale_bytes_(cpu::group_scale_bytes(format.packed, blocks_, format.pair_shift)),
        quants_(pool_of(format.content, cold_bytes())),
        // No format has more than four bytes of scales to sixteen of quants.
        scales_(scale_bytes_ == 0 ? nullptr : &pool_of(RandomPool::Content::kScales, cold_bytes() / 4)),
        groups_(quants_.size() / quant_bytes_) {}

  /// Groups that fit a pool.
  [[nodiscard]] std::int64_t most_groups() const noexcept { return groups_; }
  [[nodiscard]] std::int64_t group_bytes() const noexcept { return quant_bytes_ + scale_bytes_; }
  cpu::PackedRows take(std::int64_t groups) {
    if (next_ + groups > groups_) next_ = 0;
    cpu::PackedRows rows;
    rows.quants = quants_.data() + next_ * quant_bytes_;
    if (scales_ != nullptr) rows.scales = scales_->data() + next_ * scale_bytes_;
    rows.rows = groups * kGroupRows;
    rows.blocks = blocks_;
    rows.pair_shift = format_.pair_shift;
    rows.ahead = cpu::weights_ahead();
    next_ += groups;
    return rows;
  }

 private:
  const Format& format_;
  std::int64_t blocks_;
  std::int64_t quant_bytes_;  // of a group of rows
  std::int64_t scale_bytes_;
  const RandomPool& quants_;
  const RandomPool* scales_;
  std::int64_t groups_;
  std::int64_t next_ = 0;
};

void multiply(benchmark::State& state, const Format& format, const Table& table, const MatrixShape& shape,
              std::int64_t tokens) {
  const std::int64_t groups = (shape.rows + kGroupRows - 1) / kGroupRows;
  const std::int64_t stride = groups * kGroupRows;
  ColdRows cold(format, shape.cols);
  cpu::PreparedVectors x(tokens, shape.cols, *table.kernels);
  for (std::int64_t t = 0; t < tokens; ++t) {
    float* values = x.values(t, shape.cols);
    for (std::int64_t i = 0; i < shape.cols; ++i)
      values[i] = static_cast<float>((i * 37 + t * 11) % 64 - 32) / 32;
    x.quantise(t, shape.cols);
    x.widen(t, shape.cols);
    x.split(t, shape.cols);
  }
  std::vector<float> y(static_cast<std::size_t>(tokens * stride));
  const cpu::Product product = cpu::product_for(*table.kernels, format.packed, false);
  const auto elements = static_cast<double>(shape.rows * shape.cols);
  const Work work{.bytes = static_cast<double>(groups * cold.group_bytes()),
                  .flop = 2 * elements * static_cast<double>(tokens)};
  measure(state, work, [&] {
    for (std::int64_t done = 0; done < groups;) {
      const std::int64_t piece = std::min(groups - done, cold.most_groups());
      const cpu::PackedRows rows = cold.take(piece);
      float* out = y.data() + done * kGroupRows;
      team().run([&](int thread) {
        const Share share = share_of(piece, thread, team().size());
        product(rows, share.first, share.last, x.data(), tokens, out, stride);
      });
      done += piece;
    }
  });
}

void add(const char* kind, const Format& format, std::string_view size, const MatrixShape& shape,
         const Table& table, std::int64_t tokens) {
  const std::string name = fmt::format("{}/{}/{}/{}/{}", kind, format.name, size, shape.name, table.name);
  benchmark::RegisterBenchmark(name.c_str(),
                               [&format, shape, &table, tokens](benchmark::State& state) {
                                 multiply(state, format, table, shape, tokens);
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

void register_products() {
  for (const Table& table : tables()) {
    const bool portable = table.name == kPortable;
    for (const Format& format : kFormats) {
      for (const std::string_view size : shape_names()) {
        if (portable && size != shape_names().front()) continue;
        for (const MatrixShape& shape : matrix_shapes(shape_config(size))) {
          const bool head = shape.name == "head";
          if (!(portable && head)) add("gemv", format, size, shape, table, 1);
          // Prefill multiplies the head with the last token alone.
          if (!portable && !head) add("gemm", format, size, shape, table, kTokens);
        }
      }
    }
  }
}

}  // namespace lattice::bench
