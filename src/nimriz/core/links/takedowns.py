"""Takedowns: the operator stops a link of whatever workspace, and nobody but the operator lets it go on.

The owner sees in the link's history that it happened, and the reason. What happens to a link meanwhile (another
slug, another destination, switched off and on) leaves the takedown as it is.
"""

from __future__ import annotations

from nimriz.base.errors import Refused
from nimriz.base.ids import is_id
from nimriz.core.links import domains, history, links, short_urls
from nimriz.core.links.domains import Hosts
from nimriz.core.links.links import Link
from nimriz.store.db import Tx

REASON_CHARS_MAX = 500


def named(tx: Tx, text: str, hosts: Hosts) -> Link:
    """The link of any workspace with this id or short URL, whose scheme, query and fragment are of no account.

    Raises Refused(link_not_found).
    """
    link = _by_id(tx, text) if is_id(text) else _by_short_url(tx, text, hosts)
    if link is None:
        raise Refused("link_not_found")
    return link


def _by_id(tx: Tx, link_id: str) -> Link | None:
    workspace_id = links.workspace_of(tx, link_id)
    return None if workspace_id is None else links.find(tx, workspace_id, link_id)


def _by_short_url(tx: Tx, text: str, hosts: Hosts) -> Link | None:
    host, slug = short_urls.read(text)
    domain = domains.find_by_name(tx, hosts.default_domain if host in hosts.application else host)
    return None if domain is None else links.find_by_slug(tx, domain.domain_id, slug)


def take_down(tx: Tx, link: Link, reason: str, now_ms: int) -> Link:
    """Stop a link within a second, whatever its owner does. Taken down again, it has the new reason."""
    return links.change(tx, link, link._replace(takedown=reason), history.OPERATOR, now_ms, "taken_down")


def restore(tx: Tx, link: Link, now_ms: int) -> Link:
    """Let a link go on as its owner has set it."""
    return links.change(tx, link, link._replace(takedown=""), history.OPERATOR, now_ms, "restored")
