"""A real browser on a real `naru up`: Debian's Chromium, driven by Playwright, without any network of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from browser.running import Platform
from support.naru import Program, write_config

CHROMIUM = "/usr/bin/chromium"
# Nothing but the page under test: no updates, no sync, no first-run page.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """`naru up` with every port free-chosen, following an empty file."""
    log = tmp_path / "logs" / "app.log"
    log.parent.mkdir()
    log.touch()
    ports = ["--http", "--store", "--otlp-grpc", "--otlp-http", "--syslog", "--admin"]
    routes = [{"name": "main", "url": "http://main.example", "watch": "broker.main"}, {"name": "sub", "url": "http://sub.example"}]
    alerting = write_config(tmp_path / "alerting.yaml", {"targets": [{"name": "broker", "routes": routes}]})
    arguments = ["up", "--data", str(tmp_path / "data"), "--file", str(log), "--from-start", "--alerting", str(alerting)]
    for port in ports:
        arguments += [port, "127.0.0.1:0"]
    with Program("naru", arguments, tmp_path / "out") as program:
        yield Platform(program, log)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 860}, timezone_id="UTC")
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, platform: Platform) -> Iterator[Page]:
    """An empty tab; at the end, nothing may have gone to another host, and no script may have failed."""
    page = context.new_page()
    strangers: list[str] = []
    failures: list[str] = []
    page.on(
        "request",
        lambda request: strangers.append(request.url) if not request.url.startswith(platform.url + "/") else None,
    )
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on(
        "console",
        lambda message: failures.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield page
    assert strangers == []
    assert failures == []
