"""What Metal asks of a source that clang does not: told from its words."""

from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

from .source import Statement, Token, closing_of, is_threadgroup_variable, statements_of, tokens_of, without_attributes

_ADDRESS_SPACES = {"device", "constant", "threadgroup", "thread"}
_TYPE_WORDS = {"struct", "class"}

_ONE = {"uint", "ushort"}
_THREE = _ONE | {"uint2", "uint3", "ushort2", "ushort3"}
# The Metal Shading Language Specification's table of a kernel's input attributes, without those of tiles: types of each.
INPUTS = {
    "dispatch_quadgroups_per_threadgroup": _ONE,
    "dispatch_simdgroups_per_threadgroup": _ONE,
    "dispatch_threads_per_threadgroup": _THREE,
    "grid_origin": _THREE,
    "grid_size": _THREE,
    "quadgroup_index_in_threadgroup": _ONE,
    "quadgroups_per_threadgroup": _ONE,
    "simdgroup_index_in_threadgroup": _ONE,
    "simdgroups_per_threadgroup": _ONE,
    "thread_execution_width": _ONE,
    "thread_index_in_quadgroup": _ONE,
    "thread_index_in_simdgroup": _ONE,
    "thread_index_in_threadgroup": _ONE,
    "thread_position_in_grid": _THREE,
    "thread_position_in_threadgroup": _THREE,
    "threadgroup_position_in_grid": _THREE,
    "threadgroups_per_grid": _THREE,
    "threads_per_grid": _THREE,
    "threads_per_simdgroup": _ONE,
    "threads_per_threadgroup": _THREE,
}
_HIGHEST_INDEX = 30  # of buffers and of threadgroup memory: 31 entries each
_ATTRIBUTES = set(INPUTS) | {"buffer", "threadgroup", "kernel", "host_name", "function_constant", "max_total_threads_per_threadgroup"}


class Problem(NamedTuple):
    line: int
    text: str


def problems_of(text: str) -> List[Problem]:
    tokens = tokens_of(text)
    out = list(_attributes(tokens))
    out += _words(tokens)
    for statement in statements_of(tokens):
        plain = without_attributes(statement.tokens)
        if not plain or "list" in statement.scopes[-1:]:
            continue
        out += _derived(statement, plain)
        out += _variables(statement, plain)
        out += _address_spaces(statement, plain)
        if statement.has("kernel") and statement.end == "{" and _at_program_scope(statement):
            out += _kernel(statement)
    return sorted(set(out))


def _at_program_scope(statement: Statement) -> bool:
    return all(scope == "namespace" for scope in statement.scopes)


def _attributes(tokens: Sequence[Token]) -> Iterator[Problem]:
    i = 0
    while i < len(tokens):
        if tokens[i].text != "[[":
            i += 1
            continue
        end = closing_of(tokens, i)
        wants_name = True
        depth = 0
        for token in tokens[i + 1:end]:
            if token.text == "(":
                depth += 1
            elif token.text == ")":
                depth -= 1
            elif depth == 0 and token.text == ",":
                wants_name = True
            elif depth == 0 and wants_name:
                if token.text not in _ATTRIBUTES:
                    yield Problem(token.line, f"a compute kernel of Metal 3.1 has no attribute {token.text}")
                wants_name = False
        i = end + 1


def _words(tokens: Sequence[Token]) -> Iterator[Problem]:
    for i, token in enumerate(tokens):
        before = tokens[i - 1].text if i > 0 else ";"
        after = tokens[i + 1].text if i + 1 < len(tokens) else ";"
        if token.text == "long" and after == "long":
            yield Problem(token.line, "Metal has no long long: its long has 64 bits")
        if token.text == "[" and before in ("(", ",", "=", "{", "}", ";", "return", "&&", "||", "?", ":", "!"):
            yield Problem(token.line, "Metal 3.1 has no lambda expressions")
        if token.text.endswith("_cast") and after == "<":
            yield from _cast(tokens, i)


def _cast(tokens: Sequence[Token], at: int) -> Iterator[Problem]:
    depth = 0
    named = []
    for token in tokens[at + 1:]:
        depth += token.text.count("<") - token.text.count(">")
        named.append(token.text)
        if depth <= 0:
            break
    if {"*", "&"} & set(named) and not _ADDRESS_SPACES & set(named):
        yield Problem(tokens[at].line, "the type of a cast needs an address space: device, constant, threadgroup or thread")


def _derived(statement: Statement, plain: Sequence[Token]) -> Iterator[Problem]:
    words = [token.text for token in plain]
    if statement.end == "{" and _TYPE_WORDS & set(words) and ":" in words and "(" not in words:
        yield Problem(plain[0].line, "Metal has no derived classes")


def _variables(statement: Statement, plain: Sequence[Token]) -> Iterator[Problem]:
    words = [token.text for token in plain]
    if is_threadgroup_variable(statement):
        kernels = [scope for scope in statement.scopes if scope in ("kernel", "function")]
        if kernels != ["kernel"] and "type" not in statement.scopes:
            yield Problem(plain[0].line, "threadgroup variables stand in kernels alone")
        if "=" in words or statement.end == "{":
            yield Problem(plain[0].line, "a threadgroup variable cannot have a value to begin with")
        return
    if not _at_program_scope(statement) or "constant" in words or statement.end == "}":
        return
    if words[0] in ("using", "typedef", "namespace", "template", "struct", "class", "enum", "union", "static_assert", "extern"):
        return
    declared = words[:words.index("=")] if "=" in words else words
    if len(declared) > 1 and "(" not in declared and all(word.isidentifier() or word in ("::", "<", ">", ",", "*", "[", "]") or
                                                         word.isdigit() for word in declared):
        yield Problem(plain[0].line, "a variable at program scope must be constant")


