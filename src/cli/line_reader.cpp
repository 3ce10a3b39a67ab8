#include "cli/line_reader.h"

#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <unistd.h>

#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/terminal.h"

#if LATTICE_HAS_LIBEDIT
#include <cwchar>

#include <histedit.h>
#endif

namespace lattice::cli {

#if LATTICE_HAS_LIBEDIT

/// libedit's editor and history (editline(3)).
struct LineReader::Editor {
  Editor();
  ~Editor() {
    el_end(edit);
    history_end(history);
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  static Editor& of(EditLine* edit);
  static char* show_prompt(EditLine* edit) { return of(edit).prompt.data(); }
  static int read_character(EditLine* edit, wchar_t* character);

  EditLine* edit;
  History* history;
  std::string prompt;
  bool was_empty = true;
};

namespace {

constexpr int kHistoryLines = 1000;

/// libedit takes characters apart by the locale, which in a bare environment knows ASCII alone.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

LineReader::Editor::Editor() : edit(nullptr), history(history_init()) {
  use_utf8();
  edit = el_init("lattice", stdin, stdout, stderr);
  if (edit == nullptr || history == nullptr) throw std::bad_alloc();
  HistEvent event;
  ::history(history, &event, H_SETSIZE, kHistoryLines);
  ::history(history, &event, H_SETUNIQUE, 1);
  el_set(edit, EL_CLIENTDATA, this);
  el_set(edit, EL_PROMPT, &Editor::show_prompt);
  el_set(edit, EL_EDITOR, "emacs");
  el_set(edit, EL_HIST, ::history, history);
  el_set(edit, EL_GETCFN, &Editor::read_character);
}

LineReader::Editor& LineReader::Editor::of(EditLine* edit) {
  void* self = nullptr;
  el_get(edit, EL_CLIENTDATA, &self);
  return *static_cast<Editor*>(self);
}

/// libedit's own reader goes on after a signal; this one ends the line when the signal was Ctrl-C.
int LineReader::Editor::read_character(EditLine* edit, wchar_t* character) {
  std::mbstate_t state{};
  while (true) {
    char byte = 0;
    const ssize_t got = InterruptGuard::wait_for_input(STDIN_FILENO) ? ::read(STDIN_FILENO, &byte, 1) : -1;
    if (got < 0 && errno == EINTR && !InterruptGuard::interrupted()) continue;
    if (got <= 0) {
      const LineInfo* line = el_line(edit);
      of(edit).was_empty = line->lastchar == line->buffer;
      return got == 0 ? 0 : -1;
    }
    const std::size_t used = std::mbrtowc(character, &byte, 1, &state);
    if (used <= 1) return 1;
    if (used == static_cast<std::size_t>(-1)) state = {};  // not UTF-8: the byte is dropped
  }
}

LineReader::LineReader()
    : interactive_(isatty(STDIN_FILENO) == 1 && is_terminal(Stream::kOut)),
      editor_(interactive_ ? std::make_unique<Editor>() : nullptr) {}

LineReader::Outcome LineReader::read(const std::string& prompt, std::string& line) {
  if (!editor_) return read_plain(prompt, line);
  InterruptGuard::clear();
  flush_output();
  editor_->prompt = prompt;
  // Before the prompt: what is typed at its sight is the editor's to show.
  el_set(editor_->edit, EL_PREP_TERM, 1);
  int count = 0;
  const char* typed = el_gets(editor_->edit, &count);
  if (InterruptGuard::interrupted()) {
    was_empty_ = editor_->was_empty;
    el_reset(editor_->edit);
    print_text("\n");
    return Outcome::kInterrupted;
  }
  if (typed == nullptr || count <= 0) return Outcome::kEnd;
  line.assign(typed, static_cast<std::size_t>(count));
  if (line.find_first_not_of(" \t\n") != std::string::npos) {
    HistEvent event;
    ::history(editor_->history, &event, H_ENTER, line.c_str());
  }
  if (line.ends_with('\n')) line.pop_back();
  return Outcome::kLine;
}

#else

struct LineReader::Editor {};

LineReader::LineReader() : interactive_(isatty(STDIN_FILENO) == 1 && is_terminal(Stream::kOut)) {}

LineReader::Outcome LineReader::read(const std::string& prompt, std::string& line) {
  return read_plain(prompt, line);
}

#endif

LineReader::~LineReader() = default;

LineReader::Outcome LineReader::read_plain(const std::string& prompt, std::string& line) {
  InterruptGuard::clear();
  if (interactive_) print_text(prompt);
  flush_output();
  line.clear();
  std::size_t searched = 0;
  while (true) {
    const std::size_t end = read_ahead_.find('\n', searched);
    if (end != std::string::npos) {
      line = read_ahead_.substr(0, end);
      read_ahead_.erase(0, end + 1);
      return Outcome::kLine;
    }
    searched = read_ahead_.size();
    if (!InterruptGuard::wait_for_input(STDIN_FILENO)) {
      was_empty_ = read_ahead_.empty();
      read_ahead_.clear();
      if (interactive_) print_text("\n");
      return Outcome::kInterrupted;
    }
    std::array<char, 4096> bytes;
    const ssize_t got = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (got > 0) {
      read_ahead_.append(bytes.data(), static_cast<std::size_t>(got));
    } else if (got == 0 || errno != EINTR) {
      line = std::exchange(read_ahead_, {});
      return line.empty() ? Outcome::kEnd : Outcome::kLine;
    }
  }
}

}  // namespace lattice::cli
