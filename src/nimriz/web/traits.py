"""Traits: what a link's rules ask of a visitor, read from the request; nothing that no rule of the link asks for."""

from __future__ import annotations

import contextlib
from socket import AF_INET6, inet_pton

from nimriz.core.agents import Agent, Agents
from nimriz.core.crawlers import USER_AGENT_BYTES_MAX
from nimriz.core.departures import is_scan, parameters
from nimriz.core.languages import HEADER_BYTES_MAX, first_language
from nimriz.core.matching import Traits
from nimriz.core.places import Places
from nimriz.core.referrers import host_of
from nimriz.core.routing import Rules
from nimriz.web.visitor import Visitor

_NOBODY = Agent("browser", "other", "", "")


class TraitReader:
    """Reads the traits of visitors, with the agents that this process has met and the operator's places."""

    def __init__(self, agents: Agents, places: Places) -> None:
        self._agents = agents
        self._places = places

    def read(self, rules: Rules, visitor: Visitor, query: bytes, kept: frozenset[int]) -> Traits:
        """What these rules ask of this visitor; `kept` is what a cookie says."""
        asks = rules.asks
        agent = self._agents.read(visitor.user_agent) if "agent" in asks else _NOBODY
        return Traits(
            (visitor.country or self._places.find(visitor.address).country) if "country" in asks else "",
            agent.device,
            agent.os,
            agent.browser,
            first_language(visitor.accept_language) if "language" in asks else "",
            host_of(visitor.referrer) if "referrer_host" in asks else "",
            parameters(query) if "query" in asks else (),
            "qr" in asks and is_scan(query),
            shown_by(visitor) if "shown" in asks else b"",
            kept,
        )


def shown_by(visitor: Visitor) -> bytes:
    """What tells one visitor of an experiment from another: address, user agent, languages. Hashed, never kept.

    Of an IPv6 address the network of 64 bits: browsers change the rest from day to day (RFC 8981).
    """
    address = visitor.address.encode("utf-8", "replace")
    if ":" in visitor.address:
        with contextlib.suppress(OSError, ValueError):
            address = inet_pton(AF_INET6, visitor.address)[:8]
    agent, languages = visitor.user_agent[:USER_AGENT_BYTES_MAX], visitor.accept_language[:HEADER_BYTES_MAX]
    return b"\0".join((address, agent, languages))
