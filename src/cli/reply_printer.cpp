#include "cli/reply_printer.h"

#include "cli/output.h"
#include "cli/terminal.h"

namespace lattice::cli {

ReplyPrinter::ReplyPrinter() : on_terminal_(is_terminal(Stream::kOut)) {}

ReplyPrinter::ReplyPrinter(std::string_view prompt)
    : on_terminal_(is_terminal(Stream::kOut)), splitter_(ends_inside_reasoning(prompt)) {
  // The prompt has opened the tag that the reply will close; whoever reads the output wants both.
  if (!on_terminal_ && ends_inside_reasoning(prompt)) print_text("<think>\n");
}

void ReplyPrinter::push(std::string_view text) {
  if (text.empty()) return;
  if (splitter_) take(splitter_->push(text));
  if (!on_terminal_) {
    print_text(text);
  } else if (!splitter_) {
    print_text(without_controls(text));
  }
  if (!on_terminal_ || !splitter_) line_is_open_ = text.back() != '\n';
  flush_output();
}

void ReplyPrinter::finish() {
  if (splitter_) take(splitter_->finish());
  if (line_is_open_) print_text("\n");
  line_is_open_ = false;
  flush_output();
}

void ReplyPrinter::take(const ReasoningSplitter::Parts& parts) {
  const bool answer_begins = answer_.empty() && !parts.answer.empty();
  reasoning_ += parts.reasoning;
  answer_ += parts.answer;
  if (!on_terminal_) return;
  print_text(dim(Stream::kOut, without_controls(parts.reasoning)));
  if (answer_begins && !reasoning_.empty()) print_text("\n\n");
  print_text(without_controls(parts.answer));
  line_is_open_ = line_is_open_ || !parts.reasoning.empty() || !parts.answer.empty();
}

}  // namespace lattice::cli
