"""The tables of the columnar store. Whoever changes them raises VERSION: then the store is made anew.

They hold no external id, no metadata and no look-up hash: what erasure destroys was never copied here. Their types are
spelled as DuckDB and ClickHouse both know them.
"""

from __future__ import annotations

VERSION = 6

CONTEXT = (
    "touch_type", "placement", "destination_host", "referrer_host", "utm_source", "utm_medium", "utm_campaign",
    "utm_term", "utm_content", "country", "region", "city", "language", "device", "os", "browser", "tags",
    "token_suppressed",
)  # fmt: skip
"""What is told of a click's surroundings, text each; `tags` as a JSON list."""

NO_ID = "00000000-0000-0000-0000-000000000000"
"""Stands where a verdict names no click and no link: a key is never null."""

_CONTEXT = ", ".join(f"{name} varchar not null" for name in CONTEXT)
_OF_CLICK = f"click_id UUID not null, link_id UUID not null, domain_id UUID not null, {_CONTEXT}"

TABLES: dict[str, str] = {
    # Clicks, in the order in which they came. `quality` is what stands, `made_quality` what was thought at first.
    "clicks": (
        f"log integer not null, seq bigint not null, workspace_id UUID not null, clicked_ms bigint not null, "
        f"decision integer not null, tracked integer not null, visitor UInt64, made_quality varchar not null, "
        f"quality varchar not null, {_OF_CLICK}"
    ),
    # What clicks have in common; of the last weeks only, since no later click names the others.
    "contexts": (
        "log integer not null, context_id bigint not null, made_ms bigint not null, workspace_id UUID not null, "
        "decision integer not null, tracked integer not null, quality varchar not null, link_id UUID not null, "
        f"domain_id UUID not null, {_CONTEXT}, read integer not null"
    ),
    "judgments": (
        "log integer not null, seq bigint not null, click_seq bigint not null, judged_ms bigint not null, "
        "quality varchar not null"
    ),
    # Clicks whose agent was still to be read when they were copied.
    "unread": "log integer not null, seq bigint not null, clicked_ms bigint not null",
    # The clicks that verdicts and ties name, once more: few, and asked for with every question about money.
    "touches": f"clicked_ms bigint not null, {_OF_CLICK}",
    "awaited": "click_id UUID not null, clicked_ms bigint not null",
    # Which tags a list of tags has.
    "tagsets": "tags varchar not null, tag varchar not null",
    # What the decision numbers of clicks and tokens mean.
    "decisions": "link_id UUID not null, decision integer not null, rule_id varchar not null, variant varchar not null",
    "outcomes": (
        "mode varchar not null, seq bigint not null, workspace_id UUID not null, event_id varchar not null, "
        "event_name varchar not null, event_ms bigint not null, received_ms bigint not null, value_minor bigint, "
        "currency varchar not null, order_id varchar not null, related_event_id varchar not null, "
        "related_order_id varchar not null, person_id varchar not null, identified integer not null"
    ),
    "verdicts": (
        "mode varchar not null, seq bigint not null, workspace_id UUID not null, event_id varchar not null, "
        "judged_ms bigint not null, status varchar not null, method varchar not null, reason varchar not null, "
        "link_id UUID not null, decision integer not null, click_id UUID not null, clicked_ms bigint not null"
    ),
    # Every outcome, and whatever a follow-on took, as it stands now and as reports add it up.
    "standing_lines": (
        "mode varchar not null, workspace_id UUID not null, event_id varchar not null, sale_event_id varchar not null, "
        "event_name varchar not null, event_ms bigint not null, status varchar not null, reason varchar not null, "
        "link_id UUID not null, decision integer not null, click_id UUID not null, clicked_ms bigint not null, "
        "counted varchar not null, currency varchar not null, events integer not null, gross_minor bigint not null, "
        "taken_minor decimal(38, 0) not null"
    ),
    "settlements": (
        "mode varchar not null, seq bigint not null, workspace_id UUID not null, event_id varchar not null, "
        "judged_ms bigint not null, status varchar not null, currency varchar not null, "
        "applied_minor decimal(38, 0) not null, excess_minor decimal(38, 0) not null"
    ),
    "movements": (
        "mode varchar not null, seq bigint not null, workspace_id UUID not null, event_id varchar not null, "
        "sale_event_id varchar not null, amount_minor bigint not null, moved_ms bigint not null"
    ),
    "ties": (
        "mode varchar not null, seq bigint not null, workspace_id UUID not null, person_id varchar not null, "
        "click_id UUID not null, link_id UUID not null, decision integer not null, clicked_ms bigint not null, "
        "window_days integer not null, from_ms bigint not null, event_id varchar not null, tied_ms bigint not null"
    ),
    # How far what was committed has been copied. Written in the transaction that copies.
    "cursors": "name varchar not null, value bigint not null",
}

WORDS: dict[str, str] = {
    "intDiv(a, b)": "a // b",
    "medianExactLow(x)": "quantile_disc(x, 0.5)",
    "medianExactHigh(x)": "-quantile_disc(-x, 0.5)",
}
"""What questions need and DuckDB has under other names, or not at all, under the names that ClickHouse gives it."""


def columns_of(table: str) -> list[tuple[str, str]]:
    """The columns of a table, each with its type."""
    found, depth, start, text = [], 0, 0, TABLES[table] + ","
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            name, _, kind = text[start:place].strip().partition(" ")
            found.append((name, kind.removesuffix(" not null")))
            start = place + 1
    return found
