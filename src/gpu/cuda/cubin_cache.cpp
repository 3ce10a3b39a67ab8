#include "gpu/cuda/cubin_cache.h"

#include <atomic>
#include <cstring>
#include <fstream>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include "support/fnv.h"

namespace lattice::gpu::cuda {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kKeySeed =
    kFnvOffset ^ 0x6c617474696365;                    // tells two keys apart whose names are equal
constexpr std::uint64_t kMagic = 0x31304e425543414c;  // "LACUBN01"

struct Header {
  std::uint64_t magic;
  std::uint64_t key;
  std::uint64_t bytes;
  std::uint64_t checksum;
};

Header header_of(std::string_view key, std::string_view value) {
  return {kMagic, fnv1a(key, kKeySeed), value.size(), fnv1a(value)};
}

}  // namespace

fs::path CubinCache::path_of(std::string_view key) const {
  return *folder_ / fmt::format("{:016x}.cubin", fnv1a(key));
}

std::optional<std::string> CubinCache::find(std::string_view key) const noexcept {
  if (!folder_) return std::nullopt;
  try {
    // Its size is asked of the file that was opened: another process may put a new one under the name
    // meanwhile.
    std::ifstream file(path_of(key), std::ios::binary | std::ios::ate);
    const auto bytes = static_cast<std::streamoff>(file.tellg());
    constexpr auto kHeader = static_cast<std::streamoff>(sizeof(Header));
    constexpr std::streamoff kLargest = 64 << 20;
    if (!file || bytes < kHeader || bytes > kLargest) return std::nullopt;
    file.seekg(0);
    Header header{};
    std::string value(static_cast<std::size_t>(bytes - kHeader), '\0');
    file.read(reinterpret_cast<char*>(&header), sizeof header);
    file.read(value.data(), static_cast<std::streamsize>(value.size()));
    const Header expected = header_of(key, value);
    if (!file || std::memcmp(&header, &expected, sizeof header) != 0) return std::nullopt;
    return value;
  } catch (...) {
    return std::nullopt;  // no memory, no file: it is compiled again
  }
}

void CubinCache::store(std::string_view key, std::string_view value) const noexcept {
  if (!folder_) return;
  try {
    static std::atomic<std::uint32_t> count{0};
    std::error_code error;
    fs::create_directories(*folder_, error);
    const fs::path path = path_of(key);
    const fs::path unfinished = fmt::format("{}.{}.{}", path.string(), getpid(), count.fetch_add(1));
    std::ofstream file(unfinished, std::ios::binary);
    const Header header = header_of(key, value);
    file.write(reinterpret_cast<const char*>(&header), sizeof header);
    file.write(value.data(), static_cast<std::streamsize>(value.size()));
    file.close();
    if (file) fs::rename(unfinished, path, error);
    if (!file || error) fs::remove(unfinished, error);
  } catch (...) {  // NOLINT(bugprone-empty-catch): what cannot be kept is compiled again
  }
}

}  // namespace lattice::gpu::cuda
