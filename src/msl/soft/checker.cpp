#include "msl/soft/checker.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace lattice::msl {
namespace {

// Index arithmetic on a null pointer lands here.
constexpr std::uint64_t kNullPageBytes = 65536;
// An address this near to a threadgroup variable was meant for one. The runner keeps 256 bytes between two.
constexpr std::uint64_t kArenaMargin = 256;

constexpr std::size_t kNoObject = ~std::size_t{0};

std::string place_of(soft::Site site) {
  return fmt::format("{}:{}", site.file, site.line);
}

std::string_view verb(soft::AccessKind kind) {
  return kind == soft::kRead ? "read" : kind == soft::kWrite ? "written" : "changed atomically";
}

}  // namespace

Checker::Checker(std::string kernel, const GuardedMemory& memory, std::vector<CheckedBuffer> buffers,
                 std::vector<std::string> variables, Symbolizer symbolizer)
    : kernel_(std::move(kernel)),
      memory_(memory),
      buffers_(std::move(buffers)),
      variable_names_(std::move(variables)),
      symbolizer_(std::move(symbolizer)) {
  for (const CheckedBuffer& buffer : buffers_) shadows_.push_back(std::make_unique<Shadow>(buffer.bytes, 0));
}

void Checker::begin_threadgroup() {
  variables_.clear();
  arena_begin_ = ~std::uint64_t{0};
  arena_end_ = 0;
}

bool Checker::is_new(FindingKind kind, std::uint64_t place, std::size_t object) {
  const auto [entry, inserted] = seen_.try_emplace({kind, place, object}, findings_.size());
  if (!inserted) ++findings_[entry->second].count;
  return inserted;
}

void Checker::add(Finding finding) {
  finding.kernel = kernel_;
  findings_.push_back(std::move(finding));
}

std::vector<Finding> Checker::take_findings() {
  seen_.clear();
  // The same line can stand at several addresses of the code (inlined, unrolled): one finding is enough.
  std::vector<Finding> out;
  for (Finding& finding : findings_) {
    const auto same = std::find_if(out.begin(), out.end(), [&](const Finding& other) {
      return other.kind == finding.kind && other.place == finding.place && other.object == finding.object;
    });
    if (same == out.end() || finding.place.empty()) {
      out.push_back(std::move(finding));
    } else {
      same->count += finding.count;
    }
  }
  findings_.clear();
  return out;
}

Finding& Checker::report(FindingKind kind, const RunningThread& thread, std::string place, std::string object,
                         std::int64_t index, std::string detail) {
  Finding& finding = findings_.emplace_back();
  finding.kind = kind;
  finding.kernel = kernel_;
  finding.place = std::move(place);
  finding.object = std::move(object);
  finding.index = index;
  std::copy_n(thread.state->threadgroup_position, 3, finding.threadgroup.begin());
  std::copy_n(thread.state->position_in_threadgroup, 3, finding.thread.begin());
  finding.detail = std::move(detail);
  return finding;
}

void Checker::report_race(const RunningThread& thread, const Shadow::Race& race, soft::AccessKind kind,
                          const void* code, const std::string& object, std::int64_t index) {
  const bool other_group = race.other.threadgroup != thread.threadgroup;
  const std::string other =
      other_group ? fmt::format("thread {} of threadgroup {}", race.other.thread, race.other.threadgroup)
                  : fmt::format("thread {} of the same threadgroup", race.other.thread);
  report(FindingKind::kDataRace, thread, symbolizer_(code), object, index,
         fmt::format("{} here and {} by {}, with nothing to order the two", verb(kind), verb(race.other.kind),
                     other));
}

bool Checker::access(const RunningThread& thread, std::uint64_t address, std::uint64_t bytes,
                     soft::AccessKind kind, const void* code) {
  if (memory_.contains(address)) return device_access(thread, address, bytes, kind, code);
  if (address + kArenaMargin >= arena_begin_ && address < arena_end_ + kArenaMargin) {
    threadgroup_access(thread, address, bytes, kind, code);
    return true;
  }
  if (address >= kNullPageBytes) return true;  // the thread's own memory, or constants of the file
  const auto which = kind == soft::kRead ? FindingKind::kOutOfBoundsRead : FindingKind::kOutOfBoundsWrite;
  if (is_new(which, code, kNoObject)) {
    report(which, thread, symbolizer_(code), "", -1, "through a null pointer: a buffer that is not bound");
  }
  return false;
}

