#include "capi/handles.h"
#include "capi/structs.h"

using namespace lattice;
using namespace lattice::capi;

lattice_status lattice_session_create(const lattice_model* model, int64_t context,
                                      lattice_session** session) {
  return guarded([&] {
    require(model, "model");
    require(session, "session");
    *session = new lattice_session{Session(model->model, context)};
  });
}

void lattice_session_free(lattice_session* session) {
  delete session;
}

int64_t lattice_session_context(const lattice_session* session) {
  return session == nullptr ? 0 : session->session.context();
}
int64_t lattice_session_position(const lattice_session* session) {
  return session == nullptr ? 0 : session->session.position();
}

lattice_status lattice_session_feed(lattice_session* session, const int32_t* tokens, size_t count,
                                    lattice_progress_fn progress, void* progress_data) {
  return guarded([&] {
    require(session, "session");
    session->session.feed(array(tokens, count, "tokens"), progress_callback(progress, progress_data));
  });
}

lattice_status lattice_session_sync(lattice_session* session, const int32_t* tokens, size_t count,
                                    lattice_progress_fn progress, void* progress_data, int64_t* reused) {
  return guarded([&] {
    require(session, "session");
    const std::int64_t kept =
        session->session.sync(array(tokens, count, "tokens"), progress_callback(progress, progress_data));
    if (reused != nullptr) *reused = kept;
  });
}

lattice_status lattice_session_take_snapshot(lattice_session* session) {
  return guarded([&] {
    require(session, "session");
    session->session.take_snapshot();
  });
}

lattice_status lattice_session_logits(const lattice_session* session, const float** logits, size_t* count) {
  return guarded([&] {
    require(session, "session");
    require(logits, "logits");
    require(count, "count");
    const std::span<const float> values = session->session.logits();
    *logits = values.data();
    *count = values.size();
  });
}

lattice_status lattice_session_reset(lattice_session* session) {
  return guarded([&] {
    require(session, "session");
    session->session.reset();
  });
}
