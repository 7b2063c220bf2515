"""What sort of network an address is of is told by the operator's file, whoever published it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from nimriz.core.clicks.address_files import AddressFileRefused
from nimriz.core.clicks.networks import Networks, network_of
from tests.mmdb import Value, mmdb


def maxmind(organisation: str) -> Value:
    """A record of GeoLite2 ASN and of DB-IP's ASN."""
    return {"autonomous_system_number": 64496, "autonomous_system_organization": organisation}


IPINFO_LITE: Value = {
    "asn": "AS14061", "as_name": "DigitalOcean, LLC", "as_domain": "digitalocean.com", "country_code": "US",
}  # fmt: skip
FILE = mmdb(
    {
        "192.0.2.0/24": maxmind("Amazon.com, Inc."),
        "198.51.100.0/25": IPINFO_LITE,
        "198.51.100.128/25": maxmind("Proofpoint, Inc."),
        "203.0.113.0/25": maxmind("ZSCALER-INC"),
        "203.0.113.128/25": maxmind("Example Telecom"),
        "2001:db8::/32": maxmind("Hetzner Online GmbH"),
    }
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of networks."""
    file = tmp_path / "networks.mmdb"
    file.write_bytes(FILE)
    return file


def test_an_address_is_of_the_network_that_the_file_says(path: Path) -> None:
    networks = Networks(path)
    told = {
        "192.0.2.9": "hosting", "198.51.100.9": "hosting", "198.51.100.200": "scanner", "203.0.113.9": "gateway",
        "203.0.113.200": "", "2001:db8::9": "hosting", "127.0.0.1": "", "nonsense": "", "": "",
    }  # fmt: skip
    assert {address: networks.find(address) for address in told} == told
    assert Networks(None).find("192.0.2.9") == ""


@pytest.mark.parametrize(
    ("record", "network"),
    [
        (maxmind("AMAZON-02"), "hosting"),
        (maxmind("GOOGLE-CLOUD-PLATFORM"), "hosting"),
        (maxmind("MICROSOFT-CORP-MSN-AS-BLOCK"), "hosting"),
        (maxmind("OVH SAS"), "hosting"),
        (maxmind("Akamai Connected Cloud"), "hosting"),
        (maxmind("Amazonas Telecom"), ""),
        (maxmind("Google Fiber Inc."), ""),
        (maxmind("Mimecast Services Limited"), "scanner"),
        (maxmind("MessageLabs Ltd."), "scanner"),
        (maxmind("IronPort Systems, Inc."), "scanner"),
        (maxmind("Musarubra US LLC (Trellix)"), "scanner"),
        (maxmind("Symantec Corporation"), "gateway"),
        (maxmind("Netskope, Inc."), "gateway"),
        # iCloud Private Relay leaves through these: a crowd of people, whatever a flag says.
        (maxmind("Cloudflare, Inc."), ""),
        ({"autonomous_system_organization": "CLOUDFLARENET", "is_hosting_provider": True}, ""),
        ({"hosting": True, "relay": True}, ""),
        # Flags, as MaxMind's Anonymous IP and IPinfo's Privacy write them.
        ({"is_anonymous": True, "is_hosting_provider": True}, "hosting"),
        ({"is_anonymous": True, "is_anonymous_vpn": True, "is_hosting_provider": True}, "gateway"),
        ({"is_hosting_provider": False}, ""),
        ({"hosting": "true", "vpn": ""}, "hosting"),
        ({"hosting": "true", "vpn": "true"}, "gateway"),
        ({"hosting": 1}, "hosting"),
        ({"hosting": "", "proxy": ""}, ""),
        ({"asn": "AS64496", "name": "Example Racks", "type": "hosting"}, "hosting"),
        ({"asn": "AS64496", "name": "Example Telecom", "type": "isp"}, ""),
        # A vendor's name says more than that its machines stand in a data centre.
        ({"asn": "AS64496", "name": "Barracuda Networks", "type": "hosting"}, "scanner"),
        # Records with everything in them.
        ({"country": {"iso_code": "DE"}, "traits": {"user_type": "hosting"}}, "hosting"),
        ({"country": {"iso_code": "DE"}, "traits": maxmind("Hetzner Online GmbH")}, "hosting"),
        (None, ""),
        ([], ""),
        ("Amazon", ""),
    ],
)
def test_every_publishers_record_tells_its_network(record: Any, network: str) -> None:
    assert network_of(record) == network


records: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.sampled_from(["hosting", "true", "AWS"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["traits", "autonomous_system_organization", "as_name", "hosting", "vpn", "type", "relay"]),
            inner,
        )
    ),
    max_leaves=15,
)


@given(records)
def test_a_record_of_any_shape_is_one_of_four_words(record: Any) -> None:
    assert network_of(record) in ("", "scanner", "hosting", "gateway")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(FILE[:-40], "broken"), (mmdb({"192.0.2.0/24": {"country": {"iso_code": "DE"}}}), "knows no networks")],
)
def test_a_start_with_a_useless_file_is_refused(path: Path, content: bytes, sentence: str) -> None:
    path.write_bytes(content)
    with pytest.raises(AddressFileRefused, match=f"the file of networks .*{sentence}"):
        Networks(path)


def test_a_newer_file_is_taken_up_and_a_broken_one_is_not(path: Path) -> None:
    networks = Networks(path)
    new = path.with_suffix(".new")
    new.write_bytes(mmdb({"203.0.113.0/24": maxmind("OVH SAS")}))
    new.replace(path)
    with capture_logs() as logs:
        networks.refresh()
        path.write_bytes(FILE[:100])
        networks.refresh()
        networks.refresh()
    assert (networks.find("192.0.2.9"), networks.find("203.0.113.200")) == ("", "hosting")
    assert [line["event"] for line in logs] == ["address_file_reloaded", "address_file_not_reloaded"]
