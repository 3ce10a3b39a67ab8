#include "capi/guard.h"

#include <cstdlib>
#include <string>

namespace lattice::capi {
namespace {

thread_local std::string last_message;
thread_local bool message_is_lost = false;  // there was no memory for it

}  // namespace

lattice_status failed(lattice_status status, std::string_view message) noexcept {
  try {
    last_message = message;
    message_is_lost = false;
  } catch (...) {
    message_is_lost = true;
  }
  return status;
}

}  // namespace lattice::capi

const char* lattice_last_error(void) {
  using namespace lattice::capi;
  return message_is_lost ? "there was not even memory for the message" : last_message.c_str();
}

const char* lattice_version(void) {
  return LATTICE_VERSION;
}

void lattice_free(void* memory) {
  std::free(memory);
}
