from email.message import EmailMessage

import pytest

from intelforge.core.errors import ItemError
from intelforge.refine.email import extract_email
from intelforge.testing.files import build_email


def test_headers_body_and_attachment_names_are_text() -> None:
    extracted = extract_email(build_email(["Hello Bob,", "see the plan."]), media_type="message/rfc822")
    assert extracted.title == "Subject line"
    assert extracted.text == (
        "From: ann@example.org\nTo: bob@example.org\nSubject: Subject line\n\nHello Bob,\n\nsee the plan.\n\n"
        "Attachments: plan.bin"
    )
    assert extracted.metadata == {"author": "ann@example.org", "attachments": "plan.bin"}
    assert {block.heading for block in extracted.blocks} == {"Subject line"}


def test_an_html_body_is_read_when_there_is_no_plain_one() -> None:
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message.set_content("<p>Hello <b>Bob</b></p><style>p {}</style>", subtype="html", charset="latin-1")
    assert extract_email(message.as_bytes(), media_type="message/rfc822").text == "Subject: Grüße\n\nHello Bob"


def test_a_message_without_anything_is_refused() -> None:
    with pytest.raises(ItemError, match="no text"):
        extract_email(b"\n\n", media_type="message/rfc822")
