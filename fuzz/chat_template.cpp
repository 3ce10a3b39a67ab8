// A conversation: records that end with byte 30, the first character of each saying what it is.

#include "text/chat_template.h"

#include <algorithm>
#include <string>

#include "formats/fixtures.h"
#include "promises.h"

namespace lattice::fuzz {
namespace {

constexpr char kRecordEnd = '\x1e';
constexpr char kFieldEnd = '\x1f';

struct Conversation {
  std::vector<ChatMessage> messages;
  ChatOptions options;

  void add(char kind, std::string_view text) {
    const auto add_message = [&](const char* role) { messages.push_back({role, std::string(text), {}, {}}); };
    ChatMessage* last = messages.empty() ? nullptr : &messages.back();
    switch (kind) {
      case 's':
        return add_message("system");
      case 'u':
        return add_message("user");
      case 'a':
        return add_message("assistant");
      case 't':
        return add_message("tool");
      case 'o':
        messages.push_back({std::string(text), "", {}, {}});
        return;
      case 'r':
        if (last != nullptr) last->reasoning = text;
        return;
      case 'c': {
        const std::size_t end = std::min(text.find(kFieldEnd), text.size());
        if (last != nullptr) {
          last->tool_calls.push_back(
              {std::string(text.substr(0, end)), std::string(text.substr(std::min(end + 1, text.size())))});
        }
        return;
      }
      case 'f':
        options.tools.emplace_back(text);
        return;
      case 'g':
        options.add_generation_prompt = !options.add_generation_prompt;
        return;
      case 'n':
      case 'y':
        options.enable_thinking = kind == 'y';
        return;
      default:
        return;
    }
  }
};

Conversation read(std::string_view text) {
  Conversation conversation;
  while (!text.empty()) {
    const std::string_view record = text.substr(0, text.find(kRecordEnd));
    if (!record.empty()) conversation.add(record.front(), record.substr(1));
    text.remove_prefix(std::min(record.size() + 1, text.size()));
  }
  return conversation;
}

}  // namespace
}  // namespace lattice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lattice;
  const ExactBytes bytes = fuzz::input(data, size);
  (void)ChatTemplate::recognise(bytes.text(), "fuzz");
  const fuzz::Conversation conversation = fuzz::read(bytes.text());
  for (const bool thinks : {false, true}) {
    for (const bool json_arguments : {false, true}) {
      const ChatTemplate rendering({.thinks_by_default = thinks, .json_arguments = json_arguments});
      fuzz::run("", [&] {
        const std::string prompt = rendering.render(conversation.messages, conversation.options);
        fuzz::expect(!conversation.options.add_generation_prompt ||
                         prompt.find("<|im_start|>assistant\n") != std::string::npos,
                     "a generation prompt begins the assistant's turn");
        fuzz::expect(rendering.render(conversation.messages, conversation.options) == prompt,
                     "a conversation has one rendering");
      });
    }
  }
  return 0;
}
