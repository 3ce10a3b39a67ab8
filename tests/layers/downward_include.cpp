// Built with what the quant layer sees. support stands below it, so this compiles: the proof that the other
// test fails for the reason that it names.
#include "quant/dtype.h"
#include "support/fail.h"