bool Checker::device_access(const RunningThread& thread, std::uint64_t address, std::uint64_t bytes,
                            soft::AccessKind kind, const void* code) {
  const GuardedMemory::Place place = memory_.find(address, bytes);
  const CheckedBuffer& buffer = buffers_[place.buffer];
  const auto element = static_cast<std::int64_t>(buffer.element_bytes);
  const auto size = static_cast<std::int64_t>(buffer.bytes);
  if (place.offset < 0 || place.offset + static_cast<std::int64_t>(bytes) > size) {
    const auto which = kind == soft::kRead ? FindingKind::kOutOfBoundsRead : FindingKind::kOutOfBoundsWrite;
    if (is_new(which, code, place.buffer)) {
      report(
          which, thread, symbolizer_(code), buffer.name, place.offset >= 0 ? place.offset / element : -1,
          fmt::format("{} bytes at byte {} of {} ({} elements)", bytes, place.offset, size, size / element));
    }
    return place.harmless;
  }
  const auto offset = static_cast<std::size_t>(place.offset);
  const auto race = shadows_[place.buffer]->record(thread, offset, bytes, kind);
  if (race && is_new(FindingKind::kDataRace, code, place.buffer)) {
    report_race(thread, *race, kind, code, buffer.name, static_cast<std::int64_t>(race->byte) / element);
  }
  return true;
}

void Checker::threadgroup_access(const RunningThread& thread, std::uint64_t address, std::uint64_t bytes,
                                 soft::AccessKind kind, const void* code) {
  // The variable that the address lies in, or the nearest before it (or, before the first, that one).
  std::size_t which = kNoObject;
  for (std::size_t i = 0; i < variables_.size(); ++i) {
    if (variables_[i].address <= address &&
        (which == kNoObject || variables_[i].address > variables_[which].address))
      which = i;
  }
  if (which == kNoObject) which = 0;
  Variable& variable = variables_[which];
  const auto offset = static_cast<std::int64_t>(address - variable.address);
  if (offset < 0 || offset + static_cast<std::int64_t>(bytes) > static_cast<std::int64_t>(variable.bytes)) {
    const auto bounds = kind == soft::kRead ? FindingKind::kOutOfBoundsRead : FindingKind::kOutOfBoundsWrite;
    if (is_new(bounds, code, buffers_.size() + which)) {
      report(bounds, thread, symbolizer_(code), variable.name, -1,
             fmt::format("{} bytes at byte {} of {}", bytes, offset, variable.bytes));
    }
    return;
  }
  const auto begin = static_cast<std::size_t>(offset);
  const bool reads = kind == soft::kRead || kind == soft::kAtomic;
  if (reads && !variable.shadow->written(begin, bytes) &&
      is_new(FindingKind::kUninitializedRead, code, buffers_.size() + which)) {
    report(FindingKind::kUninitializedRead, thread, symbolizer_(code), variable.name, -1,
           fmt::format("byte {} of {} was never written in this threadgroup", offset, variable.bytes));
  }
  const auto race = variable.shadow->record(thread, begin, bytes, kind);
  if (race && is_new(FindingKind::kDataRace, code, buffers_.size() + which)) {
    report_race(thread, *race, kind, code, fmt::format("{} (byte {})", variable.name, race->byte), -1);
  }
}

void Checker::variable(const void* address, std::uint64_t bytes, std::uint32_t id) {
  Variable out;
  out.address = reinterpret_cast<std::uint64_t>(address);
  out.bytes = bytes;
  out.name = id < variable_names_.size() ? fmt::format("threadgroup variable {}", variable_names_[id])
                                         : fmt::format("threadgroup memory {}", ~id);
  out.shadow = std::make_unique<Shadow>(bytes, 1);
  // What a kernel reads without having written it differs from what it would like to see: a NaN in every
  // float type.
  std::memset(const_cast<void*>(address), 0xff, bytes);
  arena_begin_ = std::min(arena_begin_, out.address);
  arena_end_ = std::max(arena_end_, out.address + bytes);
  variables_.push_back(std::move(out));
}

void Checker::divergent_group(const RunningThread& thread, const char* operation, soft::Site site,
                              unsigned reached, unsigned live) {
  if (!is_new(FindingKind::kDivergentOperation, std::hash<std::string>()(place_of(site)), kNoObject)) return;
  report(FindingKind::kDivergentOperation, thread, place_of(site), "", -1,
         fmt::format("{} was reached by {} of {} lanes", operation, reached, live));
}

void Checker::divergent_barrier(const RunningThread& thread, soft::Site site, unsigned left,
                                bool several_lines) {
  if (!is_new(FindingKind::kDivergentBarrier, std::hash<std::string>()(place_of(site)), kNoObject)) return;
  report(FindingKind::kDivergentBarrier, thread, place_of(site), "", -1,
         several_lines ? std::string("threads of one threadgroup wait at barriers on different lines")
                       : fmt::format("{} threads of the threadgroup had returned before the barrier", left));
}

}  // namespace lattice::msl
