"""What a name and the first bytes say about an item: its media type, or that it is not text and not a document."""

from intelforge.core.errors import ErrorCode, ItemError

DOCUMENTS = {
    ".csv": "text/csv",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".eml": "message/rfc822",
    ".epub": "application/epub+zip",
    ".htm": "text/html",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".ndjson": "application/jsonl",
    ".pdf": "application/pdf",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rst": "text/x-rst",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".xhtml": "application/xhtml+xml",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
"""media types of the document formats that are known by their extension"""

_CONTAINERS = frozenset({".docx", ".epub", ".pdf", ".pptx", ".xlsx"})
"""documents whose bytes are not text"""


def _table(**kinds: str) -> dict[str, str]:
    return {f".{extension}": kind for kind, extensions in kinds.items() for extension in extensions.split()}


BINARY = _table(
    archive="7z bz2 cab deb dmg gmo gz iso jar lz4 lzma mo rar rpm tar tgz war whl xz zip zst",
    audio="aac aiff flac m4a mid mp3 ogg opus wav wma",
    database="db db3 duckdb mdb parquet arrow feather orc sqlite sqlite3",
    font="eot otf ttc ttf woff woff2",
    image="avif bmp gif heic heif icns ico jpeg jpg jp2 png psd tif tiff webp xcf",
    program="a class com dll dylib elc exe ko lib msi o obj pdb pyc pyd pyo so wasm",
    video="avi flv m4v mkv mov mp4 mpeg mpg webm wmv",
)
"""extensions that are never text nor a document that can be read, with what they are"""
BINARY |= _table(
    **{"saved arrays or model weights": "bin ckpt gguf h5 hdf5 npy npz onnx pb pickle pkl pt pth safetensors"}
)

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"\x7fELF", "program"),
    (b"\xcf\xfa\xed\xfe", "program"),
    (b"\x1f\x8b", "archive"),
    (b"BZh", "archive"),
    (b"\xfd7zXZ\x00", "archive"),
    (b"\x28\xb5\x2f\xfd", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"Rar!\x1a\x07", "archive"),
    (b"PK\x03\x04", "archive"),
    (b"SQLite format 3\x00", "database"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "document in an old Office format"),
)
_TEXT_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\x00\x00\xfe\xff")
"""byte order marks: the NULs of UTF-16 and UTF-32 are text"""
_SNIFFED = 8192


def extension_of(uri: str) -> str:
    """`src/Makefile.AM` gives `.am`; a leading dot alone makes no extension."""
    name = uri.rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    return f".{extension.lower()}" if dot and stem else ""


def binary_by_name(uri: str) -> str | None:
    """Why the name alone tells that the item cannot be read as text, or None."""
    extension = extension_of(uri)
    kind = BINARY.get(extension)
    return f"is binary ({kind}, by its extension {extension})" if kind else None


def media_type(uri: str, data: bytes) -> str | None:
    """The media type by extension, or by content for a PDF without one; None for text of no known format.

    Raises ItemError (UNSUPPORTED) for content that is neither text nor a known document.
    """
    extension = extension_of(uri)
    if extension in _CONTAINERS:
        return DOCUMENTS[extension]
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    reason = _binary_by_content(data[:_SNIFFED])
    if reason:
        raise ItemError(
            f"{uri} is binary ({reason})", hint="leave it out with the setting ignore", code=ErrorCode.UNSUPPORTED
        )
    return DOCUMENTS.get(extension)


def _binary_by_content(head: bytes) -> str | None:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if b"\x00" in head and not head.startswith(_TEXT_MARKS):
        return "it holds NUL bytes"
    return None
