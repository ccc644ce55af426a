"""What kind of thing an item is: by its first bytes, what its transport declared, and its name, in this order."""

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.refine.text import is_binary

PLAIN = "text/plain"
MARKDOWN = "text/markdown"
RST = "text/x-rst"
HTML = "text/html"
PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
EPUB = "application/epub+zip"
EMAIL = "message/rfc822"
CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON = "application/json"
JSON_LINES = "application/x-ndjson"
NOTEBOOK = "application/x-ipynb+json"

_DOCUMENTS = {
    "txt": PLAIN, "text": PLAIN, "log": PLAIN,
    "md": MARKDOWN, "markdown": MARKDOWN, "mdx": MARKDOWN,
    "rst": RST,
    "html": HTML, "htm": HTML, "xhtml": HTML,
    "pdf": PDF, "docx": DOCX, "docm": DOCX, "pptx": PPTX, "pptm": PPTX, "xlsx": XLSX, "xlsm": XLSX, "epub": EPUB,
    "eml": EMAIL,
    "csv": CSV, "tsv": TSV, "tab": TSV,
    "json": JSON, "geojson": JSON, "jsonl": JSON_LINES, "ndjson": JSON_LINES, "ipynb": NOTEBOOK,
}  # fmt: skip
_LANGUAGES = {
    "python": "py pyi pyw", "javascript": "js mjs cjs jsx", "typescript": "ts mts cts", "tsx": "tsx", "go": "go",
    "rust": "rs", "java": "java", "c": "c", "c++": "cc cpp cxx c++ hpp hh hxx h++ ipp",
    "shell": "sh bash zsh", "ruby": "rb", "php": "php", "c#": "cs", "kotlin": "kt kts", "swift": "swift",
    "scala": "scala", "lua": "lua", "r": "r", "perl": "pl pm", "sql": "sql", "css": "css scss less", "haskell": "hs",
    "elixir": "ex exs", "erlang": "erl", "clojure": "clj", "ocaml": "ml mli", "dart": "dart", "julia": "jl",
    "groovy": "groovy gradle", "powershell": "ps1", "vue": "vue", "svelte": "svelte", "protobuf": "proto",
    "cython": "pyx pxd", "assembly": "s asm", "fortran": "f90", "zig": "zig", "nim": "nim", "terraform": "tf",
    "yaml": "yaml yml", "toml": "toml", "ini": "ini cfg conf", "xml": "xml xsd svg", "make": "mk", "cmake": "cmake",
}  # fmt: skip
_NAMES = {"makefile": "make", "dockerfile": "docker", "cmakelists.txt": "cmake"}
_SPECIAL_TYPES = {
    "javascript": "text/javascript", "css": "text/css", "yaml": "application/yaml", "toml": "application/toml",
    "xml": "application/xml",
}  # fmt: skip
_TYPE_OF_LANGUAGE = {
    language: _SPECIAL_TYPES.get(language, f"text/x-{language}") for language in (*_LANGUAGES, "docker")
}
_LANGUAGE_OF_TYPE = {media_type: language for language, media_type in _TYPE_OF_LANGUAGE.items()}
PARSED_LANGUAGES = tuple(
    _TYPE_OF_LANGUAGE[language]
    for language in ("python", "javascript", "typescript", "tsx", "go", "rust", "java", "c", "c++")
)
"""media types of the languages whose grammar is known"""
_BY_EXTENSION = _DOCUMENTS | {
    extension: _TYPE_OF_LANGUAGE[language]
    for language, extensions in _LANGUAGES.items()
    for extension in extensions.split()
}
_ALIASES = {
    "application/xhtml+xml": HTML,
    "text/x-markdown": MARKDOWN,
    "application/javascript": "text/javascript",
    "application/x-javascript": "text/javascript",
    "text/x-script.python": "text/x-python",
    "application/x-yaml": "application/yaml",
    "text/yaml": "application/yaml",
    "text/xml": "application/xml",
    "text/json": JSON,
    "application/jsonl": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
    "application/csv": CSV,
}
_KNOWN = {*_BY_EXTENSION.values(), *_LANGUAGE_OF_TYPE} - {PLAIN}
_BINARY = {PDF, DOCX, PPTX, XLSX, EPUB}

