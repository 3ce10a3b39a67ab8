#pragma once

#include <vector>

#include "msl/module.h"
#include "msl/token_walk.h"

namespace lattice::msl {

/// What C++ without address spaces must not see. Functions, methods and specialisations of classes that
/// repeat an earlier one of their scope but for address spaces: MSL has them beside each other, and here the
/// first stands for all. And `constant` behind a constructor's parameters, which is const anywhere else.
[[nodiscard]] std::vector<TokenRange> address_space_twins(const TokenWalk& walk, const Tokens& tokens);

}  // namespace lattice::msl
