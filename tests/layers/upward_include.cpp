// Built with what the support layer sees. quant stands above it, so this must not compile.
#include "quant/dtype.h"
