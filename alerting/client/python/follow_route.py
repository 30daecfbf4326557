#!/usr/bin/env python3
"""Follows the route of a target and takes permits of a limit, with the standard library alone.

    python3 follow_route.py 127.0.0.1:8083 broker orders 5
"""

import json
import sys
import threading
import time
import urllib.error
import urllib.request


class Route:
    """The active route of a target, kept current by a long poll on a thread of its own.

    Never goes back to an older decision (epoch, sequence); while nobody answers, the last known route stays.
    """

    def __init__(self, addresses, target):
        self._addresses, self._target = addresses, target
        self._known = threading.Event()
        self._state = {"epoch": 0, "sequence": 0}
        threading.Thread(target=self._follow, daemon=True).start()

    def current(self, wait=10):
        if not self._known.wait(wait):
            raise TimeoutError(f"nobody knows a route of {self._target}")
        return self._state

    def _follow(self):
        etag, number = None, 0
        while True:
            url = f"http://{self._addresses[number % len(self._addresses)]}/v1/routes/{self._target}?wait=20s"
            request = urllib.request.Request(url, headers={"If-None-Match": etag} if etag else {})
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    etag, fresh = answer.headers["ETag"], json.load(answer)
            except urllib.error.HTTPError as answer:
                if answer.code != 304:
                    etag, number = None, number + 1
                    time.sleep(0.2)
                continue
            except OSError:
                etag, number = None, number + 1
                time.sleep(0.2)
                continue
            if (fresh["epoch"], fresh["sequence"]) >= (self._state["epoch"], self._state["sequence"]):
                self._state = fresh
                self._known.set()


def acquire(address, limit, permits=1, wait_ms=5000):
    """How many permits were granted; 0 when none came in time."""
    body = json.dumps({"permits": permits, "waitMs": wait_ms}).encode()
    request = urllib.request.Request(f"http://{address}/v1/limits/{limit}/acquire", body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=wait_ms / 1000 + 2) as answer:
            return json.load(answer)["granted"]
    except urllib.error.HTTPError as refused:
        if refused.code == 429:
            return 0
        raise


def main():
    address, target, limit, seconds = sys.argv[1:5]
    route = Route([address], target)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        if acquire(address, limit, wait_ms=1000):
            active = route.current()
            url = next(entry["url"] for entry in active["routes"] if entry["name"] == active["active"])
            print(f"an order goes to {active['active']} ({url})", flush=True)


if __name__ == "__main__":
    main()
