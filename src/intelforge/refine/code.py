"""Source code by its grammar: definitions with their qualified names, comments and decorators included."""

import importlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tree_sitter import Language, Node, Parser

from intelforge.refine.media import language_of
from intelforge.refine.plain import paragraphs
from intelforge.refine.protocol import Block, Extracted
from intelforge.refine.text import decode, source_charset

MAX_PARSED = 3_000_000
"""bytes; longer source is generated or minified, and its tree would take a hundred times its size"""
MAX_PARSE_SECONDS = 5.0
"""of processor time; a grammar takes this long only where it goes back and forth, as Python's among comments"""
READ_BYTES = 2**16
MAX_DEPTH = 6
"""names in a qualified name"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """How the syntax tree of one language shows its definitions. Names are node types."""

    module: str
    function: str = "language"
    leaves: frozenset[str] = frozenset()
    """definitions taken whole"""
    containers: frozenset[str] = frozenset()
    """definitions that hold others"""
    wrappers: frozenset[str] = frozenset()
    """what belongs to the one definition in it: decorators, `export`, `template<…>`"""
    transparent: frozenset[str] = frozenset()
    """what may stand around definitions and is no part of them: `if`, `try`, `#ifdef`"""
    bodies: frozenset[str] = field(default_factory=frozenset)
    """children of a container that hold its members"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_JAVASCRIPT: dict[str, Any] = {
    "leaves": _words(
        "function_declaration generator_function_declaration method_definition method_signature function_signature "
        "abstract_method_signature type_alias_declaration enum_declaration variable_declarator"
    ),
    "containers": _words(
        "class_declaration abstract_class_declaration class interface_declaration internal_module module"
    ),
    "wrappers": _words(
        "export_statement lexical_declaration variable_declaration expression_statement ambient_declaration"
    ),
    "bodies": _words("class_body interface_body statement_block"),
}
_C: dict[str, Any] = {
    "leaves": _words("function_definition struct_specifier enum_specifier union_specifier type_definition"),
    "wrappers": _words("declaration"),
    "transparent": _words("preproc_ifdef preproc_if preproc_else preproc_elif linkage_specification declaration_list"),
}
GRAMMARS = {
    "text/x-python": Grammar(
        module="tree_sitter_python",
        leaves=_words("function_definition"),
        containers=_words("class_definition"),
        wrappers=_words("decorated_definition"),
        transparent=_words(
            "if_statement else_clause elif_clause try_statement except_clause finally_clause with_statement block"
        ),
        bodies=_words("block"),
    ),
    "text/javascript": Grammar(module="tree_sitter_javascript", **_JAVASCRIPT),
    "text/x-typescript": Grammar(module="tree_sitter_typescript", function="language_typescript", **_JAVASCRIPT),
    "text/x-tsx": Grammar(module="tree_sitter_typescript", function="language_tsx", **_JAVASCRIPT),
    "text/x-go": Grammar(
        module="tree_sitter_go",
        leaves=_words("function_declaration method_declaration type_spec type_alias"),
        wrappers=_words("type_declaration"),
    ),
    "text/x-rust": Grammar(
        module="tree_sitter_rust",
        leaves=_words(
            "function_item function_signature_item struct_item enum_item union_item type_item macro_definition"
        ),
        containers=_words("impl_item mod_item trait_item"),
        transparent=_words("foreign_mod_item"),
        bodies=_words("declaration_list"),
    ),
    "text/x-java": Grammar(
        module="tree_sitter_java",
        leaves=_words("method_declaration constructor_declaration compact_constructor_declaration"),
        containers=_words(
            "class_declaration interface_declaration enum_declaration record_declaration annotation_type_declaration"
        ),
        transparent=_words("enum_body_declarations"),
        bodies=_words("class_body interface_body enum_body annotation_type_body"),
    ),
    "text/x-c": Grammar(module="tree_sitter_c", **_C),
    "text/x-c++": Grammar(
        module="tree_sitter_cpp",
        leaves=_C["leaves"] - _words("struct_specifier") | _words("concept_definition alias_declaration"),
        containers=_words("class_specifier struct_specifier namespace_definition"),
        wrappers=_words("declaration template_declaration"),
        transparent=_C["transparent"],
        bodies=_words("declaration_list field_declaration_list"),
    ),
}
_FUNCTION_VALUES = _words("arrow_function function_expression generator_function class")
_NAMED = _words(
    "identifier field_identifier type_identifier qualified_identifier operator_name destructor_name operator_cast"
)
_ARGUMENTS = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")
_COMMENTS = _words("comment line_comment block_comment attribute_item inner_attribute_item")


@dataclass(frozen=True, slots=True)
class _Definition:
    """Bytes of a definition and the definitions in it."""

    start: int
    end: int
    name: str
    members: tuple["_Definition", ...] = ()


@dataclass(frozen=True, slots=True)
class _Span:
    """Bytes that belong to one symbol; the empty symbol is the file itself."""

    start: int
    end: int
    symbol: str


