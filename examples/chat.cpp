// A conversation on the terminal with a chat model: one line a turn, until the end of the input.
//
//   example_chat MODEL
//
// Each turn costs only what is new in it: the session has a snapshot of the conversation before the reply, to
// which it comes back where the next prompt renders the reply differently (without its reasoning, for one).

#include <iostream>
#include <string>
#include <vector>

#include <lattice/lattice.hpp>

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: example_chat MODEL\n";
    return 2;
  }
  const lattice::Model model = lattice::Model::load(argv[1]);
  lattice::Session session(model);
  std::vector<lattice::ChatMessage> messages;

  lattice::GenerateOptions options;
  options.sampling = model.default_sampling();
  options.on_token = [](lattice::Token /*token*/, std::string_view text) {
    std::cout << text << std::flush;
    return true;
  };
  std::string line;
  while (std::cout << "> " << std::flush && std::getline(std::cin, line)) {
    messages.push_back({"user", line, {}, {}});
    lattice::ChatOptions chat;
    chat.enable_thinking = false;  // so that all of the reply is the answer
    const std::vector<lattice::Token> prompt = model.encode(model.apply_chat_template(messages, chat));
    session.sync(prompt);
    session.take_snapshot();
    const lattice::Generation reply = lattice::generate(session, prompt, options);
    std::cout << '\n';
    messages.push_back({"assistant", reply.text, {}, {}});
  }
  std::cout << '\n';
  return 0;
} catch (const lattice::Error& error) {
  std::cerr << error.what() << '\n';
  return error.kind() == lattice::Error::Kind::kUsage ? 2 : 1;
}
