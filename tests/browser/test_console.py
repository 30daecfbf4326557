"""The console in a real browser against `naru up`: what a person does there with a search, a line, a filter."""

from __future__ import annotations

import re
from urllib.parse import quote

from playwright.sync_api import Locator, Page, expect

from browser.running import Platform

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> hostile line"


def row(page: Page, text: str) -> Locator:
    return page.locator(".row", has_text=text)


def open_at(page: Page, platform: Platform, address: str, first: str) -> None:
    """Opens the console and searches again until `first` has become searchable."""
    page.goto(platform.url + "/" + address)
    for _ in range(100):
        expect(page.locator("body")).not_to_have_class(re.compile("searching"))
        if row(page, first).count() > 0:
            return
        page.wait_for_timeout(200)
        page.keyboard.press("r")
    raise AssertionError(f"{first!r} is not shown; the page says: {page.inner_text('body')}")


def search(page: Page, query: str) -> None:
    page.keyboard.press("/")
    expect(page.locator("#query")).to_be_focused()
    page.fill("#query", query)
    page.press("#query", "Enter")
    page.press("#query", "Escape")


def test_a_search_shows_its_lines_and_their_histogram(page: Page, platform: Platform) -> None:
    platform.write("payment accepted for order 17", "connection refused by payment", "user logged in", "end of batch")
    open_at(page, platform, "", "end of batch")
    expect(page.locator(".row")).to_have_count(4)

    search(page, "payment AND NOT accepted")
    expect(page.locator(".row")).to_have_count(1)
    expect(row(page, "connection refused by payment")).to_be_visible()
    expect(page.locator("#total")).to_have_text("1")
    counts = page.locator("#chart .bar").evaluate_all("bars => bars.map(bar => Number(bar.dataset.count))")
    assert sum(counts) == 1

    search(page, '"order 17"')
    expect(page.locator(".row")).to_have_count(1)
    expect(page.locator(".row mark")).to_have_text("order 17")
    page.reload()
    expect(row(page, "payment accepted for order 17")).to_be_visible()
    expect(page.locator("#query")).to_have_value('"order 17"')
    page.go_back()
    expect(row(page, "connection refused by payment")).to_be_visible()


def test_a_line_opens_into_fields_that_filter(page: Page, platform: Platform) -> None:
    platform.send_log("card declined", (17, "ERROR"), "checkout", region="eu")
    platform.send_log("cart emptied", (9, "INFO"), "cart", region="us")
    platform.send_log("card charged", (9, "INFO"), "checkout", region="us")
    open_at(page, platform, "", "card charged")
    expect(page.locator(".row")).to_have_count(3)
    expect(page.locator(".row.error")).to_have_count(1)
    expect(page.locator("#legend .key.error b")).to_have_text("1")

    row(page, "card declined").click()
    fields = page.locator(".detail tr")
    expect(page.locator('.detail tr[data-field="attributes.region"] .value')).to_have_text("eu")
    expect(page.locator('.detail tr[data-field="severity.number"] .value')).to_have_text("17")
    assert fields.count() > 5
    page.keyboard.press("Escape")
    expect(page.locator(".detail")).to_have_count(0)

    row(page, "card declined").click()
    page.locator('.detail tr[data-field="severity.text"]').get_by_label("without severity.text").click()
    expect(page.locator(".row")).to_have_count(2)
    expect(row(page, "card declined")).to_have_count(0)
    page.locator("#facets .value", has_text="checkout").click()
    expect(page.locator(".row")).to_have_count(1)
    expect(row(page, "card charged")).to_be_visible()
    expect(page.locator(".chip")).to_have_count(2)
    page.get_by_text("Remove all").click()
    expect(page.locator(".row")).to_have_count(3)

    row(page, "cart emptied").click()
    page.locator('.detail tr[data-field="attributes.region"]').get_by_label("only attributes.region").click()
    expect(page.locator(".row")).to_have_count(2)
    expect(row(page, "card declined")).to_have_count(0)


