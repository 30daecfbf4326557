"""Documents of an OpenSearch-compatible server: the real one, or Naru's embedded store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from .services.opensearch import HttpStatus, request

_SHARDS_WITHIN_S = 30
_PAGE = 5_000
_SORT = [{"@timestamp": "asc"}, {"_id": "asc"}]


class Index:
    """Reads through `_search` and `_count` only. `pattern` is an alias or an index name with wildcards.

    An answer always covers every shard: the server answers without the shards of an index that was
    created a moment ago, or 503 when there are no others, and neither counts here.
    """

    def __init__(self, url: str, pattern: str) -> None:
        self.url = url
        self.pattern = pattern

    def refresh(self) -> None:
        """Makes everything written before visible."""
        request(f"{self.url}/{self.pattern}/_refresh", "POST")

    def count(self, query: dict[str, Any] | None = None) -> int:
        """Number of documents, after a refresh; 0 while the index does not exist."""
        try:
            self.refresh()
            return int(self._whole("_count", {"query": query or {"match_all": {}}})["count"])
        except HttpStatus as failure:
            if failure.status == 404:
                return 0
            raise

    def hits(self, query: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Every hit (`_index`, `_id`, `_source`) by @timestamp and _id; see `pages`."""
        return list(self.pages(query))

    def pages(self, query: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The same, read page by page after a refresh, one page in memory at a time."""
        self.refresh()
        after: list[Any] | None = None
        while True:
            body: dict[str, Any] = {"size": _PAGE, "sort": _SORT, "query": query or {"match_all": {}}}
            if after is not None:
                body["search_after"] = after
            page = self._whole("_search", body)["hits"]["hits"]
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1]["sort"]

    def _whole(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + _SHARDS_WITHIN_S
        while True:
            try:
                answer = request(f"{self.url}/{self.pattern}/{verb}", "POST", body)
                shards = answer["_shards"]
                if shards["successful"] == shards["total"]:
                    return answer
                missing = f"answered by {shards['successful']} of {shards['total']} shards"
            except HttpStatus as failure:
                if failure.status != 503:
                    raise
                missing = str(failure)
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.pattern}: {missing} for {_SHARDS_WITHIN_S} s")
            time.sleep(0.05)
