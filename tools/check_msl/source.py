"""A Metal source as words, and as text that clang takes for C++."""

import re
from typing import Iterator, List, NamedTuple, Sequence, Tuple

_TOKEN = re.compile(r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<directive>\#(?:\\\n|[^\n])*)
  | (?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<mark>::|->|\[\[|\]\]|&&|\|\||<<=?|[-+*/%&|^=!<>]=|\+\+|--|.)
""", re.VERBOSE | re.DOTALL)

OPENING = {"(": ")", "{": "}", "[": "]", "[[": "]]"}
CLOSING = set(OPENING.values())


class Token(NamedTuple):
    text: str
    line: int
    start: int  # in the source's text


def tokens_of(text: str) -> List[Token]:
    """Without comments and directives. What a macro stands for is clang's to judge."""
    out = []
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup not in ("space", "directive"):
            out.append(Token('""' if match.lastgroup == "text" else match.group(), line, match.start()))
        line += match.group().count("\n")
    return out


def closing_of(tokens: Sequence[Token], at: int) -> int:
    """Where the bracket closes that opens at `at`; the end where it does not. `]]` closes an attribute or two indices."""
    open_ones: List[str] = []
    for i in range(at, len(tokens)):
        text = tokens[i].text
        if text in OPENING:
            open_ones.append(text)
        elif text in CLOSING and open_ones:
            if open_ones.pop() == "[" and text == "]]" and open_ones:
                open_ones.pop()
        if not open_ones:
            return i
    return len(tokens) - 1


class Statement(NamedTuple):
    """Words up to a `;`, a `{` or a `}`, and the kinds of the scopes around them, the innermost last."""
    tokens: List[Token]
    end: str
    scopes: Tuple[str, ...]

    def has(self, word: str) -> bool:
        return any(token.text == word for token in self.tokens)


def without_attributes(tokens: Sequence[Token]) -> List[Token]:
    out = []
    i = 0
    while i < len(tokens):
        if tokens[i].text == "[[":
            i = closing_of(tokens, i) + 1
        else:
            out.append(tokens[i])
            i += 1
    return out


def _kind_of_scope(statement: Statement) -> str:
    """namespace, type, kernel, function, block, or list: of an initialiser."""
    words = [token.text for token in without_attributes(statement.tokens)]
    if "list" in statement.scopes[-1:] or (words and (words[-1] in ("=", ",", "(", "return") or "=" in words)):
        return "list"
    if "namespace" in words[:2]:
        return "namespace"
    inside = statement.scopes[-1] if statement.scopes else "namespace"
    if inside not in ("namespace", "type"):
        return "block"
    if "(" in words and "=" not in words[:words.index("(")]:
        return "kernel" if statement.has("kernel") else "function"
    return "type" if {"struct", "class", "union", "enum"} & set(words) else "block"


def statements_of(tokens: Sequence[Token]) -> Iterator[Statement]:
    scopes: List[str] = []
    words: List[Token] = []
    for token in tokens:
        if token.text not in (";", "{", "}"):
            words.append(token)
            continue
        statement = Statement(words, token.text, tuple(scopes))
        yield statement
        if token.text == "{":
            scopes.append(_kind_of_scope(statement))
        elif token.text == "}" and scopes:
            scopes.pop()
        words = []


def is_threadgroup_variable(statement: Statement) -> bool:
    words = [token.text for token in statement.tokens]
    if not words or words[0] != "threadgroup" or statement.end not in (";", "{"):
        return False
    declared = words[:words.index("=")] if "=" in words else words
    return not {"*", "&", "("} & set(declared[:declared.index("[")] if "[" in declared else declared)


def is_function_constant(statement: Statement) -> bool:
    words = [token.text for token in statement.tokens]
    return statement.end == ";" and bool(words) and words[0] == "constant" and "function_constant" in words


def as_cpp(text: str) -> str:
    """The same lines for clang: threadgroup variables static, since C++ has no automatic ones in an address space; function
    constants extern, since constants want a value; no attributes behind `template`, where C++ has none; and [[threadgroup(n)]] by
    another name, since the word is a macro there."""
    tokens = tokens_of(text)
    edits: List[Tuple[int, int, str]] = []  # from, to, by what
    for statement in statements_of(tokens):
        if is_threadgroup_variable(statement):
            edits.append((statement.tokens[0].start, statement.tokens[0].start, "static "))
        elif is_function_constant(statement):
            edits.append((statement.tokens[0].start, statement.tokens[0].start, "extern "))
    for before, token in zip(tokens, tokens[1:]):
        if before.text == "[[" and token.text == "threadgroup":
            edits.append((token.start, token.start, "lattice_"))
    for match in re.finditer(r"\btemplate\s*((?:\[\[[^\]]*\]\]\s*)+)", text):
        edits.append((match.start(1), match.end(1), re.sub(r"[^\s\\]", " ", match.group(1))))
    for start, end, by in sorted(edits, reverse=True):
        text = text[:start] + by + text[end:]
    return text
