#include "text/bpe.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <queue>

namespace lattice {
namespace {

/// Below this many bytes, looking through all pairs for the first merge is faster than keeping a heap.
constexpr std::size_t kShortWord = 96;

constexpr std::uint32_t kNone = MergeTable::kNone;

}  // namespace

void Bpe::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (word.size() <= kShortWord) {
    encode_short(word, ids);
  } else {
    encode_long(word, ids);
  }
}

/// Tokens, and the rank of each with its right neighbour, stand in two dense arrays.
void Bpe::encode_short(std::string_view word, std::vector<std::int32_t>& ids) const {
  std::array<std::uint32_t, kShortWord> token;   // NOLINT: filled below, as far as it is used
  std::array<std::uint32_t, kShortWord> rank;    // NOLINT
  std::array<std::uint32_t, kShortWord> result;  // NOLINT
  std::size_t n = word.size();
  const auto look_up = [&](std::size_t i) {
    const MergeTable::Entry& entry = merges_.find(token[i], token[i + 1]);
    rank[i] = entry.rank;
    result[i] = entry.result;
  };
  for (std::size_t i = 0; i < n; ++i) token[i] = byte_ids_[static_cast<std::uint8_t>(word[i])];
  for (std::size_t i = 0; i + 1 < n; ++i) look_up(i);
  while (n > 1) {
    const auto best = std::min_element(rank.begin(), rank.begin() + static_cast<std::ptrdiff_t>(n - 1));
    if (*best == kNone) break;
    const auto i = static_cast<std::size_t>(best - rank.begin());
    token[i] = result[i];
    --n;
    const std::size_t moved = n - i - 1;  // what stands after the pair
    std::memmove(&token[i + 1], &token[i + 2], moved * sizeof(std::uint32_t));
    if (moved > 0) {
      std::memmove(&rank[i + 1], &rank[i + 2], (moved - 1) * sizeof(std::uint32_t));
      std::memmove(&result[i + 1], &result[i + 2], (moved - 1) * sizeof(std::uint32_t));
      look_up(i);
    }
    if (i > 0) look_up(i - 1);
  }
  for (std::size_t i = 0; i < n; ++i) ids.push_back(static_cast<std::int32_t>(token[i]));
}

/// Tokens stand in a linked list over the word's bytes; a heap holds the pairs that can be merged, and some
/// that no longer can.
void Bpe::encode_long(std::string_view word, std::vector<std::int32_t>& ids) const {
  struct Node {
    std::uint32_t token;
    std::uint32_t rank;  // of the merge with the next one; kNone: none, or the node is gone
    std::uint32_t result;
    std::uint32_t previous;
    std::uint32_t next;
  };
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t at;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const auto end = static_cast<std::uint32_t>(word.size());
  std::vector<Node> nodes(end);
  std::vector<Candidate> candidates;
  candidates.reserve(end);
  const auto look_up = [&](std::uint32_t at) {
    Node& node = nodes[at];
    node.rank = kNone;
    if (node.next == end) return false;
    const MergeTable::Entry& entry = merges_.find(node.token, nodes[node.next].token);
    node.rank = entry.rank;
    node.result = entry.result;
    return entry.rank != kNone;
  };
  for (std::uint32_t i = 0; i < end; ++i) {
    nodes[i] = {byte_ids_[static_cast<std::uint8_t>(word[i])], kNone, 0, i - 1, i + 1};
  }
  for (std::uint32_t i = 0; i < end; ++i) {
    if (look_up(i)) candidates.push_back({nodes[i].rank, i});
  }
  std::priority_queue heap(std::greater<Candidate>(), std::move(candidates));
  while (!heap.empty()) {
    const auto [rank, at] = heap.top();
    heap.pop();
    Node& node = nodes[at];
    if (node.rank != rank) continue;  // merged meanwhile, here or with a neighbour
    node.token = node.result;
    nodes[node.next].rank = kNone;
    node.next = nodes[node.next].next;
    if (node.next != end) nodes[node.next].previous = at;
    if (look_up(at)) heap.push({node.rank, at});
    if (at > 0 && look_up(node.previous)) heap.push({nodes[node.previous].rank, node.previous});
  }
  for (std::uint32_t at = 0; at < end; at = nodes[at].next) {
    ids.push_back(static_cast<std::int32_t>(nodes[at].token));
  }
}

}  // namespace lattice
