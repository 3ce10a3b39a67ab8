#include "formats/output_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "support/fail.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

}  // namespace

OutputFile::OutputFile(const fs::path& target) : target_(target) {
  std::error_code ignored;
  const fs::file_status status = fs::status(target_, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    fail("{}: cannot be written: it is there and is not a regular file", target_.string());
  }
  create();
  buffer_.reserve(kBufferBytes);
}

void OutputFile::create() {
  constexpr int kAttempts = 100;  // another process with our id, in another container, may have taken a name
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    temporary_ = fmt::format("{}.{}-{}.partial", target_.string(), ::getpid(), attempt);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ >= 0) return;
    if (errno != EEXIST) break;
  }
  fail("{}: cannot be created: {}", target_.string(), std::strerror(errno));
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::require_space(std::uint64_t bytes) const {
  std::error_code error;
  const fs::space_info space = fs::space(temporary_, error);
  if (!error && space.available < bytes) {
    fail("{}: cannot be written: it takes {} bytes, and its disk has {} bytes left", target_.string(), bytes,
         space.available);
  }
}

void OutputFile::write(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() > kBufferBytes) {
    write_through(bytes);
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
}

void OutputFile::write_zeros(std::uint64_t count) {
  static constexpr std::array<std::byte, 4096> kZeros{};
  while (count != 0) {
    const auto part = std::min<std::uint64_t>(count, kZeros.size());
    write(std::span(kZeros).first(part));
    count -= part;
  }
}

void OutputFile::flush() {
  write_through(buffer_);
  buffer_.clear();
}

void OutputFile::write_through(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("{}: cannot be written: {}", target_.string(), std::strerror(errno));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void OutputFile::commit() {
  flush();
  const bool on_disk = ::fsync(fd_) == 0;
  const bool closed = ::close(std::exchange(fd_, -1)) == 0;
  if (!on_disk || !closed || ::rename(temporary_.c_str(), target_.c_str()) != 0) {
    fail("{}: cannot be written: {}", target_.string(), std::strerror(errno));
  }
  temporary_.clear();
}

}  // namespace lattice
