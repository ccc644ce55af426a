"""Zip-based documents, looked at before anything in them is unpacked."""

import io
import zipfile

from intelforge.core.errors import ErrorCode, ItemError

MAX_ENTRIES = 20_000
MAX_UNPACKED = 512 * 1024 * 1024
"""bytes"""
MAX_RATIO = 200
"""unpacked to packed; for archives that unpack to more than `RATIO_FROM` bytes"""
RATIO_FROM = 16 * 1024 * 1024


def open_archive(data: bytes) -> zipfile.ZipFile:
    """The archive, when what it declares to hold is within reason. `zipfile` never reads more than is declared.

    Raises ItemError when it is damaged, encrypted or unpacks to too much.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise ItemError(f"the file is damaged or cut off ({error})", hint="fetch or save it again") from error
    entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or unpacked > MAX_UNPACKED:
        raise _too_large(f"{len(entries)} parts of {unpacked} bytes")
    if unpacked > RATIO_FROM and unpacked > MAX_RATIO * len(data):
        raise _too_large(f"{unpacked} bytes out of {len(data)}")
    if any(entry.flag_bits & 1 for entry in entries):
        raise ItemError("the file is encrypted", hint="save it without a password", code=ErrorCode.ENCRYPTED)
    return archive


def _too_large(what: str) -> ItemError:
    return ItemError(f"it would unpack to {what}", hint="it looks like a zip bomb", code=ErrorCode.TOO_LARGE)
