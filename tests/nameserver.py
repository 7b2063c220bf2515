"""A real name server on the loopback address: what a zone says, and every way of saying nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from nimriz.core.links.dns import challenge_name

Trouble = Literal["servfail", "refused", "silent", "garbled", "truncated"]


@dataclass
class NameServer:
    """A zone that a test writes. A name that is not in it does not exist (NXDOMAIN)."""

    port: int
    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    trouble: dict[str, Trouble] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """As the setting NIMRIZ_DNS_SERVERS names it."""
        return f"127.0.0.1:{self.port}"

    def put(self, name: str, kind: str, *values: str) -> None:
        """Records of one kind in place of those that were there; none takes them away."""
        self.records[name, kind] = list(values)
        if not values:
            del self.records[name, kind]

    def challenge(self, domain_name: str, *values: str) -> None:
        """What stands where the challenge of a domain belongs."""
        self.put(challenge_name(domain_name), "TXT", *(f'"{value}"' for value in values))

    def answer(self, wire: bytes) -> bytes | None:
        """The answer to one datagram, or nothing."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        response = dns.message.make_response(query, recursion_available=True)
        trouble = self.trouble.get(name)
        if trouble == "silent":
            return None
        if trouble == "garbled":
            return wire[:2] + b"\xff" * 40
        if trouble == "truncated":
            response.flags |= dns.flags.TC
        elif trouble is not None:
            response.set_rcode(dns.rcode.from_text(trouble))
        else:
            self._fill(response, name, kind)
        return response.to_wire()

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        for _ in range(8):
            known = any(of == name for of, _ in self.records)
            found = "CNAME" if (name, "CNAME") in self.records and kind != "CNAME" else kind
            values = self.records.get((name, found), [])
            if values:
                response.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", found, *values))
            if not known:
                response.set_rcode(dns.rcode.NXDOMAIN)
            if found == kind or not values:
                return
            name = values[0].rstrip(".")


@contextmanager
def name_server() -> Iterator[NameServer]:
    """A name server for the time of a test."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(0.1)
        server, over = NameServer(listening.getsockname()[1]), threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    wire, peer = listening.recvfrom(4_096)
                    answer = server.answer(wire)
                except (TimeoutError, dns.exception.DNSException):
                    continue
                if answer is not None:
                    listening.sendto(answer, peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            over.set()
            thread.join()
