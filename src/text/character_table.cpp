#include "text/character_table.h"

#include <map>
#include <string_view>

namespace lattice {

void CharacterTable::build(const std::vector<std::uint8_t>& flat) {
  std::map<std::string_view, std::uint16_t> seen;
  for (std::size_t block = 0; block < block_of_.size(); ++block) {
    const auto* begin = flat.data() + block * kBlock;
    const std::string_view key(reinterpret_cast<const char*>(begin), kBlock);
    const auto [entry, is_new] = seen.try_emplace(key, static_cast<std::uint16_t>(seen.size()));
    if (is_new) blocks_.insert(blocks_.end(), begin, begin + kBlock);
    block_of_[block] = entry->second;
  }
}

}  // namespace lattice
