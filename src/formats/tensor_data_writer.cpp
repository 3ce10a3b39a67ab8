#include "formats/tensor_data_writer.h"

#include "support/checked.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice {

std::uint64_t TensorDataWriter::padding(std::uint64_t bytes) const noexcept {
  return (alignment_ - bytes % alignment_) % alignment_;
}

std::uint64_t TensorDataWriter::place(const std::string& name, std::uint64_t bytes) {
  if (!names_.insert(name).second)
    fail_usage("{}: tensor {} is added twice", file_.path().string(), printable(name));
  const std::uint64_t offset = total_bytes_;
  const auto end = checked_add(offset, bytes);
  const auto padded_end = end ? checked_add(*end, padding(*end)) : std::nullopt;
  if (!padded_end) fail_usage("{}: tensor {} is too large", file_.path().string(), printable(name));
  total_bytes_ = *padded_end;
  entries_.push_back({name, bytes});
  return offset;
}

void TensorDataWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  pass_complete_tensors();
  if (current_ == entries_.size() || entries_[current_].name != name) {
    fail_usage("{}: data of tensor {} out of turn", file_.path().string(), printable(name));
  }
  if (bytes.size() > entries_[current_].bytes - written_) {
    fail_usage("{}: more data of tensor {} than its {} bytes", file_.path().string(), printable(name),
               entries_[current_].bytes);
  }
  file_.write(bytes);
  written_ += bytes.size();
}

void TensorDataWriter::pass_complete_tensors() {
  for (; current_ < entries_.size() && entries_[current_].bytes == written_; ++current_, written_ = 0) {
    file_.write_zeros(padding(written_));
  }
}

void TensorDataWriter::finish() {
  pass_complete_tensors();
  if (current_ != entries_.size()) {
    fail_usage("{}: tensor {} got {} of its {} bytes", file_.path().string(),
               printable(entries_[current_].name), written_, entries_[current_].bytes);
  }
}

}  // namespace lattice
