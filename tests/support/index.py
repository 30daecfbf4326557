"""Documents of an OpenSearch-compatible server: the real one, or Naru's embedded store."""

from __future__ import annotations

from typing import Any

from .services.opensearch import HttpStatus, request

_PAGE = 5_000
_SORT = [{"@timestamp": "asc"}, {"_id": "asc"}]


class Index:
    """Reads through `_search` only. `pattern` is an alias or an index name with wildcards."""

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
            body = {"query": query} if query else None
            return int(request(f"{self.url}/{self.pattern}/_count", "POST" if body else "GET", body)["count"])
        except HttpStatus as failure:
            if failure.status == 404:
                return 0
            raise

    def hits(self, query: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Every hit (`_index`, `_id`, `_source`) by @timestamp and _id, read page by page after a refresh."""
        self.refresh()
        found: list[dict[str, Any]] = []
        after: list[Any] | None = None
        while True:
            body: dict[str, Any] = {"size": _PAGE, "sort": _SORT, "query": query or {"match_all": {}}}
            if after is not None:
                body["search_after"] = after
            page = request(f"{self.url}/{self.pattern}/_search", "POST", body)["hits"]["hits"]
            found += page
            if len(page) < _PAGE:
                return found
            after = page[-1]["sort"]
