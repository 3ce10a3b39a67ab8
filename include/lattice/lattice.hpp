#pragma once

// Everything that a program needs to run a model with Lattice.

#include "lattice/chat.hpp"
#include "lattice/error.hpp"
#include "lattice/generate.hpp"
#include "lattice/model.hpp"
#include "lattice/perplexity.hpp"
#include "lattice/sampling.hpp"
#include "lattice/session.hpp"