def test_live_shows_new_lines_and_waits_while_the_person_reads(page: Page, platform: Platform) -> None:
    platform.write(*(f"old line {i}" for i in range(100)))
    open_at(page, platform, "", "old line 99")
    expect(page.locator(".row")).to_have_count(100)  # all on the first page, in whatever order one batch has
    page.keyboard.press("l")
    expect(page.locator("#live")).to_have_attribute("aria-pressed", "true")
    platform.write("the first new line")
    expect(row(page, "the first new line")).to_be_visible()
    expect(page.locator(".row").first).to_contain_text("the first new line")

    page.evaluate("document.getElementById('rows').scrollTop = 500")
    platform.write("the second new line")
    expect(page.locator("#more-new")).to_have_text("↑ 1 new line")
    expect(row(page, "the second new line")).to_have_count(0)
    page.locator("#more-new").click()
    expect(row(page, "the second new line")).to_be_visible()
    expect(page.locator(".row")).to_have_count(102)

    row(page, "the second new line").click()
    platform.write("the third new line")
    expect(page.locator("#more-new")).to_have_text("↑ 1 new line")
    page.keyboard.press("Escape")
    expect(page.locator(".row").first).to_contain_text("the third new line")


def test_a_hostile_line_stays_text(page: Page, platform: Platform) -> None:
    platform.send_log(HOSTILE, (17, "<b>ERROR</b>"), "<i>service</i>", **{"<u>key</u>": HOSTILE})
    open_at(page, platform, "", "hostile line")
    expect(page.locator(".row .text")).to_have_text(HOSTILE)
    page.locator(".row").click()
    expect(page.locator(".detail pre")).to_have_text(HOSTILE)
    expect(page.locator(".detail .value", has_text="onerror")).to_be_visible()
    search(page, '"hostile line"')
    expect(page.locator(".row mark")).to_have_text("hostile line")
    page.goto(platform.url + "/?q=" + quote(HOSTILE))
    page.wait_for_timeout(300)
    assert page.locator("body img:not(.brand img), body script, body b:has-text('ERROR') b, body i:has-text('service'), body u").count() == 0
    assert "owned" not in page.title().split(" – ")[-1]
    assert page.title() != "owned"


def test_scrolling_loads_every_older_line_once(page: Page, platform: Platform) -> None:
    platform.write(*(f"numbered line {i:04d}" for i in range(650)))
    open_at(page, platform, "", "numbered line")
    for _ in range(100):
        if page.locator("#total").inner_text() == "650":
            break
        page.wait_for_timeout(200)
        page.keyboard.press("r")
        expect(page.locator("body")).not_to_have_class(re.compile("searching"))
    expect(page.locator("#total")).to_have_text("650")
    for _ in range(20):
        if "That is all" in page.locator(".end").inner_text():
            break
        page.evaluate("document.getElementById('rows').scrollTop = 1e9")
        page.wait_for_timeout(300)
    texts = page.locator(".row .text").all_text_contents()
    assert len(texts) == 650
    assert sorted(texts) == [f"numbered line {i:04d}" for i in range(650)]


def test_a_drag_over_the_histogram_zooms_in(page: Page, platform: Platform) -> None:
    platform.write("a line to zoom to")
    open_at(page, platform, "", "a line to zoom to")
    before = page.locator("#range").inner_text()
    box = page.locator("#chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 40)
    page.mouse.up()
    expect(page.locator("#range")).not_to_have_text(before)
    expect(page.locator(".end")).to_contain_text("Nothing matches in this time range")
    page.get_by_text("Go there").click()
    expect(row(page, "a line to zoom to")).to_be_visible()


def test_what_goes_wrong_is_said_in_words(page: Page, platform: Platform) -> None:
    page.goto(platform.url)
    expect(page.locator(".empty")).to_contain_text("No lines have arrived yet")
    platform.write("something")
    open_at(page, platform, "", "something")
    search(page, '"not closed')
    expect(page.locator("#notice")).to_contain_text("This search cannot be run")
    search(page, "absent")
    expect(page.locator(".empty")).to_contain_text("Nothing matches this search")
    expect(page.locator("#notice")).to_be_hidden()