def _split(tokens: Sequence[Token]) -> List[List[Token]]:
    """A parameter list's parts."""
    parts: List[List[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.text in ("(", "[", "{", "<", "[["):
            depth += 1
        elif token.text in (")", "]", "}", ">", "]]"):
            depth -= 1
        if token.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def _parameters(tokens: Sequence[Token]) -> Tuple[int, int]:
    """Where a function's parameters open and close; (0, 0) where there is no function."""
    i = 0
    angles = 0
    while i < len(tokens):
        text = tokens[i].text
        angles += (text == "<") - (text == ">")
        if text == "=" and angles == 0:
            break
        if text == "[[":
            i = closing_of(tokens, i)
        elif text == "(" and i > 0 and (tokens[i - 1].text.isidentifier() or tokens[i - 1].text == ">"):
            return i, closing_of(tokens, i)
        i += 1
    return 0, 0


def _needs_space(tokens: Sequence[Token]) -> bool:
    words = [token.text for token in tokens]
    pointers = [i for i, word in enumerate(words) if word in ("*", "&", "&&")]
    return bool(pointers) and not _ADDRESS_SPACES & set(words[:pointers[0]])


def _address_spaces(statement: Statement, plain: Sequence[Token]) -> Iterator[Problem]:
    text = "needs an address space: device, constant, threadgroup or thread"
    inside = statement.scopes[-1] if statement.scopes else "namespace"
    if plain[0].text == "static_assert":
        return
    if inside in ("namespace", "type") and statement.end in ("{", ";"):
        opening, closing = _parameters(plain)
        if opening:
            for part in _split(plain[opening + 1:closing]):
                if _needs_space(part):
                    yield Problem(part[0].line, f"a pointer or reference among the parameters {text}")
            start = next((i + 1 for i in range(opening) if plain[i].text == ">"), 0) if plain[0].text == "template" else 0
            if "operator" not in [token.text for token in plain] and _needs_space(plain[start:opening]):
                yield Problem(plain[0].line, f"a pointer or reference that is returned {text}")
            return
    tokens = list(plain)
    while len(tokens) > 1 and tokens[0].text in ("for", "if", "while", "else", "(", "static"):
        tokens = tokens[1:]
    words = [token.text for token in tokens]
    if words and words[0] not in _ADDRESS_SPACES and _is_pointer_declaration(words):
        yield Problem(tokens[0].line, f"a pointer or reference {text}")


def _is_pointer_declaration(words: Sequence[str]) -> bool:
    """[const] type [<…>] *|& name, and `=`, `[` or the end: which no expression that does something looks like."""
    i = 0
    while i < len(words) and words[i] in ("const", "constexpr", "volatile"):
        i += 1
    if i >= len(words) or not words[i].isidentifier() or words[i] in ("return", "case", "goto", "using", "typedef", "template"):
        return False
    i += 1
    while i + 1 < len(words) and words[i] == "::":
        i += 2
    if i < len(words) and words[i] == "<":
        depth = 0
        while i < len(words):
            depth += words[i].count("<") - words[i].count(">")
            i += 1
            if depth <= 0:
                break
    while i < len(words) and words[i] == "const":
        i += 1
    if i >= len(words) or words[i] not in ("*", "&"):
        return False
    while i < len(words) and words[i] in ("*", "&", "const"):
        i += 1
    return i < len(words) and words[i].isidentifier() and (i + 1 == len(words) or words[i + 1] in ("=", "[", ","))


def _kernel(statement: Statement) -> Iterator[Problem]:
    opening, closing = _parameters(statement.tokens)
    if not opening:
        return
    head = [token.text for token in without_attributes(statement.tokens[:opening])]
    if len(head) < 2 or head[-2] != "void":
        yield Problem(statement.tokens[opening].line, "a kernel returns void")
    taken: Dict[Tuple[str, str], bool] = {}
    for part in _split(statement.tokens[opening + 1:closing]):
        yield from _kernel_parameter(part, taken)


def _kernel_parameter(part: Sequence[Token], taken: Dict[Tuple[str, str], bool]) -> Iterator[Problem]:
    words = [token.text for token in part]
    line = part[0].line
    attributes = words[words.index("[[") + 1:] if "[[" in words else []
    name = attributes[0] if attributes else None
    if name is None:
        yield Problem(line, "a kernel's parameter needs an attribute")
    elif name in ("buffer", "threadgroup"):
        index = attributes[2] if len(attributes) > 2 else ""
        if index.isdigit() and int(index) > _HIGHEST_INDEX:
            yield Problem(line, f"{name}({index}): the highest index is {_HIGHEST_INDEX}")
        if (name, index) in taken:
            yield Problem(line, f"{name}({index}) is taken by another parameter")
        taken[name, index] = True
        spaces = {"threadgroup"} if name == "threadgroup" else {"device", "constant"}
        if not spaces & set(words[:words.index("[[")]):
            yield Problem(line, f"a kernel's {name}({index}) is a pointer or reference to {' or '.join(sorted(spaces))} memory")
    elif name in INPUTS:
        types = INPUTS[name]
        written = [word for word in words[:words.index("[[")] if word != "const"]
        if written and written[0] not in types:
            yield Problem(line, f"{name} is {', '.join(sorted(types))}, and no {written[0]}")
