"""A folder of small real files under random changes, for `crash.py`. Each text has a word that no other has."""

import json
import random
import string
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = (".py", ".md", ".html", ".txt", ".json")
WORD_LETTERS = 14


@dataclass(kw_only=True)
class CrashFolder:
    """Knows what is in the folder now, and what was in it before."""

    path: Path
    random: random.Random
    words: dict[str, str] = field(default_factory=dict)
    """the word of each file that is there, by file name; duplicates share one"""
    ever: set[str] = field(default_factory=set)
    """every word that was in a file"""
    _numbers: int = 0
    _size: int = 0

    @property
    def past(self) -> set[str]:
        """Words that are in no file any more."""
        return self.ever - set(self.words.values())

    def fill(self, files: int) -> None:
        self.path.mkdir(parents=True)
        self._size = files
        for _ in range(files):
            self._add()
        self._duplicate(files // 10)

    def mutate(self) -> None:
        """Changes, deletes and renames about a tenth of the files each, adds as many new ones, and copies some."""
        few = max(1, len(self.words) // 10)
        for name in self._some(few):
            self._write(name)
        for name in self._some(few):
            self._delete(name)
        for name in self._some(few):
            self._rename(name)
        while len(self.words) < self._size:
            self._add()
        self._duplicate(self.random.randint(0, 1))

    def _some(self, number: int) -> list[str]:
        return self.random.sample(sorted(self.words), min(number, len(self.words) - 1))

    def _name(self, suffix: str) -> str:
        self._numbers += 1
        return f"{self.random.choice(('', 'a/', 'a/b/'))}file{self._numbers}{suffix}"

    def _add(self) -> None:
        self._write(self._name(self.random.choice(SUFFIXES)))

    def _write(self, name: str) -> None:
        word = "q" + "".join(self.random.choices(string.ascii_lowercase, k=WORD_LETTERS))
        self.ever.add(word)
        self.words[name] = word
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text_of(file.suffix, word, paragraphs=self.random.choice((1, 1, 2, 12))), encoding="utf-8")

    def _delete(self, name: str) -> None:
        (self.path / name).unlink()
        del self.words[name]

    def _rename(self, name: str) -> None:
        new = self._name(Path(name).suffix)
        (self.path / new).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).rename(self.path / new)
        self.words[new] = self.words.pop(name)

    def _duplicate(self, number: int) -> None:
        for name in self._some(number):
            new = self._name(Path(name).suffix)
            (self.path / new).parent.mkdir(parents=True, exist_ok=True)
            (self.path / new).write_bytes((self.path / name).read_bytes())
            self.words[new] = self.words[name]


def text_of(suffix: str, word: str, *, paragraphs: int) -> str:
    """A small file of this type about a word."""
    prose = [
        f"The store keeps {word} in part {number}, and a reader who asks for it is told where it was written down. "
        "It stays there until somebody takes it away, whatever happens to the machine in between."
        for number in range(paragraphs)
    ]
    match suffix:
        case ".py":
            functions = "\n\n".join(
                f'def part_{number}(value: int) -> int:\n    """{line}"""\n    return value + {number}'
                for number, line in enumerate(prose)
            )
            return f'"""About {word}."""\n\n\n{functions}\n'
        case ".md":
            return f"# About {word}\n\n" + "\n\n".join(prose) + "\n"
        case ".html":
            body = "".join(f"<p>{line}</p>" for line in prose)
            head = f"<head><title>About {word}</title></head>"
            return f"<html>{head}<body><article><h1>About {word}</h1>{body}</article></body></html>"
        case ".json":
            return json.dumps({"about": word, "parts": prose}, indent=1)
        case _:
            return "\n\n".join(prose) + "\n"
