"""Compares what was sent with what is there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

Key = tuple[str, str]  # source and the number of a record in it


@dataclass(frozen=True)
class Found:
    """A document or dead letter: the record that its text names, if any, the text, and where it lies."""

    key: Key | None
    text: str
    place: str


@dataclass
class Verdict:
    """What is not exactly once with exactly the bytes sent. `places`: where the records at fault lie."""

    lost: list[Key] = field(default_factory=list)
    doubled: list[Key] = field(default_factory=list)
    changed: list[Key] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    places: dict[Key, list[str]] = field(default_factory=dict)

    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.changed or self.unknown)

    def __str__(self) -> str:
        parts = []
        for what in ("lost", "doubled", "changed", "unknown"):
            found = getattr(self, what)
            if found:
                parts.append(f"{len(found)} {what}: {', '.join(map(str, found[:8]))}{' ...' if len(found) > 8 else ''}")
        return "; ".join(parts) or "every record once"

    def details(self, told: Callable[[Key], str], most: int = 20) -> str:
        """A line for each of the first records at fault; `told` says what its sender knows."""
        lines = []
        for what in ("lost", "doubled", "changed"):
            for key in getattr(self, what)[:most]:
                places = "".join(f"\n    {place}" for place in self.places.get(key, ()))
                lines.append(f"{what}: {key[0]} {key[1]}, {told(key)}{places}")
        lines += [f"unknown: {text!r}" for text in self.unknown[:most]]
        return "\n".join(lines)


def judge(sent: Mapping[Key, str], found: Iterable[Found]) -> Verdict:
    """`sent`: what each record must read as. `found`: every document and dead letter."""
    verdict = Verdict()
    seen: dict[Key, str] = {}
    for each in found:
        if each.key is None or each.key not in sent:
            verdict.unknown.append(f"{each.place} {each.text[:80]}")
            continue
        if each.key in seen:
            verdict.places.setdefault(each.key, [seen[each.key]]).append(each.place)
        else:
            seen[each.key] = each.place
        if each.text != sent[each.key]:
            verdict.changed.append(each.key)
            verdict.places.setdefault(each.key, [each.place])
    verdict.lost = [key for key in sent if key not in seen]
    verdict.doubled = [key for key, places in verdict.places.items() if len(places) > 1]
    return verdict
