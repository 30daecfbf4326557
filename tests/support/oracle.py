"""What the index must answer for a line that was written. Independent of Naru's code."""

from __future__ import annotations

import base64
import codecs
from dataclasses import dataclass

_HANDLER = "naru-replace-each-byte"
codecs.register_error(
    _HANDLER,
    lambda failure: ("\ufffd" * (failure.end - failure.start), failure.end),  # type: ignore[attr-defined]
)


@dataclass(frozen=True)
class ExpectedLog:
    """Body of a document and, when the line was not valid UTF-8, its bytes in base64."""

    body: str
    original: str | None


def expected_log(line: bytes) -> ExpectedLog:
    """Each byte that is part of no valid UTF-8 sequence becomes U+FFFD; the original is kept."""
    try:
        return ExpectedLog(line.decode(), None)
    except UnicodeDecodeError:
        return ExpectedLog(line.decode(errors=_HANDLER), base64.b64encode(line).decode())
