#include "msl/soft/shadow.h"

#include <algorithm>
#include <cstring>

#include <sys/mman.h>

#include "support/fail.h"

namespace lattice::msl {
namespace {

bool is_atomic(soft::AccessKind kind) {
  return kind == soft::kAtomic || kind == soft::kAtomicStore;
}

}  // namespace

Shadow::Shadow(std::size_t bytes, int space) : bytes_(bytes), space_(space) {
  void* at = mmap(nullptr, std::max<std::size_t>(bytes, 1) * sizeof(Cell), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    fail("cannot map the {} bytes that checking {} bytes of memory needs", bytes * sizeof(Cell), bytes);
  cells_ = static_cast<Cell*>(at);
}

Shadow::~Shadow() {
  munmap(cells_, std::max<std::size_t>(bytes_, 1) * sizeof(Cell));
}

void Shadow::clear(std::size_t begin, std::size_t count) noexcept {
  std::memset(static_cast<void*>(cells_ + begin), 0, count * sizeof(Cell));
}

bool Shadow::written(std::size_t begin, std::size_t count) const noexcept {
  return std::all_of(cells_ + begin, cells_ + begin + count,
                     [](const Cell& cell) { return cell.writer.present; });
}

bool Shadow::ordered(const Access& before, const Access& now) noexcept {
  if (before.threadgroup != now.threadgroup) return false;
  if (before.thread == now.thread || before.barrier < now.barrier) return true;
  return before.thread / soft::kSimdWidth == now.thread / soft::kSimdWidth &&
         before.simdgroup_barrier < now.simdgroup_barrier;
}

bool Shadow::races(const Access& before, const Access& now) noexcept {
  return before.present && !(is_atomic(before.kind) && is_atomic(now.kind)) && !ordered(before, now);
}

std::optional<Shadow::Race> Shadow::record(const RunningThread& thread, std::size_t begin, std::size_t count,
                                           soft::AccessKind kind) {
  const Access now = {thread.threadgroup,
                      thread.epochs->barrier[space_],
                      thread.epochs->simdgroup[space_],
                      static_cast<std::uint16_t>(thread.state->index_in_threadgroup),
                      kind,
                      true};
  std::optional<Race> race;
  const auto judge = [&](std::size_t byte, const Access& before) {
    if (!race && races(before, now)) race = Race{byte, before};
  };
  for (std::size_t byte = begin; byte < begin + count; ++byte) {
    Cell& cell = cells_[byte];
    judge(byte, cell.writer);
    if (kind != soft::kRead) {
      judge(byte, cell.readers[0]);
      judge(byte, cell.readers[1]);
      cell.writer = now;
      continue;
    }
    // A reader that this access comes after in any case is no longer needed; otherwise both are kept, two of
    // different threads being enough for every writer to have one that is not itself.
    Access& first = cell.readers[0];
    if (!first.present || ordered(first, now)) {
      first = now;
    } else {
      cell.readers[1] = now;
    }
  }
  return race;
}

}  // namespace lattice::msl
