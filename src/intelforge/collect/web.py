"""One web page, through egress, asked for anew only when its server says that it changed."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from email.message import Message

from intelforge.collect.media import media_type
from intelforge.collect.polling import every, interval_of
from intelforge.collect.protocol import Complete, ListingEvent, Present
from intelforge.core.errors import EgressError, ErrorCode, NotFoundError
from intelforge.core.settings import Settings
from intelforge.core.values import Item, ItemRef, Source, Validators
from intelforge.security.egress import Egress, Fetched, shown_url

_HOUR = 3600.0
_ACCEPT = {"accept": "text/html,application/xhtml+xml,text/*;q=0.9,*/*;q=0.5"}


class WebCollector:
    """Collects one page; its item has the URL of the source.

    The listing asks with the validators of the last complete sync and keeps what it is given for the fetch, so that
    a changed page costs one request. The cursor holds those validators as JSON.
    """

    def __init__(self, source: Source, settings: Settings, *, egress: Egress) -> None:
        self._url = source.uri
        self._cursor = source.cursor
        self._egress = egress
        self._max_bytes = int(settings.max_file_mb * 1e6)
        self._interval = interval_of(source, _HOUR)
        self._closed = asyncio.Event()
        self._listed: Fetched | None = None

    async def list(self, *, everything: bool = False) -> AsyncGenerator[ListingEvent]:
        """A page that was there and now answers 404 or 410 is gone; any other failure is raised.

        With `everything` the page is asked for without conditions.
        """
        conditions = {} if everything else _conditions(_read_cursor(self._cursor))
        try:
            page = await self._get(conditions)
        except EgressError as error:
            if error.error_code is not ErrorCode.NOT_FOUND or self._cursor is None:
                raise
            yield Complete(full=True, cursor="{}")
            return
        if page.status == 304:
            yield Complete(full=False, cursor=self._cursor)
            return
        self._listed = page
        validators = _validators(page)
        yield Present(ref=ItemRef(uri=self._url, validators=validators))
        yield Complete(full=True, cursor=_write_cursor(validators))

    async def fetch(self, ref: ItemRef) -> Item:
        if ref.uri != self._url:
            raise NotFoundError(f"{shown_url(ref.uri)} is not in this source", hint="it holds one page only")
        page, self._listed = self._listed, None
        page = page or await self._get({})
        if page.status == 304:
            raise EgressError(f"{shown_url(self._url)} answers that it did not change, to a first request")
        declared = Message()
        declared["content-type"] = page.headers.get("content-type", "")
        charset = declared.get_content_charset()
        return Item(
            uri=ref.uri,
            data=page.body,
            media_type=declared.get_content_type() if page.headers.get("content-type") else _guess(page),
            validators=_validators(page),
            metadata={"url": page.url} | ({"charset": charset} if charset else {}),
        )

    async def _get(self, conditions: Mapping[str, str]) -> Fetched:
        return await self._egress.fetch(self._url, max_bytes=self._max_bytes, headers={**_ACCEPT, **conditions})

    def watch(self) -> AsyncGenerator[None]:
        """Yields every `interval` seconds (a source option; an hour unless set)."""
        return every(self._interval, self._closed)

    async def close(self) -> None:
        self._closed.set()


def _guess(page: Fetched) -> str | None:
    return media_type(page.url.partition("?")[0], page.body)


def _validators(page: Fetched) -> Validators:
    return Validators(etag=page.headers.get("etag"), last_modified=page.headers.get("last-modified"))


def _conditions(known: Mapping[str, str]) -> dict[str, str]:
    names = {"etag": "if-none-match", "last_modified": "if-modified-since"}
    return {names[key]: value for key, value in known.items() if key in names}


def _write_cursor(validators: Validators) -> str:
    known = {"etag": validators.etag, "last_modified": validators.last_modified}
    return json.dumps({key: value for key, value in known.items() if value})


def _read_cursor(cursor: str | None) -> dict[str, str]:
    """What another version wrote and this one cannot read only costs a request."""
    try:
        known = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}
