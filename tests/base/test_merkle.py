"""Merkle trees: the vectors of RFC 9162's algorithm, and paths that lead to the head and nowhere else."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.base import merkle

# The tree of Certificate Transparency's own tests: entries and the heads over the first n of them.
ENTRIES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243")]
HEADS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
}


@pytest.mark.parametrize("size", HEADS)
def test_heads_are_those_of_certificate_transparency(size: int) -> None:
    assert merkle.root([merkle.leaf(entry) for entry in ENTRIES[:size]]).hex() == HEADS[size]


def from_above(leaves: list[bytes]) -> bytes:
    """The definition of RFC 9162, section 2.1.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\x01" + from_above(leaves[:split]) + from_above(leaves[split:])).digest()


@given(st.integers(1, 70), st.data())
def test_every_leaf_has_a_path_to_the_head_and_no_other_leaf_takes_it(size: int, data: st.DataObject) -> None:
    leaves = [merkle.leaf(bytes([number])) for number in range(size)]
    head = merkle.root(leaves)
    assert head == from_above(leaves)
    index = data.draw(st.integers(0, size - 1))
    beside = merkle.path(leaves, index)
    assert merkle.head_of(leaves[index], index, size, beside) == head
    assert merkle.head_of(merkle.leaf(b"another"), index, size, beside) != head
    with pytest.raises(ValueError, match="path"):
        merkle.head_of(leaves[index], index, size, [*beside, head])
    if beside:
        with pytest.raises(ValueError, match="path"):
            merkle.head_of(leaves[index], index, size, beside[:-1])


def test_a_leaf_that_is_not_there_has_no_path() -> None:
    with pytest.raises(IndexError):
        merkle.path([merkle.leaf(b"")], 1)
    with pytest.raises(ValueError, match="leaf"):
        merkle.head_of(merkle.leaf(b""), 1, 1, [])
