"""Quality: whether a click is a person's, as a verdict with a reason, dated and reversible.

The facts of a click are never rewritten and no click is left out for good: a verdict is a row of its own, and whoever
reads a report chooses which clicks count. `bot` says that a machine made the click; `suspect` says that it may have
been one. A click that brought a conversion is a person's, whatever it looked like.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Quality = Literal["human", "suspect", "bot"]
QUALITIES: tuple[Quality, ...] = ("human", "suspect", "bot")
REASONS = (
    "declared_crawler", "link_preview", "email_scanner", "prefetch", "http_library", "unknown_agent",
    "scanner_pattern", "impossible_speed", "repeat", "converted", "judged_again",
)  # fmt: skip
REPEAT_MS = 3_000
"""A visitor's click on a link so soon after another one on it is a repeat."""
SPEED_MS = 10_000
SCANNED_LINKS = 5
"""So many links of a workspace within SPEED_MS: nobody reads so fast, but scanners of mail do."""
FAST_CLICKS = 10
"""So many clicks of a visitor within SPEED_MS, on whichever links."""
VISITORS_MAX = 50_000


class Judged(NamedTuple):
    """What a click is worth, and why; the reason of a person's click is ''."""

    quality: Quality
    reason: str


HUMAN = Judged("human", "")
CONVERTED = Judged("human", "converted")
_BY_KIND = {
    "crawler": Judged("bot", "declared_crawler"),
    "preview": Judged("bot", "link_preview"),
    "scanner": Judged("bot", "email_scanner"),
    "library": Judged("suspect", "http_library"),
    "unknown": Judged("suspect", "unknown_agent"),
}
_PREFETCH, _PREVIEW = Judged("bot", "prefetch"), Judged("bot", "link_preview")
_SCANNER, _FAST, _REPEAT = (
    Judged("suspect", reason) for reason in ("scanner_pattern", "impossible_speed", "repeat")
)  # fmt: skip


def by_request(kind: str, crawler: bool, purpose: str) -> Judged:
    """What a request says of itself. `kind` is '' while the agent is unread; `crawler` was seen at the click.

    `purpose` is 'prefetch', 'preview' or ''.
    """
    if purpose:
        return _PREVIEW if purpose == "preview" else _PREFETCH
    found = _BY_KIND.get(kind, HUMAN)
    return _BY_KIND["crawler"] if crawler and found.quality != "bot" else found


class Pace:
    """How fast visitors click. Takes clicks in the order in which they were made.

    Bounded: of a visitor the last FAST_CLICKS clicks count, and of VISITORS_MAX visitors the one who clicked longest
    ago is forgotten first.
    """

    def __init__(self) -> None:
        # Each visitor's last clicks: when, and on which link. Who clicked last stands last.
        self._last: dict[bytes, tuple[tuple[int, str], ...]] = {}

    def judge(self, visitor: bytes, link_id: str, clicked_at_ms: int) -> Judged:
        """What a visitor's last clicks say of this one. The hash tells workspaces apart."""
        last = self._last.pop(visitor, ())
        recent = last
        # Clicks that seem to come later are older: the clock was put back.
        if last and not (last[-1][0] <= clicked_at_ms <= last[0][0] + SPEED_MS):
            recent = tuple(seen for seen in last if 0 <= clicked_at_ms - seen[0] <= SPEED_MS)
        if not last and len(self._last) >= VISITORS_MAX:
            del self._last[next(iter(self._last))]
        self._last[visitor] = (*recent[1 - FAST_CLICKS :], (clicked_at_ms, link_id))
        if not recent:
            return HUMAN
        links = {seen[1] for seen in recent}
        links.add(link_id)
        if len(links) >= SCANNED_LINKS:
            return _SCANNER
        if len(recent) >= FAST_CLICKS - 1:
            return _FAST
        repeats = any(link == link_id and clicked_at_ms - at_ms <= REPEAT_MS for at_ms, link in recent)
        return _REPEAT if repeats else HUMAN


def graver(one: Judged, other: Judged) -> Judged:
    """The graver of two, the first among equals."""
    if other.quality == "human":
        return one
    return other if QUALITIES.index(other.quality) > QUALITIES.index(one.quality) else one