def extract_code(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """A file with syntax errors gives what the grammar can still see. Raises ItemError when the item is empty."""
    decoded = decode(data, declared=charset or source_charset(data))
    text = decoded.text
    source = text.encode()
    root = _parsed(source, _language(media_type)) if len(source) <= MAX_PARSED else None
    if root is None:
        blocks = paragraphs(text, kind="code")
    else:
        definitions = tuple(_definitions(root, GRAMMARS[media_type], 0))
        blocks = tuple(_in_characters(_spans(0, len(source), "", definitions, source), source))
    return Extracted(
        text=text, blocks=blocks, media_type=media_type, language=language_of(media_type), metadata=decoded.metadata
    )


@cache
def _language(media_type: str) -> Language:
    grammar = GRAMMARS[media_type]
    return Language(getattr(importlib.import_module(grammar.module), grammar.function)())


def _parsed(source: bytes, language: Language) -> Node | None:
    """The root of the syntax tree; None when that takes too long."""
    began = time.process_time()
    try:
        tree = Parser(language).parse(
            lambda offset, _: source[offset : offset + READ_BYTES],
            progress_callback=lambda *_: time.process_time() - began > MAX_PARSE_SECONDS,
        )
    except ValueError:
        return None
    return tree.root_node


def _definitions(parent: Node, grammar: Grammar, depth: int) -> Iterator[_Definition]:
    """The outermost definitions below a node, each from the comments right above it on."""
    last_row, comments_from, comments_row = -1, 0, -1
    for node in parent.named_children:
        row = node.start_point.row
        if node.type in _COMMENTS:
            if row != last_row:  # else it ends a line of code and belongs to that
                comments_from = comments_from if row <= comments_row + 1 else node.start_byte
                comments_row = node.end_point.row
            continue
        touches = -1 < comments_row >= row - 1 and node.type not in grammar.transparent
        start = comments_from if touches else node.end_byte
        last_row, comments_row = node.end_point.row, -1
        for found in _definitions_of(node, grammar, depth):
            yield _Definition(min(start, found.start), found.end, found.name, found.members)
            start = found.end


def _definitions_of(node: Node, grammar: Grammar, depth: int) -> Iterator[_Definition]:
    kind = node.type
    if depth >= MAX_DEPTH:
        return
    if kind in grammar.leaves:
        if _is_definition(node):
            yield _Definition(node.start_byte, node.end_byte, _name(node))
    elif kind in grammar.containers:
        members = tuple(
            member
            for body in node.named_children
            if body.type in grammar.bodies
            for member in _definitions(body, grammar, depth + 1)
        )
        yield _Definition(node.start_byte, node.end_byte, _name(node), members)
    elif kind in grammar.wrappers:
        inner = tuple(_definitions(node, grammar, depth + 1))
        if len(inner) == 1:
            yield _Definition(node.start_byte, node.end_byte, inner[0].name, inner[0].members)
        yield from inner[1:] and inner
    elif kind in grammar.transparent or kind == "ERROR":
        yield from _definitions(node, grammar, depth + 1)


def _is_definition(node: Node) -> bool:
    """A variable that holds a function, a struct that is declared here and not only used."""
    if node.type == "variable_declarator":
        value = node.child_by_field_name("value")
        return value is not None and value.type in _FUNCTION_VALUES
    if node.type in ("struct_specifier", "enum_specifier", "union_specifier"):
        return node.child_by_field_name("body") is not None
    return True


def _name(node: Node) -> str:
    """The name as the language writes it, with `.` for every kind of nesting; empty when it has none."""
    named = node.child_by_field_name("name")
    if named is None and node.type == "impl_item":
        named = node.child_by_field_name("type")
    inner = node if named is None else None
    while inner is not None and inner.type not in _NAMED:
        inner = inner.child_by_field_name("declarator") or _inner_declarator(inner)
        named = inner or named
    name = _plain_name(_text(named))
    receiver = _text(node.child_by_field_name("receiver")).strip("() ").split()
    return f"{_plain_name(receiver[-1].lstrip('*'))}.{name}" if receiver else name


def _inner_declarator(node: Node) -> Node | None:
    """References and parenthesised declarators hold theirs without a field name."""
    return next((child for child in node.named_children if child.type.endswith(("declarator", "_identifier"))), None)


def _plain_name(name: str) -> str:
    """Without type arguments, quotes and line breaks."""
    if "operator" not in name:
        name = _ARGUMENTS.sub("", _ARGUMENTS.sub("", name)).partition("<")[0]
    return "".join(name.replace("::", ".").strip("'\" ").split())[:80]


def _text(node: Node | None) -> str:
    return node.text.decode(errors="replace") if node is not None and node.text else ""


def _spans(start: int, end: int, symbol: str, members: Iterable[_Definition], source: bytes) -> list[_Span]:
    """Every definition, and what stands between them under the name that holds it."""
    spans: list[_Span] = []
    for member in members:
        _append(spans, _Span(start, member.start, symbol), source)
        spans += _spans(member.start, member.end, _qualified(symbol, member.name), member.members, source)
        start = member.end
    _append(spans, _Span(start, end, symbol), source)
    return spans


def _append(spans: list[_Span], span: _Span, source: bytes) -> None:
    """Brackets and semicolons alone belong to the definition they close."""
    between = source[span.start : span.end].strip()
    if not between:
        return
    if spans and len(between) < 8 and not between.strip(b"{}[]();, \t\n"):
        spans[-1] = _Span(spans[-1].start, span.end, spans[-1].symbol)
    else:
        spans.append(span)


def _qualified(symbol: str, name: str) -> str:
    return ".".join(part for part in (symbol, name) if part)


def _in_characters(spans: list[_Span], source: bytes) -> Iterator[Block]:
    """Blocks with offsets in characters, in one pass over the bytes."""
    ascii_only = source.isascii()
    position = characters = 0
    for span in spans:
        ends = []
        for offset in (span.start, span.end):
            characters += offset - position if ascii_only else len(source[position:offset].decode())
            position = offset
            ends.append(characters)
        yield Block(start=ends[0], end=ends[1], kind="definition" if span.symbol else "code", heading=span.symbol)
