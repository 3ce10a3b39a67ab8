#pragma once

#include <string>

#include "lattice/model.hpp"
#include "lattice/session.hpp"

/// The handles of lattice.h. A lattice_model is a copy of a Model, all of which share one.
struct lattice_model {
  lattice::Model model;
  std::string device;
};

struct lattice_session {
  lattice::Session session;
};
