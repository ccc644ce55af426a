"""E-mail (.eml): the main headers, the plain body or else the HTML one, and the names of attachments."""

import email
from email import policy
from email.message import EmailMessage

from intelforge.refine.html import parse_html, write_tree
from intelforge.refine.plain import paragraphs
from intelforge.refine.protocol import Extracted
from intelforge.refine.text import clean, decode
from intelforge.refine.writer import Writer

_SHOWN = ("From", "To", "Cc", "Date", "Subject")


def extract_email(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Raises ItemError when there is no text in it."""
    message = email.message_from_bytes(data, policy=policy.default, _class=EmailMessage)
    headers = {name: _header(message, name) for name in _SHOWN}
    writer = Writer()
    writer.open_heading(headers["Subject"], 1)
    writer.write("\n".join(f"{name}: {value}" for name, value in headers.items() if value))
    _write_body(message, writer)
    attached = [name for part in message.iter_attachments() if (name := part.get_filename())]
    if attached:
        writer.write("Attachments: " + ", ".join(attached))
    metadata = {"author": headers["From"], "date": headers["Date"], "attachments": ", ".join(attached)}
    return writer.finish(media_type=media_type, title=headers["Subject"], metadata=metadata)


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(clean(str(message.get(name, ""))).split())


def _write_body(message: EmailMessage, writer: Writer) -> None:
    body = message.get_body(preferencelist=("plain", "html"))
    payload = body.get_payload(decode=True) if body is not None else None
    if body is None or not isinstance(payload, bytes) or not payload.strip():
        return
    text = decode(payload, declared=body.get_content_charset()).text
    if body.get_content_subtype() == "html":
        write_tree(parse_html(text), writer)
        return
    for block in paragraphs(text):
        writer.write(text[block.start : block.end])
