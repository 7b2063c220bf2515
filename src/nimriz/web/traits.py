"""Traits: what a link's rules ask of a visitor, read from the request; nothing that no rule of the link asks for."""

from __future__ import annotations

import contextlib
from socket import AF_INET6, inet_pton

from nimriz.core.clicks.agents import Agent, Agents
from nimriz.core.clicks.crawlers import USER_AGENT_BYTES_MAX
from nimriz.core.clicks.languages import HEADER_BYTES_MAX, first_language
from nimriz.core.clicks.places import Places
from nimriz.core.routing.departures import is_scan, parameters
from nimriz.core.routing.matching import Traits
from nimriz.core.routing.referrers import host_of
from nimriz.core.routing.routing import Decision, Rules, decide, decided
from nimriz.core.routing.targets import Target
from nimriz.web.visitor import Visitor

_NOBODY = Agent("browser", "other", "", "")


class TraitReader:
    """Reads the traits of visitors, with the agents that this process has met and the operator's places."""

    def __init__(self, agents: Agents, places: Places) -> None:
        self._agents = agents
        self._places = places

    def decide(
        self, rules: Rules, own: Target, visitor: Visitor, query: bytes, kept: frozenset[int], now_ms: int
    ) -> Decision:
        """Where these rules send this visitor.

        Most bring neither query nor referrer: whose rule it is was found out before, for one who was alike.
        """
        if query or visitor.referrer:
            return decide(rules, own, self.read(rules, visitor, query, kept), now_ms)
        asks_country, asks_agent, asks_language, _, _, _, asks_shown = rules.asks
        address, user_agent, languages = visitor.address, visitor.user_agent, visitor.accept_language
        agent = self._agents.read(user_agent) if asks_agent else _NOBODY
        country = (visitor.country or self._places.find(address).country) if asks_country else ""
        alike = (country, agent, first_language(languages) if asks_language and languages else "")
        known = rules.known.get(alike)
        if known is None or not known[0] <= now_ms < known[1]:
            known = rules.learn(alike, self.read(rules, visitor, query, kept), now_ms)
        shown = _shown_by(address, user_agent, languages) if asks_shown else b""
        return decided(known[2], own, agent.os, shown, kept)

    def read(self, rules: Rules, visitor: Visitor, query: bytes, kept: frozenset[int]) -> Traits:
        """What these rules ask of this visitor; `kept` is what a cookie says."""
        country, agent, language, referrer_host, asks_query, qr, shown = rules.asks
        address, user_agent, languages = visitor.address, visitor.user_agent, visitor.accept_language
        _, device, system, browser = self._agents.read(user_agent) if agent else _NOBODY
        # Past the constructor of named tuples, which costs as much as all of this.
        return tuple.__new__(
            Traits,
            (
                (visitor.country or self._places.find(address).country) if country else "",
                device,
                system,
                browser,
                first_language(languages) if language and languages else "",
                host_of(visitor.referrer) if referrer_host and visitor.referrer else "",
                parameters(query) if asks_query and query else (),
                is_scan(query) if qr and query else False,
                _shown_by(address, user_agent, languages) if shown else b"",
                kept,
            ),
        )


def _shown_by(address: str, user_agent: bytes, languages: bytes) -> bytes:
    """What tells one visitor of an experiment from another: address, user agent, languages. Hashed, never kept.

    Of an IPv6 address the network of 64 bits: browsers change the rest from day to day (RFC 8981).
    """
    packed = b""
    if ":" in address:
        with contextlib.suppress(OSError, ValueError):
            packed = inet_pton(AF_INET6, address)[:8]
    told = packed or address.encode("utf-8", "replace")
    return b"\0".join((told, user_agent[:USER_AGENT_BYTES_MAX], languages[:HEADER_BYTES_MAX]))
