// The index of a sharded checkpoint, and with it the JSON parser.

#include "formats/safetensors_index.h"

#include "formats/fixtures.h"
#include "formats/json_file.h"
#include "promises.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lattice;
  const ExactBytes bytes = fuzz::input(data, size);
  fuzz::run("fuzz.json: ", [&] {
    const auto index = read_safetensors_index("fuzz.json", parse_json(bytes.text(), "fuzz.json"));
    for (const auto& [shard, names] : index) {
      fuzz::expect(shard.find('/') == std::string::npos, "a shard is in the model's directory");
      fuzz::expect(shard.ends_with(".safetensors") && !shard.starts_with("."), "a shard has a plain name");
      fuzz::expect(!names.empty(), "a shard holds something");
    }
  });
  return 0;
}
