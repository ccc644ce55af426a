import pytest

from intelforge.refine import media
from intelforge.refine.chunk import chunk
from intelforge.refine.code import extract_code
from intelforge.refine.protocol import Extracted
from intelforge.refine.tokens import estimate

PYTHON = '''"""Module."""
import os

LIMIT = 1  # not about run

# Runs it.
@decorated
async def run(task):
    """Docs."""
    return task


class Task:
    """A task."""

    name = "é漢"

    @property
    def done(self):
        return False

    class Inner:
        def deep(self):
            pass


try:
    import fast
except ImportError:
    def fast():
        pass
'''


def symbols(source: str, media_type: str) -> dict[str, str]:
    """First text by qualified name."""
    extracted = extract_code(source.encode(), media_type=media_type)
    found: dict[str, str] = {}
    for block in extracted.blocks:
        found.setdefault(block.heading, extracted.text[block.start : block.end].strip())
    return found


def test_python_definitions_carry_their_qualified_names_comments_and_decorators() -> None:
    found = symbols(PYTHON, "text/x-python")
    assert list(found) == ["", "run", "Task", "Task.done", "Task.Inner", "Task.Inner.deep", "fast"]
    assert found["run"].startswith("# Runs it.\n@decorated\nasync def run")
    assert found["run"].endswith("return task")
    assert found["Task"].endswith('name = "é漢"')
    assert found["Task.done"].startswith("@property")
    assert found[""].endswith("# not about run")


@pytest.mark.parametrize(
    ("media_type", "source", "expected"),
    [
        (
            "text/javascript",
            "export default class A { foo(a) {} }\nfunction f() {}\nexport const g = async (a) => 1;\nlet z = 1;",
            ["A", "A.foo", "f", "g", ""],
        ),
        (
            "text/x-typescript",
            "interface I { a(): void }\ntype T = {};\nnamespace N { export function f() {} }\nclass K<T> { m(): T {} }",
            ["I", "I.a", "T", "N", "N.f", "K", "K.m"],
        ),
        ("text/x-tsx", "const View = () => <p>x</p>;\nfunction App() { return <View/>; }", ["View", "App"]),
        (
            "text/x-go",
            "package a\n\n// M does.\nfunc (t *T[K]) M() {}\nfunc F() {}\ntype T struct { a int }",
            ["", "T.M", "F", "T"],
        ),
        (
            "text/x-rust",
            "use a;\n#[derive(Debug)]\nstruct S<T> { a: T }\nimpl<T> Tr for S<T> { fn m() {} }\nmod x { fn q() {} }",
            ["", "S", "S.m", "x", "x.q"],
        ),
        (
            "text/x-java",
            "package a;\n/** Doc. */\nclass A<T> { A() {} void m() {} enum E { X; void r() {} } }",
            ["", "A", "A.A", "A.m", "A.E", "A.E.r"],
        ),
        (
            "text/x-c",
            "#ifdef X\nint f(int a) { return 1; }\n#endif\nstruct s { int a; };\nstatic char **g(void) { return 0; }",
            ["", "f", "s", "g"],
        ),
        (
            "text/x-c++",
            "namespace a::b { class C { void m() {} bool operator==(int) { return 1; } }; }\n"
            "template <class T> T f(T x) { return x; }\nvoid a::D<int>::n() {}\nC::~C() {}\nS& r() { return s; }",
            ["a.b", "a.b.C", "a.b.C.m", "a.b.C.operator==", "f", "a.D.n", "C.~C", "r"],
        ),
    ],
)
def test_definitions_of_each_language_are_found(media_type: str, source: str, expected: list[str]) -> None:
    assert list(symbols(source, media_type)) == expected


def test_every_grammar_is_installed() -> None:
    for media_type in media.PARSED_LANGUAGES:
        assert extract_code(b"x", media_type=media_type).text == "x"


def test_a_file_with_syntax_errors_still_gives_its_definitions() -> None:
    found = symbols("def good():\n    return 1\n\nclass (:\n\ndef fine():\n    return 2\n", "text/x-python")
    assert {"good", "fine"} <= set(found)


def test_a_function_stays_whole_and_a_long_class_is_cut_between_its_methods() -> None:
    methods = "\n".join(f"    def method_{n}(self):\n        return {n} + {n} * {n}\n" for n in range(20))
    source = f"class Big:\n    '''Docs.'''\n\n{methods}"
    extracted = extract_code(source.encode(), media_type="text/x-python")
    chunks = chunk(extracted, document_id="d", max_tokens=60, count=estimate)
    assert len(chunks) > 3
    for each in chunks:
        assert each.heading.startswith("Big")
        assert each.text.startswith(("class Big", "def method_"))
        assert each.kind == "code"


def test_a_long_function_is_cut_between_statements() -> None:
    source = "def long(a):\n" + "".join(f"    if a > {n}:\n        print(a, {n})\n" for n in range(40))
    extracted = extract_code(source.encode(), media_type="text/x-python")
    chunks = chunk(extracted, document_id="d", max_tokens=64, count=estimate)
    assert len(chunks) > 3
    assert all(each.text.startswith(("def long", "if a >")) for each in chunks)
    assert {each.heading for each in chunks} == {"long"}


def test_source_in_a_declared_encoding_is_decoded() -> None:
    extracted = extract_code("# coding: latin-1\nname = 'é'\n".encode("latin-1"), media_type="text/x-python")
    assert "é" in extracted.text
    assert extracted.metadata["encoding"] == "iso8859-1"


def test_source_too_large_to_parse_is_taken_by_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intelforge.refine.code.MAX_PARSED", 10)
    extracted: Extracted = extract_code(b"def one():\n    pass\n\ndef two():\n    pass\n", media_type="text/x-python")
    assert [block.heading for block in extracted.blocks] == ["", ""]
    assert extracted.language == "python"


def test_source_its_grammar_takes_too_long_for_is_taken_by_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    source = b"def f():\n" + b"    # a comment among comments\n" * 3000 + b"    pass\n"
    assert list(symbols(source.decode(), "text/x-python")) == ["f"]
    monkeypatch.setattr("intelforge.refine.code.MAX_PARSE_SECONDS", 0.01)
    extracted = extract_code(source, media_type="text/x-python")
    assert {block.heading for block in extracted.blocks} == {""}
    assert extracted.text == source.decode()
