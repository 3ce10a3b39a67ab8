#include <iostream>
#include <string>

#include <lattice/lattice.hpp>

/// Prints the greedy continuation of argv[1], argv[2] tokens long.
int main(int argc, char** argv) try {
  if (argc != 3) return 2;
  const lattice::Model model = lattice::Model::load(MODEL_DIR);
  lattice::Session session(model);
  lattice::GenerateOptions options;
  options.max_tokens = std::stoll(argv[2]);
  std::cout << lattice::generate(session, model.encode(argv[1]), options).text;
  return 0;
} catch (const lattice::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
