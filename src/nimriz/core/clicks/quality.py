"""Quality: whether a click is a person's, as a verdict with a reason, dated and reversible.

The facts of a click are never rewritten and no click is left out for good: a verdict is a row of its own, and whoever
reads a report chooses which clicks count. `bot` says that a machine made the click; `suspect` says that it may have
been one. A click that brought a conversion is a person's, whatever it looked like.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, NamedTuple

Quality = Literal["human", "suspect", "bot"]
QUALITIES: tuple[Quality, ...] = ("human", "suspect", "bot")
REASONS = (
    "declared_crawler", "link_preview", "email_scanner", "prefetch", "http_library", "unknown_agent",
    "scanner_pattern", "impossible_speed", "repeat", "data_centre", "scanner_burst", "gateway_burst", "converted",
    "judged_again",
)  # fmt: skip
REPEAT_MS = 3_000
"""A visitor's click on a link so soon after another one on it is a repeat."""
SPEED_MS = 10_000
SCANNED_LINKS = 5
"""So many links of a workspace within SPEED_MS: nobody reads so fast, but scanners of mail do."""
FAST_CLICKS = 10
"""So many clicks of a visitor within SPEED_MS, on whichever links."""
VISITORS_MAX = 50_000
BURST_REASONS = ("scanner_burst", "gateway_burst")
"""Found by addresses and user agents, which are forgotten: nobody can find them again, so they stand."""


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
_BY_NETWORK = {"scanner": Judged("bot", "email_scanner"), "hosting": Judged("suspect", "data_centre")}
_PREFETCH, _PREVIEW = Judged("bot", "prefetch"), Judged("bot", "link_preview")
_SCANNER, _FAST, _REPEAT = (
    Judged("suspect", reason) for reason in ("scanner_pattern", "impossible_speed", "repeat")
)  # fmt: skip
_Seen = tuple[int, str, int]
# A click: when, on which link, and its number as long as it passes for a person's, else 0.
_Run = tuple[tuple[_Seen, ...], bool, bool]
# A visitor's last clicks; whether one of them may have a number; whether they may be on several links.
_NOTHING: _Run = ((), False, False)


def by_request(kind: str, crawler: bool, purpose: str) -> Judged:
    """What a request says of itself. `kind` is '' while the agent is unread; `crawler` was seen at the click.

    `purpose` is 'prefetch', 'preview' or ''.
    """
    if purpose:
        return _PREVIEW if purpose == "preview" else _PREFETCH
    found = _BY_KIND.get(kind, HUMAN)
    return _BY_KIND["crawler"] if crawler and found.quality != "bot" else found


def by_network(network: str) -> Judged:
    """What the sort of network says that a click came from, '' or a word of `networks`.

    Those who look into mail open its links themselves. In a data centre some people sit too, behind a VPN or at a
    rented desktop; through a gateway all of a company's people come, so it says nothing by itself.
    """
    return _BY_NETWORK.get(network, HUMAN)


class Corrected(NamedTuple):
    """What other clicks say of one that was judged before they were made, the last of them at `seen_at_ms`."""

    click_seq: int
    link_id: str
    seen_at_ms: int
    judged: Judged


class Pace:
    """How fast visitors click. Takes clicks in the order in which they were made.

    Bounded: of a visitor the last FAST_CLICKS clicks count, and of VISITORS_MAX visitors the one who clicked longest
    ago is forgotten first.
    """

    def __init__(self) -> None:
        # Each visitor's last clicks. Who clicked last stands last. No plain dict: to find its first key it walks past
        # every one that was taken from its front before.
        self._last: OrderedDict[bytes, _Run] = OrderedDict()
        self._earlier: list[Corrected] = []

    def judge(self, visitor: bytes, link_id: str, clicked_at_ms: int, click_seq: int) -> Judged:
        """What a visitor's last clicks say of this one. The hash tells workspaces apart."""
        known = self._last.get(visitor)
        recent, untold, several = known or _NOTHING
        # Clicks that seem to come later are older: the clock was put back.
        if recent and not (recent[-1][0] <= clicked_at_ms <= recent[0][0] + SPEED_MS):
            recent = tuple(seen for seen in recent if 0 <= clicked_at_ms - seen[0] <= SPEED_MS)
        if recent:
            several = several or recent[-1][1] != link_id
            judged = _pace_of(recent, link_id, clicked_at_ms, several=several)
            if untold and (judged is _SCANNER or judged is _FAST):
                recent, untold = self._tell(recent, clicked_at_ms, judged), False
            own_seq = click_seq if judged is HUMAN else 0
            run = (*recent[1 - FAST_CLICKS :], (clicked_at_ms, link_id, own_seq))
            self._last[visitor] = (run, untold or judged is HUMAN, several)
        else:
            judged = HUMAN
            self._last[visitor] = (((clicked_at_ms, link_id, click_seq),), True, False)
        if known is not None:
            self._last.move_to_end(visitor)
        elif len(self._last) > VISITORS_MAX:
            self._last.popitem(last=False)
        return judged

    def _tell(self, recent: tuple[_Seen, ...], seen_at_ms: int, judged: Judged) -> tuple[_Seen, ...]:
        """Tell, once each, of the clicks that the run began with."""
        self._earlier += [Corrected(seq, link_id, seen_at_ms, judged) for _, link_id, seq in recent if seq]
        return tuple((at_ms, link_id, 0) for at_ms, link_id, _ in recent)

    def earlier(self) -> list[Corrected]:
        """The clicks with which runs began that were seen since this was last asked."""
        found = self._earlier
        if found:
            self._earlier = []
        return found


def _pace_of(recent: tuple[_Seen, ...], link_id: str, clicked_at_ms: int, *, several: bool) -> Judged:
    if several and len(recent) >= SCANNED_LINKS - 1:
        links = {link for _, link, _ in recent}
        links.add(link_id)
        if len(links) >= SCANNED_LINKS:
            return _SCANNER
    if len(recent) >= FAST_CLICKS - 1:
        return _FAST
    repeats = any(link == link_id and clicked_at_ms - at_ms <= REPEAT_MS for at_ms, link, _ in recent)
    return _REPEAT if repeats else HUMAN


def graver(one: Judged, other: Judged) -> Judged:
    """The graver of two, the first among equals."""
    if other.quality == "human":
        return one
    return other if QUALITIES.index(other.quality) > QUALITIES.index(one.quality) else one
