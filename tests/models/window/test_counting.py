import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.chat import ChatRequest, Image, Message, Role, Text, Thinking, Tool, ToolCall, ToolResult
from intelforge.models.window.counting import Count, TokenCounter, bytes_of
from intelforge.models.window.families import family_of
from intelforge.models.window.images import image_tokens, most_image_tokens, size_of

MODELS = ["openai:gpt-5", "ollama:qwen3:8b", "gemini:gemini-2.5-pro", "anthropic:claude-sonnet-4-5", "x:y"]


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(header))


def test_openai_is_exact_and_others_say_how_far_they_are_off() -> None:
    assert TokenCounter("openai:gpt-5").text("hello world") == Count(tokens=2)
    assert TokenCounter("ollama:qwen3:8b").text("hello world").error > 0


def test_a_turn_counts_all_of_its_parts() -> None:
    counter = TokenCounter("openai:gpt-5")
    parts = (
        Text("hello world"),
        Thinking("hello world"),
        ToolCall(id="1", name="find", arguments='{"a": 1}'),
        ToolResult(id="1", name="find", content="hello world"),
        Image(data=png(512, 512), media_type="image/png"),
    )
    whole = counter.message(Message(role=Role.USER, parts=parts)).tokens
    single = [counter.message(Message(role=Role.USER, parts=(part,))).tokens for part in parts]
    assert whole == sum(single) - (len(parts) - 1) * counter.family.message
    assert all(one > counter.family.message for one in single)


def test_tools_and_schemas_count_and_tools_not_offered_do_not() -> None:
    counter = TokenCounter("openai:gpt-5")
    message = Message.of(Role.USER, "hello")
    tool = Tool(name="find", description="Finds things.", parameters={"type": "object", "properties": {}})
    bare = counter.request(ChatRequest(messages=(message,))).tokens
    assert counter.request(ChatRequest(messages=(message,), tools=(tool,))).tokens > bare
    assert counter.request(ChatRequest(messages=(message,), tools=(tool,), tool_choice="none")).tokens == bare
    assert counter.request(ChatRequest(messages=(message,), output_schema={"type": "object"})).tokens > bare


@given(words=st.lists(st.text(max_size=60), max_size=6), model=st.sampled_from(MODELS))
def test_bytes_bound_the_tokens_of_public_tokenizers(words: list[str], model: str) -> None:
    request = ChatRequest(messages=tuple(Message.of(Role.USER, text) for text in words))
    bound = bytes_of(request)
    counter = TokenCounter(model)
    assert bound is not None
    if counter.family.exact:
        assert counter.request(request).tokens <= bound


def test_pictures_have_no_bound_by_bytes() -> None:
    picture = Message(role=Role.USER, parts=(Image(data=png(10, 10), media_type="image/png"),))
    assert bytes_of(ChatRequest(messages=(picture,))) is None


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (png(640, 480), (640, 480)),
        (b"GIF89a" + struct.pack("<HH", 320, 200) + bytes(4), (320, 200)),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 480, 640) + bytes(8), (640, 480)),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x7f\x02\0\xdf\x01\0", (640, 480)),
        (b"not a picture", None),
        (b"\xff\xd8\xff", None),
        (b"", None),
    ],
)
def test_sizes_are_read_from_the_header(data: bytes, size: tuple[int, int] | None) -> None:
    assert size_of(data) == size


@given(data=st.binary(max_size=64) | st.binary(max_size=64).map(b"\xff\xd8".__add__))
def test_no_bytes_break_the_reading_of_a_size(data: bytes) -> None:
    size = size_of(data)
    assert size is None or min(size) > 0


@pytest.mark.parametrize(
    ("family", "width", "height", "tokens"),
    [
        ("openai", 1024, 1024, 765),
        ("openai", 2048, 4096, 1105),
        ("gpt-4o-mini", 1024, 1024, 25_501),
        ("claude", 1000, 1000, 1334),
        ("gemma", 300, 300, 258),
        ("gemma", 9216, 3072, 2064),
        ("qwen", 280, 280, 102),
    ],
)
def test_pictures_cost_what_the_providers_publish(family: str, width: int, height: int, tokens: int) -> None:
    assert image_tokens(family, png(width, height)) == tokens


def test_a_picture_that_cannot_be_read_costs_as_much_as_a_large_one() -> None:
    assert image_tokens("openai", b"?") == image_tokens("openai", png(2048, 2048))
    assert image_tokens("unknown", b"?") >= image_tokens("openai", b"?")


@given(
    model=st.sampled_from([*MODELS, "openai:gpt-4o-mini", "mistral:pixtral-12b", "ollama:llama3.2-vision"]),
    width=st.integers(1, 40_000),
    height=st.integers(1, 40_000),
)
def test_no_picture_takes_more_than_is_reserved_for_it(model: str, width: int, height: int) -> None:
    family = family_of(model).name
    assert 0 < image_tokens(family, png(width, height)) <= most_image_tokens(family)
