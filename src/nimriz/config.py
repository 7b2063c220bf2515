"""Every setting, limit and default, read once from the environment into one frozen value.

A setting NAME is the environment variable NIMRIZ_NAME. docs/guides/operator.md describes each of them;
a test fails when one is missing there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import ada_url
from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from nimriz.base.errors import Refused
from nimriz.core.clicks import addresses
from nimriz.core.clicks.addresses import Proxies
from nimriz.core.links import dns, domains
from nimriz.core.links.dns import Server

Value = TypeVar("Value")
_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[^/\\?#@:\[\]\s]+)(?::[0-9]+)?/?", re.IGNORECASE)


def _read_each(text: str, read: Callable[[str], Value]) -> tuple[Value, ...]:
    """Every part of a comma-separated list. Raises ValueError."""
    try:
        return tuple(read(part.strip()) for part in text.split(",") if part.strip())
    except Refused:
        raise ValueError("not a host name") from None


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _origin(text: str) -> str:
    """Scheme, host and port of a URL that has nothing else, in their canonical form. Raises ValueError."""
    if not text:
        return text
    try:
        url = ada_url.URL(text)
    except UnicodeEncodeError:
        raise ValueError("not a URL") from None
    # What was written otherwise and means the same, an empty user or query for example, is refused as well.
    if not _ORIGIN.fullmatch(text) or url.protocol not in ("http:", "https:") or url.hostname.endswith("."):
        raise ValueError("not scheme, host and port")
    return url.origin


def _list_of(read: Callable[[str], object]) -> AfterValidator:
    """A comma-separated list, kept as it was written once each part could be read."""

    def check(text: str) -> str:
        _read_each(text, read)
        return text

    return AfterValidator(check)


class Settings(BaseSettings):
    """The whole configuration of one process."""

    model_config = SettingsConfigDict(env_prefix="NIMRIZ_", frozen=True, extra="ignore")

    data_dir: Path = Path("nimriz-data")
    master_key: str = Field(default="", repr=False)
    master_key_file: Path | None = None
    app_url: Annotated[str, AfterValidator(_origin)] = ""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65_535)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9464, ge=0, le=65_535)
    clock_offset_s: int = 0
    private_destinations: bool = False
    ready_domains: Annotated[str, _list_of(domains.read_name)] = ""
    domain_addresses: Annotated[str, _list_of(_address)] = ""
    domain_recheck_s: int = Field(default=86_400, ge=1)
    dns_servers: Annotated[str, _list_of(dns.read_server)] = ""
    trusted_proxies: str = ""
    trusted_proxy_count: int = Field(default=0, ge=0, le=addresses.HOPS_MAX)
    trusted_proxy_header: str = Field(default=addresses.X_FORWARDED_FOR, pattern="^(x-forwarded-for|forwarded)$")
    country_header: str = Field(default="", pattern="^[A-Za-z0-9-]*$")
    geo_file: Path | None = None
    network_file: Path | None = None
    day_key_file: Path | None = None
    erasures_file: Path | None = None
    privacy_signals: bool = False
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    click_wait_ms_max: int = Field(default=250, ge=0)
    click_batch_max: int = Field(default=2_000, ge=1)
    click_queue_max: int = Field(default=200_000, ge=1)
    conversion_wait_ms_max: int = Field(default=5_000, ge=1)
    conversion_batch_max: int = Field(default=500, ge=1)
    conversion_queue_max: int = Field(default=20_000, ge=1)
    conversion_rate_per_s: int = Field(default=0, ge=0)
    conversion_burst: int = Field(default=0, ge=0)
    address_rate_per_s: int = Field(default=0, ge=0)
    address_burst: int = Field(default=0, ge=0)
    rejudge_max: int = Field(default=256, ge=1)
    ledger_seal_s: int = Field(default=60, ge=1)
    ledger_roots: Path | None = None
    shared_identity_clicks_min: int = Field(default=20, ge=2)
    accepted_deliveries_days: int = Field(default=7, ge=0, le=30)
    accepted_deliveries_per_hour_max: int = Field(default=1_000_000, ge=0)
    refused_deliveries_per_hour_max: int = Field(default=10_000, ge=0)
    unsigned_deliveries_per_hour_max: int = Field(default=200, ge=0)

    analytics_memory_mib: int = Field(default=512, ge=64)
    analytics_threads: int = Field(default=2, ge=1)
    analytics_wait_ms_max: int = Field(default=5_000, ge=0)
    export_folder: Path | None = None
    export_keep_days: int = Field(default=7, ge=1, le=400)

    body_timeout_s: float = Field(default=10.0, gt=0)
    body_bytes_in_flight_max: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    signposts_max: int = Field(default=200_000, ge=1)
    signpost_bytes_max: int = Field(default=256 * 1024 * 1024, ge=1024 * 1024)
    misses_max: int = Field(default=50_000, ge=1)
    backlog: int = Field(default=16_384, ge=128)
    backpressure: int = Field(default=16_384, ge=128)
    stop_timeout_s: int = Field(default=8, ge=1)

    @property
    def key_file(self) -> Path:
        """Where the master key lies: beside the data directory, never inside it."""
        if self.master_key_file is not None:
            return self.master_key_file
        data_dir = self.data_dir.absolute()
        return data_dir.with_name(data_dir.name + ".master-key")

    @property
    def day_key_path(self) -> Path:
        """Where the key of the day lies: beside the data directory, so that no copy of the data takes it along."""
        if self.day_key_file is not None:
            return self.day_key_file
        data_dir = self.data_dir.absolute()
        return data_dir.with_name(data_dir.name + ".day-key")

    @property
    def erasures_path(self) -> Path:
        """Where it is noted who was erased, by random ids: beside the data directory, so that no restore goes back."""
        if self.erasures_file is not None:
            return self.erasures_file
        data_dir = self.data_dir.absolute()
        return data_dir.with_name(data_dir.name + ".erasures")

    @property
    def proxies(self) -> Proxies:
        """Whom to believe about where a request comes from."""
        return addresses.read_proxies(self.trusted_proxies, self.trusted_proxy_count, self.trusted_proxy_header)

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_can_be_read(cls, text: str) -> str:
        addresses.read_proxies(text, 0)
        return text

    @property
    def vouched_names(self) -> frozenset[str]:
        """Domains that need no proof."""
        return frozenset({"localhost", *_read_each(self.ready_domains, domains.read_name)})

    @property
    def addresses_of_domains(self) -> frozenset[str]:
        """Where short domains must lead; empty when that is not asked."""
        return frozenset(_read_each(self.domain_addresses, _address))

    @property
    def name_servers(self) -> tuple[Server, ...]:
        """Whom to ask about domains; empty for the system's own."""
        return _read_each(self.dns_servers, dns.read_server)

    @property
    def base_url(self) -> str:
        """The application's own URL, without a slash at its end."""
        return self.app_url or f"http://localhost:{self.port}"

    @property
    def app_host(self) -> str:
        """The host of the application's own URL, in its ASCII form; an IPv6 address stands in brackets."""
        return ada_url.URL(self.base_url).hostname
