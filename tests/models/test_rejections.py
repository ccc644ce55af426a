"""What providers say that reject tools or a schema."""

import time

import pytest

from intelforge.core.chat import Tool
from intelforge.models.rejections import (
    MOST_READ,
    key_meant,
    lacking,
    model_meant,
    reason,
    said_in,
    schema_meant,
    too_long,
    tool_meant,
)
from intelforge.testing.gateway import ask

TOOLS = (Tool(name="weather", description="", parameters={}), Tool(name="weather_map", description="", parameters={}))
ASKED = ask(tools=TOOLS, output_schema={"type": "object"})


@pytest.mark.parametrize(
    ("said", "lacks"),
    [
        ("registry.ollama.ai/library/gemma:2b does not support tools", {"tools"}),
        ("Unsupported parameter: 'tools' is not supported with this model.", {"tools"}),
        ("`tool calling` is not supported with this model", {"tools"}),
        ("deepseek-reasoner does not support Function Calling", {"tools"}),
        ("Function calling is not enabled for models/gemma-3-1b-it", {"tools"}),
        ("No endpoints found that support tool use. To learn more about provider routing", {"tools"}),
        ('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', {"tools"}),
        ("tools param requires --jinja flag", {"tools"}),
        (
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model",
            {"json_schema"},
        ),
        ("This response_format type is unavailable now", {"json_schema"}),
        ("This model does not support response format `json_schema`", {"json_schema"}),
        ("response_format is not supported", {"json_schema"}),
        ("Invalid schema for function 'weather': 'uri' is not supported", set()),
        ("Invalid schema for response_format 'reply': In context=(), 'minLength' is not supported", set()),
        ("tools.0.custom.input_schema: input_schema does not support oneOf at the top level", set()),
        ("GenerateContentRequest.tools[0].function_declarations[1].parameters.properties: should be non-empty", set()),
        ("this tool_choice is not supported", set()),
        ("too hot", set()),
        ("", set()),
    ],
)
def test_only_what_says_that_the_model_has_none_is_taken_so(said: str, lacks: set[str]) -> None:
    assert lacking(said, ASKED) == lacks
    assert lacking(said, ask()) == set()


@pytest.mark.parametrize(
    ("said", "tool"),
    [
        ("Invalid schema for function 'weather': In context=('properties', 'x')", "weather"),
        ("Invalid schema for function 'weather_map': x", "weather_map"),
        ("tools.1.custom.input_schema: JSON schema is invalid", "weather_map"),
        ("GenerateContentRequest.tools[0].function_declarations[1].parameters: y", "weather_map"),
        ("tools.7.custom: z", ""),
        ("too hot", ""),
    ],
)
def test_the_tool_that_is_meant_is_found(said: str, tool: str) -> None:
    assert tool_meant(said, ASKED) == tool


def test_the_schema_of_the_reply_may_be_meant() -> None:
    assert schema_meant("Invalid schema for response_format 'reply'", ASKED)
    assert not schema_meant("Invalid schema for response_format 'reply'", ask())
    assert not schema_meant("too hot", ASKED)


@pytest.mark.parametrize(
    ("said", "long"),
    [
        ("the request exceeds the available context size. try increasing the context size", True),
        ("This model's maximum context length is 4096 tokens", True),
        ("prompt is too long: 210000 tokens > 200000 maximum", True),
        ("the input length exceeds the context length", True),
        ("max_tokens is too large", False),
        ("too hot", False),
    ],
)
def test_a_prompt_that_is_too_long_is_told_from_other_rejections(said: str, long: bool) -> None:
    assert too_long(said) is long


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"message": "too hot.", "type": "invalid_request_error", "param": "temperature"}, "too hot"),
        ({"error": {"message": "too hot", "code": 400}}, "too hot"),
        ({"object": "error", "message": "too\nhot\x1b[31m"}, "too hot [31m"),
        ({"detail": [{"loc": ["body", "temperature"], "msg": "too hot"}]}, "too hot"),
        ({"error": "too hot"}, "too hot"),
        ("too hot", "too hot"),
        ("a" * 400, "a" * 299 + "…"),
        ({"message": "the key is secret."}, ""),
        ({"message": "the key is sk-ab**********************89"}, "the key is ***"),
        ("<html>no</html>", ""),
        ({"error": {"code": 400}}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_reason_is_one_line_without_secrets(body: object, told: str) -> None:
    assert reason(body, ["secret"]) == told


def test_a_secret_far_down_is_not_told_in_part() -> None:
    assert reason(f"{' ' * (MOST_READ - 3)}secret", ["secret"]) == ""


@pytest.mark.parametrize("said", ["a" * 40_000, "-" * 40_000, f"model{'/' * 40_000}", f"model{' ' * 40_000}"])
def test_long_words_keep_nobody_waiting(said: str) -> None:
    began = time.process_time()
    assert not model_meant(said)
    assert "***" not in reason(said, [])
    assert time.process_time() - began < 2


def test_what_is_repeated_of_the_request_says_nothing_of_why_it_is_rejected() -> None:
    asked = {"messages": [{"content": "Why is my invalid API key longer than the context?"}]}
    said = said_in({"detail": [{"loc": ["body", "temperature"], "msg": "too hot", "input": asked}]})
    assert "too hot" in said
    assert not too_long(said)
    assert not key_meant(said)


def test_objects_within_each_other_without_end_say_nothing() -> None:
    body: object = "too hot"
    for _ in range(5000):
        body = {"error": body}
    assert reason(body, []) == ""
    assert "hot" not in said_in(body)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("API key not valid. Please pass a valid API key.", True),
        ("Incorrect API key provided: sk-***. You can obtain an API key from https://console.x.ai.", True),
        ("API key expired. Please renew the API key.", True),
        ("temperature is not valid", False),
    ],
)
def test_a_key_may_be_refused_as_a_bad_request(said: str, meant: bool) -> None:
    assert key_meant(said) is meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Invalid model: mistral-tiny-9", True),
        ("Model Not Exist", True),
        ("Unable to access model acme/m. Please visit the page to see the list", True),
        ("The requested model 'acme/m' does not exist", True),
        ("models/gemini-9 is not found for API version v1main", True),
        ("Invalid model 'sonar-9'. Permitted models can be found in the documentation", True),
        ("the model cannot read an image that does not exist", False),
        ("temperature must be between 0 and 2", False),
    ],
)
def test_a_model_may_be_missing_as_a_bad_request(said: str, meant: bool) -> None:
    assert model_meant(said) is meant
