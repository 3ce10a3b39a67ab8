// A whole GGUF file: reader, metadata, configuration, weights, tokenizer.

#include <algorithm>

#include "formats/fixtures.h"
#include "formats/gguf_reader.h"
#include "formats/memory_checkpoint.h"
#include "model/config.h"
#include "model/weights.h"
#include "promises.h"
#include "text/tokenizer.h"

namespace lattice::fuzz {
namespace {

/// Reads every row of `matrix`: AddressSanitizer sees where one is not there.
void read_all(const MatrixView& matrix) {
  std::vector<float> row(static_cast<std::size_t>(matrix.cols));
  for (std::int64_t i = 0; i < matrix.rows; ++i) dequantize_row(matrix, i, row);
}

void read_all(const LinearMixer& mixer) {
  for (const MatrixView* matrix : {&mixer.qkv, &mixer.z, &mixer.b, &mixer.a, &mixer.out}) read_all(*matrix);
}

void read_all(const FullMixer& mixer) {
  for (const MatrixView* matrix : {&mixer.q, &mixer.k, &mixer.v, &mixer.o}) read_all(*matrix);
}

void read_all(const Layer& layer) {
  for (const MatrixView* matrix : {&layer.gate, &layer.up, &layer.down}) read_all(*matrix);
  std::visit([](const auto& mixer) { read_all(mixer); }, layer.mixer);
}

void bind(const Checkpoint& checkpoint) {
  const Config config = Config::from(checkpoint);
  expect(config.state_bytes() >= 0 && config.kv_bytes_per_token(4) >= 0, "products of dimensions fit");
  const Weights weights = Weights::bind(checkpoint, config);
  expect(weights.bytes_per_token() > 0, "a model has weights");
  for (const Layer& layer : weights.layers) read_all(layer);
  if (weights.mtp) {
    read_all(weights.mtp->fc);
    read_all(weights.mtp->layer);
  }
  read_all(weights.embed);
  read_all(weights.head);
}

}  // namespace
}  // namespace lattice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lattice;
  const ExactBytes bytes = fuzz::input(data, size);
  fuzz::run("fuzz.gguf: ", [&] {
    GgufFile file = read_gguf("fuzz.gguf", bytes.span());
    for (const auto& [key, value] : file.metadata.all()) {
      fuzz::expect(!file.metadata.encoded(key).empty(), "every value has its encoding");
    }
    const MemoryCheckpoint checkpoint("fuzz.gguf", std::move(file.metadata), std::move(file.tensors));
    fuzz::run("fuzz.gguf: ", [&] { fuzz::bind(checkpoint); });
    (void)Tokenizer::from_gguf(checkpoint);
  });
  return 0;
}
