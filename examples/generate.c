/* examples/generate.cpp in C: continues a text with the shipped model (or another), token by token.
 *
 *   example_generate_c ["Once upon a time" [MODEL [TOKENS]]]
 */

#include <lattice/lattice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int32_t print_token(void* user_data, int32_t token, const char* text, size_t length) {
  (void)user_data;
  (void)token;
  fwrite(text, 1, length, stdout);
  fflush(stdout);
  return 1; /* go on */
}

int main(int argc, char** argv) {
  const char* prompt = argc > 1 ? argv[1] : "Once upon a time";
  char* path = NULL;
  lattice_model* model = NULL;
  lattice_session* session = NULL;
  int32_t* tokens = NULL;
  size_t count = 0;
  lattice_generate_options options;
  lattice_generation generation;
  int failed = 1;

  lattice_generate_options_init(&options, sizeof options); /* greedy */
  lattice_generation_init(&generation, sizeof generation);
  options.max_tokens = argc > 3 ? strtoll(argv[3], NULL, 10) : 64;
  options.on_token = print_token;

  if (argc <= 2 && lattice_shipped_model_path(&path) != LATTICE_OK) goto done;
  if (lattice_model_load(argc > 2 ? argv[2] : path, NULL, &model) != LATTICE_OK) goto done;
  if (lattice_session_create(model, 0, &session) != LATTICE_OK) goto done;
  if (lattice_model_encode(model, prompt, strlen(prompt), 1, &tokens, &count) != LATTICE_OK) goto done;

  fputs(prompt, stdout);
  if (lattice_generate(session, tokens, count, &options, &generation) != LATTICE_OK) goto done;
  putchar('\n');
  fprintf(stderr, "%zu tokens on %s, ended by %s\n", generation.token_count, lattice_model_device(model),
          lattice_finish_reason_name(generation.finish_reason));
  failed = 0;

done:
  if (failed) fprintf(stderr, "%s\n", lattice_last_error());
  lattice_generation_clear(&generation);
  lattice_free(tokens);
  lattice_session_free(session);
  lattice_model_free(model);
  lattice_free(path);
  return failed;
}
