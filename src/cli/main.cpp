#include "cli/program.h"

int main(int argc, char** argv) {
  return lattice::cli::run_program(argc, argv);
}
