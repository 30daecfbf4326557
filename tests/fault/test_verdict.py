"""The oracle of a campaign sees each way in which a record can be wrong."""

from __future__ import annotations

from fault.campaign import final_line
from fault.verdict import Found, Key, Verdict, judge

SENT: dict[Key, str] = {("a", "0"): "r a 0 x", ("a", "1"): "r a 1 y"}


def found(key: Key | None, text: str, place: str = "index/1") -> Found:
    return Found(key, text, place)


def test_every_record_once_is_clean() -> None:
    verdict = judge(SENT, [found(key, text) for key, text in SENT.items()])
    assert verdict.clean()
    assert final_line(3, 2, 2, verdict, 7) == "campaign: 3 cycles, 2 kills, 2 records, 0 lost, 0 doubled, seed 7"


def test_a_record_that_is_not_there_is_lost() -> None:
    verdict = judge(SENT, [found(("a", "0"), "r a 0 x")])
    assert verdict.lost == [("a", "1")]
    assert final_line(3, 2, 2, verdict, 7) == "campaign: 3 cycles, 2 kills, 2 records, 1 lost, 0 doubled, seed 7"


def test_a_record_in_two_places_is_doubled_once_and_both_places_are_told() -> None:
    everything = [found(key, text) for key, text in SENT.items()]
    verdict = judge(SENT, [*everything, found(("a", "1"), "r a 1 y", "dead/2"), found(("a", "1"), "r a 1 y", "late/3")])
    assert verdict.doubled == [("a", "1")]
    assert verdict.places[("a", "1")] == ["index/1", "dead/2", "late/3"]
    assert final_line(3, 2, 2, verdict, 7) == "campaign: 3 cycles, 2 kills, 2 records, 0 lost, 1 doubled, seed 7"
    assert "doubled: a 1, sent then\n    index/1\n    dead/2\n    late/3" in verdict.details(lambda key: "sent then")


def test_a_record_with_other_bytes_counts_as_lost() -> None:
    verdict = judge(SENT, [found(("a", "0"), "r a 0 x"), found(("a", "1"), "r a 1 cut")])
    assert verdict.changed == [("a", "1")]
    assert not verdict.doubled
    assert " 1 lost, 0 doubled" in final_line(3, 2, 2, verdict, 7)


def test_a_document_that_nobody_sent_is_not_clean() -> None:
    everything = [found(key, text) for key, text in SENT.items()]
    assert judge(SENT, [*everything, found(None, "strange")]).unknown == ["index/1 strange"]
    assert judge(SENT, [*everything, found(("a", "2"), "r a 2 z")]).unknown == ["index/1 r a 2 z"]


def test_nothing_found_loses_everything() -> None:
    assert judge(SENT, []).lost == list(SENT)
    assert not Verdict(lost=[("a", "0")]).clean()
