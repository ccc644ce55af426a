"""A file is read whole and at rest, or not at all."""

import os
import socket
from pathlib import Path

import pytest

from intelforge.collect.reading import open_beneath, read_stable
from intelforge.core.errors import ErrorCode, IntelForgeError, ItemError, NotFoundError
from intelforge.core.values import Validators


def read(path: Path, *, max_bytes: int = 1000, now_ns: int = 0) -> tuple[bytes, Validators]:
    flags = os.O_RDONLY | os.O_NONBLOCK
    return read_stable(lambda: os.open(path, flags), path.name, max_bytes=max_bytes, now_ns=lambda: now_ns)


def code_of(path: Path, *, max_bytes: int = 1000) -> ErrorCode:
    with pytest.raises(IntelForgeError) as caught:
        read(path, max_bytes=max_bytes)
    return caught.value.error_code


def test_bytes_come_with_the_validators_they_were_read_under(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"text")
    os.utime(path, ns=(1, 1_500_000_001))
    assert read(path, now_ns=2**60) == (b"text", Validators(size=4, mtime_ns=1_500_000_001))


@pytest.mark.parametrize(
    ("mtime", "age", "settled"),
    [
        (1_500_000_001, 1_000_000, False),
        (1_500_000_001, 30_000_000, True),
        (3_000_000_000, 1_000_000_000, False),
        (3_000_000_000, 2_000_000_000, True),
        (3_000_000_001, -5_000_000_000, True),
    ],
)
def test_a_time_that_a_next_write_could_share_does_not_validate(
    tmp_path: Path, mtime: int, age: int, settled: bool
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"text")
    os.utime(path, ns=(mtime, mtime))
    _, validators = read(path, now_ns=mtime + age)
    assert (validators.mtime_ns is not None) is settled


def test_the_cap_is_inclusive(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 1000)
    assert len(read(path)[0]) == 1000
    assert code_of(path, max_bytes=999) is ErrorCode.TOO_LARGE


def test_a_sparse_file_of_ten_gigabytes_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(10 * 10**9)

    def no_read(descriptor: int, size: int) -> bytes:
        pytest.fail("the file was read")

    monkeypatch.setattr("intelforge.collect.reading.os.read", no_read)
    assert code_of(path) is ErrorCode.TOO_LARGE


def test_a_file_that_changes_once_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    real = os.read
    writes = iter([b"newer"])

    def disturbed(descriptor: int, size: int) -> bytes:
        for data in writes:
            path.write_bytes(data)
        return real(descriptor, size)

    monkeypatch.setattr("intelforge.collect.reading.os.read", disturbed)
    assert read(path)[0] == b"newer"


def test_a_file_that_never_rests_fails_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    real = os.read

    def disturbed(descriptor: int, size: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"line\n")
        return real(descriptor, size)

    monkeypatch.setattr("intelforge.collect.reading.os.read", disturbed)
    with pytest.raises(ItemError) as caught:
        read(path, max_bytes=1000)
    assert caught.value.error_code in {ErrorCode.CHANGED_WHILE_READ, ErrorCode.TOO_LARGE}
    assert caught.value.error_code is ErrorCode.TOO_LARGE or caught.value.retryable


def test_growth_over_the_cap_while_reading_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x")
    monkeypatch.setattr("intelforge.collect.reading.os.read", lambda descriptor, size: b"x" * size)
    assert code_of(path) is ErrorCode.TOO_LARGE


def test_what_is_not_a_regular_file_is_unsupported(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert code_of(pipe) is ErrorCode.UNSUPPORTED
    assert code_of(Path("/dev/null")) is ErrorCode.UNSUPPORTED


def test_a_socket_is_unreadable_and_nothing_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        assert code_of(Path("s")) is ErrorCode.UNREADABLE
    with pytest.raises(NotFoundError):
        read(tmp_path / "nothing")


def test_no_permission_is_unreadable(tmp_path: Path) -> None:
    def denied() -> int:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(ItemError, match="Permission denied") as caught:
        read_stable(denied, "a", max_bytes=1)
    assert caught.value.error_code is ErrorCode.UNREADABLE


def test_links_are_not_followed_anywhere_on_the_way(tmp_path: Path) -> None:
    inside = tmp_path / "root" / "sub"
    inside.mkdir(parents=True)
    (inside / "file").write_text("text")
    (tmp_path / "root" / "link").symlink_to("sub")
    (inside / "name").symlink_to("file")
    root = os.fsencode(tmp_path / "root")
    os.close(open_beneath(root, b"sub/file"))
    for path in (b"link/file", b"sub/name"):
        with pytest.raises(OSError, match=r"symbolic|Not a directory"):
            open_beneath(root, path)
