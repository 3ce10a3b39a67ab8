#include <lattice/lattice.h>
#include <stdio.h>
#include <string.h>

/* Prints the id of the likeliest token after argv[1]. */
int main(int argc, char** argv) {
  lattice_model* model = NULL;
  lattice_session* session = NULL;
  int32_t* tokens = NULL;
  const float* logits = NULL;
  size_t count = 0, vocab = 0, best = 0, i;
  if (argc != 2) return 2;
  if (lattice_model_load(MODEL_DIR, NULL, &model) != LATTICE_OK ||
      lattice_session_create(model, 0, &session) != LATTICE_OK ||
      lattice_model_encode(model, argv[1], strlen(argv[1]), 0, &tokens, &count) != LATTICE_OK ||
      lattice_session_feed(session, tokens, count, NULL, NULL) != LATTICE_OK ||
      lattice_session_logits(session, &logits, &vocab) != LATTICE_OK) {
    fprintf(stderr, "%s\n", lattice_last_error());
    return 1;
  }
  for (i = 0; i < vocab; ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  printf("%zu", best);
  lattice_free(tokens);
  lattice_session_free(session);
  lattice_model_free(model);
  return 0;
}
