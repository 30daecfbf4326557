"""The page of alerts in a real browser: targets, routes and what happened."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from browser.running import Platform
from support.detection import call
from support.naru import eventually

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


def set_status(platform: Platform, target: str, status: str, reason: str) -> None:
    url = f"{platform.program.url('admin')}/v1/status/{target}"
    eventually(lambda: call("PUT", url, {"status": status, "reason": reason, "by": "test"})[0] == 200, 20, "a leader")


def test_targets_routes_and_the_time_line_follow_what_happens(page: Page, platform: Platform) -> None:
    set_status(platform, "service.shop", "CAUTION", "slow")
    page.goto(platform.url)
    page.click("text=Alerts")
    targets = page.locator("#targets")
    expect(targets.locator(".card", has_text="service.shop")).to_contain_text("CAUTION")
    broker = page.locator("#routes .card", has_text="broker")
    expect(broker.locator(".route.active")).to_have_text("main")
    set_status(platform, "broker.main", "CRITICAL", HOSTILE)
    expect(broker.locator(".route.active")).to_have_text("sub")
    expect(broker.locator(".route.bad")).to_have_text("main")
    expect(targets.locator(".card").first).to_contain_text("broker.main")  # the worst first
    expect(targets.locator(".card").first).to_contain_text(HOSTILE)
    expect(page.locator("#events li", has_text="main → sub")).to_have_count(1)
    expect(page.locator("#lanes rect.CRITICAL")).to_have_count(1)
    expect(page.locator("#lanes line.switch")).to_have_count(1)
    expect(page).to_have_title(re.compile("Naru"))
