#pragma once

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "lattice/error.hpp"
#include "lattice/generate.hpp"
#include "model/golden.h"

namespace lattice {

/// At most so many ids, whatever they are and with no text of them.
inline GenerateOptions ids_only(std::int64_t most) {
  GenerateOptions options;
  options.max_tokens = most;
  options.ignore_eos = true;
  options.decode_text = false;
  return options;
}

/// What generate() says of options that it refuses, before it has fed anything.
inline std::string refusal_of(const Model& model, const GenerateOptions& options) {
  Session session(model, 64);
  try {
    (void)generate(session, golden::Ids{1, 2, 3}, options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUsage);
    EXPECT_EQ(session.position(), 0);
    return error.what();
  }
  return "not refused";
}

}  // namespace lattice
