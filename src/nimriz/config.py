"""Every setting, limit and default, read once from the environment into one frozen value.

A setting NAME is the environment variable NIMRIZ_NAME. docs/guides/operator.md describes each of them;
a test fails when one is missing there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from nimriz.base.errors import Refused
from nimriz.core import dns, domains
from nimriz.core.dns import Server

Value = TypeVar("Value")


def _read_each(text: str, read: Callable[[str], Value]) -> tuple[Value, ...]:
    """Every part of a comma-separated list. Raises ValueError."""
    try:
        return tuple(read(part.strip()) for part in text.split(",") if part.strip())
    except Refused:
        raise ValueError("not a host name") from None


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


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
    app_url: str = ""
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
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    click_wait_ms_max: int = Field(default=250, ge=0)
    click_batch_max: int = Field(default=2_000, ge=1)
    click_queue_max: int = Field(default=200_000, ge=1)
    conversion_wait_ms_max: int = Field(default=5_000, ge=1)
    conversion_batch_max: int = Field(default=500, ge=1)
    conversion_queue_max: int = Field(default=20_000, ge=1)
    conversion_rate_per_s: int = Field(default=0, ge=0)
    address_rate_per_s: int = Field(default=0, ge=0)
    rejudge_max: int = Field(default=256, ge=1)

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
        return (self.app_url or f"http://localhost:{self.port}").rstrip("/")
