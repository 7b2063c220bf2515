"""Where a visitor is sent: the stored bytes first, whatever is appended, and no parameter twice."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nimriz.base.errors import Refused
from nimriz.base.tokens import TOKEN_CHARS
from nimriz.base.urls import DESTINATION_BYTES_MAX, UTM_NAMES, utm_addition
from nimriz.core.links import destinations, drafts, links
from nimriz.core.links.drafts import LinkFields
from nimriz.core.routing import departures
from nimriz.core.routing.signposts import Signpost, compile_signpost
from nimriz.core.routing.targets import key_of
from nimriz.store.db import Tx
from tests.web.place import NOW_MS, Place

UTC = ZoneInfo("UTC")
TOKEN = b"nim_ct=nimct_" + b"T" * (TOKEN_CHARS - 6)
WORDS = ["a", "b", "utm_source", "utm_medium", "utm%5Fsource", "nim_ct", "nr", "p", "sig", "token", "é", "%", "a b"]
PIECE = st.one_of(
    st.sampled_from(WORDS), st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), max_size=12)
)
PAIR = st.builds(lambda name, equals, value: f"{name}{equals}{value}", PIECE, st.sampled_from(["", "="]), PIECE)
QUERY = st.lists(PAIR, max_size=6).map("&".join)
FRAGMENT = st.one_of(st.just(""), PIECE.map(lambda text: f"#{text}"))
LONG = st.one_of(st.just(0), st.integers(7_900, 8_200))
UTM = st.dictionaries(st.sampled_from(UTM_NAMES), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))


@st.composite
def given_destination(draw: st.DrawFn) -> str:
    """Anything that could be accepted, some of it nearly too long."""
    path = draw(st.sampled_from(["", "/", "/a/b", "/?"])) + "x" * draw(LONG)
    query = draw(QUERY)
    path = path if path.startswith(("/", "?")) or not path else f"/{path}"
    return f"https://shop.example{path}{'?' if query else ''}{query}{draw(FRAGMENT)}"


@pytest.fixture
def stored(place: Place) -> links.Link:
    """One link, to be changed over and over."""
    return place.link("launch")


@settings(max_examples=300)
@given(
    long_url=given_destination(),
    utm=UTM,
    query=QUERY.map(str.encode),
    policy=st.sampled_from(["auto", "always", "never"]),
    forward=st.booleans(),
    tokens=st.booleans(),
)
def test_the_location_begins_with_the_bytes_that_were_stored(
    place: Place,
    stored: links.Link,
    long_url: str,
    utm: dict[str, str],
    query: bytes,
    policy: str,
    forward: bool,
    tokens: bool,
) -> None:
    try:
        draft = drafts.Draft(LinkFields(), destinations.read(long_url), "")
        link = drafts.applied(
            draft, stored._replace(utm=json.dumps(utm), append_policy=policy, forward_query=int(forward)), UTC
        )
    except Refused:
        assume(False)
    signpost = compiled(place, link)
    location, appended = sent(signpost, query, tokens)

    before, hash_sign, fragment = long_url.encode().partition(b"#")
    assert location.startswith(before)
    assert location.endswith(hash_sign + fragment)
    assert len(location) <= DESTINATION_BYTES_MAX
    middle = location[len(before) : len(location) - len(hash_sign + fragment)]
    assert b"#" not in middle
    if signpost.own.suppression:
        assert middle == b""
        return
    assert (TOKEN in middle) == appended
    own = before.partition(b"?")[2].split(b"&")
    pairs = [pair for pair in middle.removeprefix(b"?").split(b"&") if pair]
    wanted = [pair.encode() for pair in utm_addition(long_url, utm).split("&") if pair]
    assert pairs[: len(wanted)] == wanted
    rest = [pair for pair in pairs[len(wanted) :] if pair != TOKEN]
    assert not {key_of(pair) for pair in rest} & {key_of(pair) for pair in [*own, *wanted] if pair}
    assert not {key_of(pair).lower() for pair in rest} & {b"nim_ct", b"nr", b"p"}
    assert rest == [] or forward


def compiled(place: Place, link: links.Link) -> Signpost:
    """The signpost of the link once it is so."""

    def write(tx: Tx) -> Signpost | None:
        links.change(tx, link, link, "operator", NOW_MS)
        return compile_signpost(tx, place.domain, link.slug)

    signpost = place.other.write(write)
    assert signpost is not None
    return signpost


def sent(signpost: Signpost, query: bytes, tokens: bool) -> tuple[bytes, bool]:
    """What the redirect makes of a signpost and a visitor's query."""
    _, forwarded = departures.read_query(signpost, signpost.own, query)
    return departures.location(signpost.own, forwarded, TOKEN if tokens and not signpost.own.suppression else b"")
