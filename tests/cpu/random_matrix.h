#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "quant/blocks.h"
#include "quant/matrix_view.h"
#include "support/float16.h"

namespace lattice::cpu {

/// A weight format, as files have it.
struct FileFormat {
  DType type;
  int bits = 0;  // affine, and what follows
  int group_size = 0;
  DType scale_type = DType::kBF16;

  [[nodiscard]] bool is_quantised() const { return type == DType::kAffine || block_elements(type) > 1; }
  /// Columns that come in whole numbers of this many.
  [[nodiscard]] std::int64_t columns_together() const {
    return type == DType::kAffine ? group_size : block_elements(type);
  }
  [[nodiscard]] std::string name() const {
    const std::string name(dtype_name(type));
    if (type != DType::kAffine) return name;
    return name + std::to_string(bits) + "/" + std::to_string(group_size) + "/" +
           std::string(dtype_name(scale_type));
  }
};

/// A matrix of a file, in memory. Where lattice has a quantiser for the format, its elements are what
/// `element` gives, quantised; elsewhere codes and whole-number scales are what `byte` gives, and the scales
/// before them such that no weight is larger than what `element` gives.
class RandomMatrix {
 public:
  RandomMatrix(const FileFormat& format, std::int64_t rows, std::int64_t cols,
               const std::function<float()>& element, const std::function<std::uint8_t()>& byte) {
    view_.dtype = format.type;
    view_.rows = rows;
    view_.cols = cols;
    view_.affine.bits = format.bits;
    view_.affine.group_size = format.group_size;
    view_.affine.scale_type = format.scale_type;
    data_.resize(static_cast<std::size_t>(rows * view_.row_bytes()));
    view_.data = data_.data();
    if (format.type == DType::kAffine) {
      fill_affine(element, byte);
    } else if (largest_multiple(format.type) == 0) {
      std::vector<float> row(static_cast<std::size_t>(cols));
      for (std::int64_t r = 0; r < rows; ++r) {
        for (float& x : row) x = element();
        quantize_blocks(format.type, row, data_.data() + r * view_.row_bytes());
      }
    } else {
      fill_blocks(element, byte);
    }
  }

  [[nodiscard]] const MatrixView& view() const { return view_; }

 private:
  /// How much larger than its d a weight can be; 0 where there is a quantiser.
  static float largest_multiple(DType type) {
    switch (type) {
      case DType::kQ5_0:
        return 16;
      case DType::kQ4_1:
        return 2 * 16;  // half of it is the minimum's
      case DType::kQ5_1:
        return 2 * 32;
      case DType::kQ4_K:
        return 2 * 63 * 15;
      case DType::kQ5_K:
        return 2 * 63 * 31;
      case DType::kQ6_K:
        return 128 * 32;
      default:
        return 0;
    }
  }

  void put_f16(std::byte* at, float value) {
    const std::uint16_t bits = f32_to_f16(value);
    std::memcpy(at, &bits, sizeof bits);
  }

  void fill_blocks(const std::function<float()>& element, const std::function<std::uint8_t()>& byte) {
    for (std::byte& b : data_) b = std::byte{byte()};
    const std::int64_t bytes = block_bytes(view_.dtype);
    const float part = 1 / largest_multiple(view_.dtype);
    for (std::size_t i = 0; i < data_.size(); i += static_cast<std::size_t>(bytes)) {
      std::byte* block = data_.data() + i;
      if (view_.dtype == DType::kQ6_K) {
        put_f16(block + 208, element() * part);
        continue;
      }
      put_f16(block, element() * part);
      if (view_.dtype == DType::kQ4_1 || view_.dtype == DType::kQ5_1) put_f16(block + 2, element() / 2);
      if (view_.dtype == DType::kQ4_K || view_.dtype == DType::kQ5_K)
        put_f16(block + 2, element() / (2 * 63));
    }
  }

  void fill_affine(const std::function<float()>& element, const std::function<std::uint8_t()>& byte) {
    for (std::byte& b : data_) b = std::byte{byte()};
    const AffineGroups& affine = view_.affine;
    const auto groups = static_cast<std::size_t>(view_.rows * view_.cols / affine.group_size);
    std::vector<float> scales(groups);
    std::vector<float> biases(groups);
    for (float& scale : scales) scale = element() / static_cast<float>(2 << affine.bits);
    for (float& bias : biases) bias = element() / 2;
    const auto bytes = static_cast<std::size_t>(block_bytes(affine.scale_type));
    scales_.resize(groups * bytes);
    biases_.resize(groups * bytes);
    quantize_blocks(affine.scale_type, scales, scales_.data());
    quantize_blocks(affine.scale_type, biases, biases_.data());
    view_.affine.scales = scales_.data();
    view_.affine.biases = biases_.data();
  }

  MatrixView view_;
  std::vector<std::byte> data_;
  std::vector<std::byte> scales_;
  std::vector<std::byte> biases_;
};

}  // namespace lattice::cpu
