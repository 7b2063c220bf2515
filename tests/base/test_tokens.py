"""A click token opens only if we minted it, and has exactly one spelling."""

import base64
import string

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base.tokens import DECISION_MAX, TOKEN_CHARS, ClickToken, Keyring, TokenRefused

KEYS = {0: bytes(range(64)), 7: bytes(range(64, 128)), 255: bytes(range(100, 164))}
RING = Keyring(KEYS, 7)
CLICK = bytes.fromhex("0192f0c1a2b37abc8def0123456789ab")
LINK = bytes.fromhex("0192aaaaaaaa7bbb8ccc0123456789ab")
TOKEN = RING.mint(CLICK, LINK, 30, 5)

ids = st.binary(min_size=16, max_size=16)


def refusal(text: str, ring: Keyring = RING) -> str:
    with pytest.raises(TokenRefused) as caught:
        ring.open(text)
    return caught.value.code


def spelled(raw: bytes) -> str:
    return "nimct_" + base64.urlsafe_b64encode(raw).decode("ascii")


def raw_of(token: str) -> bytes:
    return base64.urlsafe_b64decode(token.removeprefix("nimct_"))


@given(ids, ids, st.integers(1, 30), st.integers(0, DECISION_MAX), st.sampled_from(sorted(KEYS)))
def test_what_is_minted_is_read_back(click: bytes, link: bytes, days: int, decision: int, key_id: int) -> None:
    token = Keyring(KEYS, key_id).mint(click, link, days, decision)
    assert len(token) == TOKEN_CHARS
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert RING.open(token) == ClickToken(click, link, days, decision)


def test_the_bytes_are_laid_out_as_the_contract_says() -> None:
    raw = raw_of(TOKEN)
    assert len(raw) == 54
    assert raw[:2] == b"\x01\x07"
    facts = ((30 << 27) + 5).to_bytes(4, "big")
    assert AESSIV(KEYS[7]).decrypt(raw[2:], [raw[:2]]) == CLICK + LINK + facts


def test_a_token_carries_the_time_of_its_click() -> None:
    assert RING.open(TOKEN).clicked_at_ms == 0x0192F0C1A2B3


def test_the_same_facts_give_the_same_token_and_other_facts_another() -> None:
    assert RING.mint(CLICK, LINK, 30, 5) == TOKEN
    others = {RING.mint(LINK, CLICK, 30, 5), RING.mint(CLICK, LINK, 29, 5), RING.mint(CLICK, LINK, 30, 4)}
    assert len(others | {TOKEN}) == 4


def test_a_token_shows_neither_of_its_ids() -> None:
    raw = raw_of(TOKEN)
    assert [secret for secret in (CLICK, LINK, CLICK[:6]) if secret in raw] == []


def test_an_old_key_still_opens_after_another_one_mints() -> None:
    old = Keyring({0: KEYS[0]}, 0).mint(CLICK, LINK, 1)
    assert RING.open(old) == ClickToken(CLICK, LINK, 1, 0)


@given(st.integers(0, 54 * 8 - 1), ids, ids)
def test_any_flipped_bit_is_refused(position: int, click: bytes, link: bytes) -> None:
    raw = bytearray(raw_of(RING.mint(click, link, 30)))
    raw[position // 8] ^= 1 << position % 8
    assert refusal(spelled(bytes(raw))) == ("token_malformed" if position < 8 else "token_forged")


@given(st.integers(0, TOKEN_CHARS - 1), st.characters())
def test_any_other_character_in_any_place_is_refused(position: int, char: str) -> None:
    changed = TOKEN[:position] + char + TOKEN[position + 1 :]
    if changed != TOKEN:
        assert refusal(changed) in {"token_malformed", "token_forged"}


@given(st.text(st.characters()) | st.text(string.ascii_letters + "-_", min_size=72, max_size=72).map("nimct_".__add__))
def test_any_text_is_refused_with_one_of_two_codes(text: str) -> None:
    assert refusal(text) in {"token_malformed", "token_forged"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nimct_",
        TOKEN[:-1],
        TOKEN + "A",
        TOKEN + "=",
        TOKEN + "====",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN[:40] + "\n" + TOKEN[40:],
        TOKEN.removeprefix("nimct_"),
        "NIMCT_" + TOKEN[6:],
        "nimct-" + TOKEN[6:],
        TOKEN[:20] + "+" + TOKEN[21:],
        TOKEN[:20] + "/" + TOKEN[21:],
        TOKEN[:20] + "\u017f" + TOKEN[21:],
        TOKEN[:20] + "\uff21" + TOKEN[21:],
        TOKEN[:20] + "\ud800" + TOKEN[21:],
        TOKEN[:20] + "%41" + TOKEN[21:],
        spelled(bytes(51)),
        spelled(bytes(57)),
        spelled(bytes(54)),
        spelled(b"\x02" + raw_of(TOKEN)[1:]),
    ],
    ids=ascii,
)
def test_a_text_of_another_form_length_or_version_is_malformed(text: str) -> None:
    assert refusal(text) == "token_malformed"


def test_a_key_that_we_do_not_hold_makes_a_token_forged() -> None:
    assert refusal(TOKEN, Keyring({0: KEYS[0]}, 0)) == "token_forged"
    assert refusal(TOKEN, Keyring({7: KEYS[0]}, 7)) == "token_forged"


def test_a_token_cannot_be_moved_to_another_key_id() -> None:
    same_key_twice = Keyring({7: KEYS[7], 8: KEYS[7]}, 7)
    moved = bytearray(raw_of(TOKEN))
    moved[1] = 8
    assert refusal(spelled(bytes(moved)), same_key_twice) == "token_forged"


@pytest.mark.parametrize(
    ("click", "link", "days", "decision"),
    [
        (CLICK, LINK, 0, 0),
        (CLICK, LINK, 31, 0),
        (CLICK, LINK, 1, -1),
        (CLICK, LINK, 1, DECISION_MAX + 1),
        (CLICK[1:], LINK, 1, 0),
        (CLICK, LINK + b"x", 1, 0),
        (CLICK[1:], LINK + b"x", 1, 0),
    ],
)
def test_facts_that_do_not_fit_are_not_minted(click: bytes, link: bytes, days: int, decision: int) -> None:
    with pytest.raises(ValueError, match=r"out of range|16 bytes"):
        RING.mint(click, link, days, decision)


@pytest.mark.parametrize(
    ("keys", "current"),
    [({}, 0), ({1: KEYS[0]}, 0), ({256: KEYS[0]}, 256), ({-1: KEYS[0]}, -1), ({0: KEYS[0][1:]}, 0)],
)
def test_a_keyring_that_cannot_work_is_refused_at_once(keys: dict[int, bytes], current: int) -> None:
    with pytest.raises(ValueError, match="token key"):
        Keyring(keys, current)


def test_a_keyring_does_not_follow_the_mapping_it_was_made_from() -> None:
    keys = dict(KEYS)
    ring = Keyring(keys, 7)
    keys.clear()
    assert ring.keys == KEYS
    assert ring.current == 7
    assert KEYS[7].hex() not in repr(ring)
