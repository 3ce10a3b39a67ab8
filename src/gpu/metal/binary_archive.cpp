#include "gpu/metal/binary_archive.h"

#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

namespace lattice::gpu::metal {
namespace {

namespace fs = std::filesystem;

Owned<NS::URL> file_url(const fs::path& path) {
  const Owned<NS::String> text = ns_string(path.string());
  return Owned<NS::URL>(NS::URL::alloc()->initFileURLWithPath(text.get()));
}

}  // namespace

BinaryArchive::BinaryArchive(MTL::Device& device, const std::optional<fs::path>& folder,
                             const std::string& name)
    : device_(device) {
  if (!folder) return;
  const AutoreleaseScope scope;
  path_ = *folder / (name + ".metallib-archive");
  std::error_code error;
  if (fs::is_regular_file(path_, error)) archive_ = open(true);
  if (archive_ == nullptr) archive_ = open(false);
  if (archive_ == nullptr) return;
  const NS::Object* const elements[] = {archive_.get()};
  list_ = Owned<NS::Array>(NS::Array::alloc()->init(elements, 1));
}

BinaryArchive::~BinaryArchive() {
  if (archive_ != nullptr && has_grown_) save();
}

Owned<MTL::BinaryArchive> BinaryArchive::open(bool from_file) const {
  const Owned<MTL::BinaryArchiveDescriptor> descriptor(MTL::BinaryArchiveDescriptor::alloc()->init());
  if (from_file) descriptor->setUrl(file_url(path_).get());
  NS::Error* error = nullptr;
  return Owned<MTL::BinaryArchive>(device_.newBinaryArchive(descriptor.get(), &error));
}

Owned<MTL::ComputePipelineState> BinaryArchive::pipeline(MTL::ComputePipelineDescriptor& descriptor,
                                                         NS::Error** error) {
  if (archive_ == nullptr) {
    return Owned<MTL::ComputePipelineState>(
        device_.newComputePipelineState(&descriptor, MTL::PipelineOptionNone, nullptr, error));
  }
  descriptor.setBinaryArchives(list_.get());
  NS::Error* missing = nullptr;
  Owned<MTL::ComputePipelineState> kept(device_.newComputePipelineState(
      &descriptor, MTL::PipelineOptionFailOnBinaryArchiveMiss, nullptr, &missing));
  if (kept != nullptr) return kept;
  // Added first, so that it is compiled once: the pipeline is then made of what the archive holds.
  has_grown_ |= archive_->addComputePipelineFunctions(&descriptor, &missing);
  return Owned<MTL::ComputePipelineState>(
      device_.newComputePipelineState(&descriptor, MTL::PipelineOptionNone, nullptr, error));
}

void BinaryArchive::save() noexcept {
  try {
    const AutoreleaseScope scope;
    std::error_code failed;
    fs::create_directories(path_.parent_path(), failed);
    const fs::path unfinished = fmt::format("{}.{}", path_.string(), getpid());
    NS::Error* error = nullptr;
    const bool written = archive_->serializeToURL(file_url(unfinished).get(), &error);
    if (written) fs::rename(unfinished, path_, failed);
    if (!written || failed) fs::remove(unfinished, failed);
  } catch (...) {  // NOLINT(bugprone-empty-catch): what cannot be kept is compiled again
  }
}

}  // namespace lattice::gpu::metal
