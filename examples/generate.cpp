// Continues a text with the shipped model (or another), token by token as they come.
//
//   example_generate ["Once upon a time" [MODEL [TOKENS]]]

#include <cstdlib>
#include <iostream>
#include <string>

#include <lattice/lattice.hpp>

int main(int argc, char** argv) try {
  const std::string prompt = argc > 1 ? argv[1] : "Once upon a time";
  const lattice::Model model = lattice::Model::load(argc > 2 ? argv[2] : lattice::shipped_model_path());
  lattice::Session session(model);

  lattice::GenerateOptions options;  // greedy; model.default_sampling() is what the model recommends
  options.max_tokens = argc > 3 ? std::atoll(argv[3]) : 64;
  options.on_token = [](lattice::Token /*token*/, std::string_view text) {
    std::cout << text << std::flush;
    return true;
  };
  std::cout << prompt;
  const lattice::Generation generation = lattice::generate(session, model.encode(prompt), options);
  std::cout << '\n';

  std::cerr << generation.tokens.size() << " tokens on " << model.device() << ", ended by "
            << lattice::finish_reason_name(generation.finish_reason) << '\n';
  return 0;
} catch (const lattice::Error& error) {
  std::cerr << error.what() << '\n';
  return error.kind() == lattice::Error::Kind::kUsage ? 2 : 1;
}
