// A safetensors file.

#include "formats/safetensors.h"

#include "formats/fixtures.h"
#include "promises.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lattice;
  const ExactBytes bytes = fuzz::input(data, size);
  fuzz::run("fuzz.safetensors: ", [&] {
    unsigned sum = 0;
    for (const Tensor& tensor : read_safetensors("fuzz.safetensors", bytes.span())) {
      for (const std::byte byte : tensor.data) sum += std::to_integer<unsigned>(byte);
    }
    volatile unsigned sink = sum;  // so that the bytes are read
    (void)sink;
  });
  return 0;
}
