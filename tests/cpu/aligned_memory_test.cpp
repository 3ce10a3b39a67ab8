#include "cpu/aligned_memory.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "formats/fixtures.h"
#include "support/random.h"

namespace lattice::cpu {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kLargePage = std::size_t{2} << 20;

std::uintptr_t address(const AlignedMemory& memory) {
  return reinterpret_cast<std::uintptr_t>(memory.data());
}

bool holds_only(const AlignedMemory& memory, std::byte value) {
  return std::all_of(memory.data(), memory.data() + memory.size(), [&](std::byte b) { return b == value; });
}

// Sizes that fill several of what an arena asks the kernel for, and some larger than one of those.
TEST(PageArena, GivesZeroedPiecesThatAreNobodyElses) {
  PageArena arena;
  std::vector<AlignedMemory> pieces;
  for (int i = 0; i < 200; ++i) {
    const std::size_t most = i % 50 == 49 ? std::size_t{80} << 20 : std::size_t{2} << 20;
    const std::size_t bytes = 1 + random_bits(7, static_cast<std::uint64_t>(i)) % most;
    pieces.push_back(arena.take(bytes));
    ASSERT_EQ(pieces.back().size(), bytes);
    ASSERT_EQ(address(pieces.back()) % kLine, 0u);
    ASSERT_TRUE(holds_only(pieces.back(), std::byte{0})) << "piece " << i;
    std::memset(pieces.back().data(), i, bytes);
  }
  for (std::size_t i = 0; i < pieces.size(); ++i)
    ASSERT_TRUE(holds_only(pieces[i], static_cast<std::byte>(i))) << "piece " << i;
}

TEST(PageArena, PutsPiecesSideBySideFromALargePageOn) {
  PageArena arena;
  std::uintptr_t next = 0;
  for (const std::size_t bytes : {1u, 64u, 1000u, 1u << 20, 3u << 20, 65u}) {
    const AlignedMemory piece = arena.take(bytes);
    if (next == 0) {
      EXPECT_EQ(address(piece) % kLargePage, 0u);
    } else {
      EXPECT_EQ(address(piece), next);
    }
    next = address(piece) + (bytes + kLine - 1) / kLine * kLine;
  }
}

// What is too large for the room that is left does not waste it.
TEST(PageArena, FillsWhatALargerPieceLeft) {
  PageArena arena;
  const AlignedMemory first = arena.take(60u << 20);
  const AlignedMemory second = arena.take(50u << 20);
  const AlignedMemory third = arena.take(4u << 20);
  EXPECT_EQ(address(third), address(first) + first.size());
}

TEST(PageArena, PiecesOutliveIt) {
  std::optional<PageArena> arena(std::in_place);
  AlignedMemory kept = arena->take(1000);
  arena->take(1000).clear();
  arena.reset();
  std::memset(kept.data(), 3, kept.size());
  EXPECT_TRUE(holds_only(kept, std::byte{3}));
}

TEST(PageArena, NoBytesAreNoMemory) {
  PageArena arena;
  const AlignedMemory none = arena.take(0);
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(none.size(), 0u);
}

TEST(PageArena, NamesWhatItCouldNotGet) {
  PageArena arena;
  const AlignedMemory before = arena.take(10);
  for (const std::size_t bytes : {std::size_t{1} << 60, std::numeric_limits<std::size_t>::max()}) {
    EXPECT_NE(error_of([&] { (void)arena.take(bytes); }).find("GB of memory were needed"), std::string::npos);
    EXPECT_NE(error_of([&] { AlignedMemory{bytes}; }).find("GB of memory were needed"), std::string::npos);
  }
  EXPECT_EQ(address(arena.take(10)), address(before) + kLine) << "the arena is what it was";
}

TEST(AlignedMemory, MovesAndLeavesNothing) {
  AlignedMemory a(1000);
  std::memset(a.data(), 1, a.size());
  EXPECT_EQ(address(a) % kLargePage, 0u);
  AlignedMemory b(std::move(a));
  EXPECT_EQ(a.data(), nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(a.size(), 0u);
  AlignedMemory c;
  c = std::move(b);
  ASSERT_EQ(c.size(), 1000u);
  EXPECT_TRUE(holds_only(c, std::byte{1}));
  c.clear();
  EXPECT_TRUE(holds_only(c, std::byte{0}));
}

}  // namespace
}  // namespace lattice::cpu
