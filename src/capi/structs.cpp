#include "capi/structs.h"

#include "lattice/sampling.hpp"

namespace lattice::capi {

template <>
lattice_load_options defaults() noexcept {
  lattice_load_options options{};
  options.device = "auto";
  options.kv = LATTICE_KV_DEFAULT;
  return options;
}

template <>
lattice_chat_options defaults() noexcept {
  lattice_chat_options options{};
  options.add_generation_prompt = 1;
  options.enable_thinking = -1;
  return options;
}

template <>
lattice_sampling defaults() noexcept {
  const Sampling ours;
  lattice_sampling sampling{};
  sampling.temperature = ours.temperature;
  sampling.top_k = ours.top_k;
  sampling.top_p = ours.top_p;
  sampling.min_p = ours.min_p;
  sampling.repetition_penalty = ours.repetition_penalty;
  sampling.presence_penalty = ours.presence_penalty;
  sampling.frequency_penalty = ours.frequency_penalty;
  sampling.seed = ours.seed;
  return sampling;
}

template <>
lattice_generate_options defaults() noexcept {
  return {};
}

template <>
lattice_generation defaults() noexcept {
  return {};
}

ProgressCallback progress_callback(lattice_progress_fn function, void* data) {
  if (function == nullptr) return {};
  return [function, data](std::string_view what, std::int64_t done, std::int64_t total) {
    function(data, std::string(what).c_str(), done, total);
  };
}

}  // namespace lattice::capi

using namespace lattice::capi;

lattice_status lattice_load_options_init(lattice_load_options* options, size_t size) {
  return guarded([&] { initialise(options, size, "options"); });
}
lattice_status lattice_chat_options_init(lattice_chat_options* options, size_t size) {
  return guarded([&] { initialise(options, size, "options"); });
}
lattice_status lattice_sampling_init(lattice_sampling* sampling, size_t size) {
  return guarded([&] { initialise(sampling, size, "sampling"); });
}
lattice_status lattice_generate_options_init(lattice_generate_options* options, size_t size) {
  return guarded([&] { initialise(options, size, "options"); });
}
lattice_status lattice_generation_init(lattice_generation* generation, size_t size) {
  return guarded([&] { initialise(generation, size, "generation"); });
}