_FOREIGN = (
    (b"\x89PNG", "an image"), (b"\xff\xd8\xff", "an image"), (b"GIF8", "an image"), (b"BM", "an image"),
    (b"\x1f\x8b", "a gzip archive"), (b"BZh", "a bzip2 archive"), (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"), (b"Rar!", "a RAR archive"), (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x7fELF", "a program"), (b"MZ", "a program"), (b"\xca\xfe\xba\xbe", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"SQLite format 3", "a database"), (b"ID3", "audio"), (b"OggS", "audio"), (b"RIFF", "audio, video or an image"),
)  # fmt: skip
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML_START = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html[\s>])",
    re.IGNORECASE | re.DOTALL,
)
_CPP_HEADER = re.compile(rb"^[ \t]*(?:class|namespace|template\s*<|public:|private:|using\s)", re.MULTILINE)
_SHEBANG = re.compile(rb"\A#![^\n]*?\b(python|node|bash|zsh|sh|ruby|perl|php|lua)")
_SHEBANG_LANGUAGE = {"node": "javascript", "bash": "shell", "zsh": "shell", "sh": "shell"}


def detect(data: bytes, *, uri: str, declared: str | None = None) -> str:
    """The media type, without parameters. Raises ItemError when no extractor can read such a thing."""
    name = urlsplit(uri).path if "://" in uri else uri
    magic = _by_magic(data)
    if magic:
        return magic
    found = _declared(declared) or _by_name(name, data)
    if found in _BINARY or (found in (None, PLAIN) and _is_zip(data)):
        return _binary(found, data)
    if is_binary(data):
        what = next((what for start, what in _FOREIGN if data.startswith(start)), "binary data")
        raise ItemError(f"this is {what}", hint="there is no extractor for it", code=ErrorCode.UNSUPPORTED)
    return found or _by_content(data)


def language_of(media_type: str) -> str:
    """The programming language of a media type; empty for anything else."""
    language = _LANGUAGE_OF_TYPE.get(media_type, "")
    return "typescript" if language == "tsx" else language


def _by_magic(data: bytes) -> str | None:
    if data.lstrip().startswith(b"%PDF-") or (b"%PDF-" in data[:1024] and is_binary(data)):
        return PDF
    if data.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise ItemError("the document is encrypted", hint="save it without a password", code=ErrorCode.ENCRYPTED)
        raise ItemError(
            "this is an Office document from before 2007 (or an Outlook message)",
            hint="save it as .docx, .xlsx, .pptx or .eml",
            code=ErrorCode.UNSUPPORTED,
        )
    return _zip_type(data) if _is_zip(data) else None


def _is_zip(data: bytes) -> bool:
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def _zip_type(data: bytes) -> str | None:
    """Told by the names in the archive, which stand uncompressed at its start and in its directory at the end."""
    if b"application/epub+zip" in data[:200]:
        return EPUB
    ends = data[:65536] + data[-65536:]
    for name, media_type in ((b"word/", DOCX), (b"ppt/", PPTX), (b"xl/", XLSX)):
        if name in ends and (b"[Content_Types].xml" in ends or b"_rels/" in ends):
            return media_type
    return None


def _binary(found: str | None, data: bytes) -> str:
    """Named like a binary document, but its content does not say so: damaged, or something else."""
    if found in _BINARY and (_is_zip(data) or is_binary(data) or not data.strip()):
        return found
    if _is_zip(data):
        raise ItemError("this is an archive", hint="unpack it and add the folder", code=ErrorCode.UNSUPPORTED)
    return _by_content(data)


def _declared(declared: str | None) -> str | None:
    plain = (declared or "").partition(";")[0].strip().lower()
    plain = _ALIASES.get(plain, plain)
    return plain if plain in _KNOWN else None


def _by_name(name: str, data: bytes) -> str | None:
    path = PurePosixPath(name.replace("\\", "/").lower())
    if path.name in _NAMES:
        return _TYPE_OF_LANGUAGE[_NAMES[path.name]]
    extension = path.suffix.removeprefix(".")
    if extension == "h":
        return _TYPE_OF_LANGUAGE["c++" if _CPP_HEADER.search(data[:65536]) else "c"]
    return _BY_EXTENSION.get(extension)


def _by_content(data: bytes) -> str:
    if _HTML_START.match(data[:4096]):
        return HTML
    match = _SHEBANG.match(data[:200])
    if match:
        program = match[1].decode()
        return _TYPE_OF_LANGUAGE[_SHEBANG_LANGUAGE.get(program, program)]
    return PLAIN
