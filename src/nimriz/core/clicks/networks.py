"""Networks: what sort of network an address is of, from a file that the operator brings.

Reads `.mmdb` files of autonomous systems and of hosting providers: MaxMind (GeoLite2 ASN, GeoIP2 ISP, Anonymous IP,
Enterprise), DB-IP (ASN) and IPinfo (Lite, ASN, Privacy). One word comes out; neither the address nor the name of the
network is kept.

Where a file has no flag, the name of the organisation tells. The words are names of the large clouds and of the
vendors who look into mail; they are matched as whole words, so that `Amazonas Telecom` is no Amazon.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

from maxminddb.types import Record

from nimriz.core.clicks.address_files import AddressFile, Kind

Network = Literal["", "scanner", "hosting", "gateway"]
"""`scanner` belongs to a vendor who looks into mail, `hosting` to machines in a data centre. Through a `gateway`
people go: web proxies of companies, VPNs. '' is any other network, and one that is not known."""

_NAMES_MAX = 4_096
_FLAGS_OF_CROWDS = ("relay", "is_relay")
_FLAGS_OF_GATEWAYS = (
    "vpn", "proxy", "tor", "is_vpn", "is_proxy", "is_tor",
    "is_anonymous_vpn", "is_public_proxy", "is_residential_proxy", "is_tor_exit_node",
)  # fmt: skip
_FLAGS_OF_HOSTING = ("hosting", "is_hosting", "is_hosting_provider")
_KINDS = ("type", "as_type", "user_type")
_ORGANISATIONS = ("autonomous_system_organization", "as_name", "name", "isp", "organization")
_TRUE = (True, 1, "true", "1")
_WORD = re.compile(r"[a-z0-9]+")

# Their systems open links to look at them. What they sell besides, to be surfed through, is below.
_SCANNERS = (
    "barracuda", "proofpoint", "mimecast", "messagelabs", "fireeye", "trellix", "ironport", "hornetsecurity",
    "cloudmark", "trend micro",
)  # fmt: skip
# A whole company's people come out of these, so nothing follows from the network alone.
_GATEWAYS = (
    "zscaler", "netskope", "symantec", "blue coat", "forcepoint", "iboss", "menlo security", "opendns", "umbrella",
    "palo alto networks", "cato networks", "skyhigh", "sophos", "m247", "datacamp",
)  # fmt: skip
_HOSTING = (
    "amazon", "aws", "google cloud", "google llc", "microsoft", "ovh", "hetzner", "digitalocean", "linode",
    "akamai connected cloud", "vultr", "choopa", "the constant company", "oracle", "alibaba", "scaleway", "contabo",
    "leaseweb", "rackspace", "softlayer", "upcloud", "ionos",
)  # fmt: skip
# iCloud Private Relay and its like leave through these: crowds of people, and often they pass for hosting.
_CROWDS = ("cloudflare", "akamai", "fastly")


class Networks:
    """Answers what sort of network an address is of. Lookups from any thread; `refresh` from one."""

    def __init__(self, path: Path | None) -> None:
        """Read the file; without a path nothing is known. Raises AddressFileRefused."""
        self._file = AddressFile(path, Kind("networks", _tells, "networks"))
        self.refresh = self._file.refresh

    def find(self, address: str) -> Network:
        """The network of an address, '' for any other text. Never raises, never reads the operator's file."""
        record = self._file.get(address)
        return "" if record is None else network_of(record)


def network_of(record: Record | None) -> Network:
    """The network in a record, whichever publisher's.

    What carries crowds is never judged, whatever else it is; then a flag of gateways goes before the names.
    """
    if not isinstance(record, dict):
        return ""
    # MaxMind's Enterprise and DB-IP's larger files: {"country": …, "traits": {"autonomous_system_organization": …}}.
    within = record.get("traits")
    traits = within if isinstance(within, dict) else record
    named = _named(_organisation(traits))
    if _has(traits, _FLAGS_OF_CROWDS) or named == "crowd":
        return ""
    if _has(traits, _FLAGS_OF_GATEWAYS) or named == "gateway":
        return "gateway"
    if named:
        return "scanner" if named == "scanner" else "hosting"
    is_hosting = _has(traits, _FLAGS_OF_HOSTING) or any(traits.get(name) == "hosting" for name in _KINDS)
    return "hosting" if is_hosting else ""


def _tells(record: Record | None) -> bool:
    """Whether a record is of a file of networks, of whichever network it is."""
    within = record.get("traits", record) if isinstance(record, dict) else None
    known = ("autonomous_system_number", "asn", *_FLAGS_OF_CROWDS, *_FLAGS_OF_GATEWAYS, *_FLAGS_OF_HOSTING)
    return isinstance(within, dict) and any(name in within for name in (*known, *_KINDS, *_ORGANISATIONS))


def _has(traits: dict[str, Record], flags: tuple[str, ...]) -> bool:
    # IPinfo writes flags as text.
    return any(traits[flag] in _TRUE for flag in flags if flag in traits)


def _organisation(traits: dict[str, Record]) -> str:
    for name in _ORGANISATIONS:
        told = traits.get(name)
        if isinstance(told, str):
            return told
    return ""


@lru_cache(_NAMES_MAX)
def _named(organisation: str) -> Literal["", "scanner", "gateway", "hosting", "crowd"]:
    words = f" {' '.join(_WORD.findall(organisation.lower()))} "
    if any(f" {name} " in words for name in _SCANNERS):
        return "scanner"
    if any(f" {name} " in words for name in _GATEWAYS):
        return "gateway"
    if any(f" {name} " in words for name in _HOSTING):
        return "hosting"
    return "crowd" if any(f" {name}" in words for name in _CROWDS) else ""
