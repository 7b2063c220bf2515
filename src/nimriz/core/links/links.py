"""Links: the unit of attribution. Owns the tables links, link_texts and link_tags.

A deleted link's row stays: the tokens of its clicks still belong to its workspace. Whoever changes a link
says who they are, and the history keeps what differs. Every process sees a change within a second.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from nimriz.base.errors import Refused
from nimriz.base.ids import new_id
from nimriz.base.urls import UTM_NAMES
from nimriz.core.directory import changes
from nimriz.core.links import history, slugs
from nimriz.store.db import Params, Scalar, Tx

CLICKS_MAX_MAX = 2**53 - 1
NO_UTM = "{}"
# Nobody searches for what stands so far behind, and narrow rows are what makes searching quick.
_SEARCHED_CHARS_MAX = 1_000


class Link(NamedTuple):
    """A short link. `append_policy` is 'auto', 'always' (lifts a suppression) or 'never'.

    `tags` and `utm` are JSON. `clicks_max` bounds how often it redirects, and `clicks_used` counts towards
    it. `takedown` is the operator's reason, '' while the link stands.
    """

    link_id: str
    workspace_id: str
    domain_id: str
    slug: str
    long_url: str
    title: str
    tags: str
    status: str
    expires_at_ms: int | None
    redirect_status_code: int
    conversion_tracking: int
    conversion_window_days: int | None
    append_policy: str
    forward_query: int
    created_at_ms: int
    updated_at_ms: int
    canonical_url: str = ""
    utm: str = NO_UTM
    password_hash: str = ""
    notes: str = ""
    archived: int = 0
    takedown: str = ""
    clicks_max: int | None = None
    clicks_used: int = 0
    privacy: str = ""

    def expired(self, now_ms: int) -> bool:
        """Whether its instant has come, or all its clicks are used."""
        spent = self.clicks_max is not None and self.clicks_used >= self.clicks_max
        return spent or (self.expires_at_ms is not None and now_ms >= self.expires_at_ms)


class Filters(NamedTuple):
    """Which links are asked for; '' asks for all. `search` finds a part of slug, title, destination or tags."""

    tag: str = ""
    search: str = ""
    domain_id: str = ""
    archived: int | None = 0


ALL = Filters()
# One for all links without: every link that the redirect remembers has them.
_NO_UTM_VALUES = ("",) * len(UTM_NAMES)
_COLUMNS = ", ".join(Link._fields)
_INSERT = f"insert into links ({_COLUMNS}) values ({', '.join(':' + f for f in Link._fields)})"
_FIXED = {"link_id", "workspace_id", "domain_id", "created_at_ms", "clicks_used"}
_UPDATE = (
    f"update links set {', '.join(f'{f} = :{f}' for f in Link._fields if f not in _FIXED)} where link_id = :link_id"
)
_INSERT_TEXT = "insert into link_texts (workspace_id, link_id, content) values (:workspace_id, :link_id, :content)"
_INSERT_TAG = "insert into link_tags (workspace_id, tag, link_id) values (:workspace_id, :tag, :link_id)"


def create(tx: Tx, draft: Link, actor: str, now_ms: int) -> Link:
    """Store a new link, with a generated slug where its slug is ''.

    Raises Refused: slug_reserved, slug_invalid, slug_taken, slug_tombstoned.
    """
    made = create_many(tx, [draft], actor, now_ms)[0]
    if isinstance(made, Refused):
        raise made
    return made


def create_many(tx: Tx, drafts: Sequence[Link], actor: str, now_ms: int) -> list[Link | Refused]:
    """Store new links, each on its own: what is refused takes no other with it; of two equal slugs the first wins."""
    made: list[Link | Refused] = [*drafts]
    for domain_id in dict.fromkeys(draft.domain_id for draft in drafts):
        here = [n for n, draft in enumerate(drafts) if draft.domain_id == domain_id]
        refused = slugs.unavailable(tx, domain_id, [drafts[n].slug for n in here if drafts[n].slug], now_ms)
        generated = iter(slugs.generate(tx, domain_id, sum(not drafts[n].slug for n in here), now_ms))
        for n in here:
            slug = drafts[n].slug or next(generated)
            if slug in refused:
                made[n] = Refused(refused[slug])
                continue
            refused[slug] = "slug_taken"
            made[n] = drafts[n]._replace(
                link_id=new_id(now_ms), slug=slug, created_at_ms=now_ms, updated_at_ms=now_ms, clicks_used=0
            )
    stored = [link for link in made if isinstance(link, Link)]
    tx.many(_INSERT, stored)
    tx.many(_INSERT_TEXT, [_text_row(link) for link in stored])
    tx.many(_INSERT_TAG, [row for link in stored for row in _tag_rows(link)])
    history.append(
        tx,
        [history.entry(link.workspace_id, link.link_id, actor, "created", {}, _told(link), now_ms) for link in stored],
    )
    # A visitor may have asked for a slug before it was there, and been remembered as not found.
    changes.note_many(tx, "link", [f"{link.domain_id}/{link.slug}" for link in stored], now_ms)
    return made


def change(tx: Tx, before: Link, after: Link, actor: str, now_ms: int, action: history.Action = "changed") -> Link:
    """Store a link's fields as they are in `after`; a slug given up rests.

    Raises Refused with the codes of a slug when that changes.
    """
    after = after._replace(updated_at_ms=now_ms)
    if after.slug != before.slug:
        slugs.check(tx, before.domain_id, after.slug, now_ms, before.link_id)
        slugs.retire(tx, before.domain_id, before.slug, before.link_id, now_ms)
        changes.note(tx, "link", f"{before.domain_id}/{before.slug}", now_ms)
    tx.run(_UPDATE, {f: v for f, v in after._asdict().items() if f not in _FIXED or f == "link_id"})
    if _text(before) != _text(after):
        tx.run(
            "update link_texts set content = :content where workspace_id = :workspace_id and link_id = :link_id",
            _text_row(after),
        )
    if before.tags != after.tags:
        tx.run("delete from link_tags where link_id = :link_id", {"link_id": after.link_id})
        tx.many(_INSERT_TAG, _tag_rows(after))
    told_before, told_after = _told(before), _told(after)
    if before.password_hash and after.password_hash and before.password_hash != after.password_hash:
        told_after["password_changed"] = True
    row = history.entry(after.workspace_id, after.link_id, actor, action, told_before, told_after, now_ms)
    if row["before"] != "{}" or row["after"] != "{}":
        history.append(tx, [row])
    changes.note(tx, "link", f"{after.domain_id}/{after.slug}", now_ms)
    return after


def delete(tx: Tx, link: Link, actor: str, now_ms: int) -> None:
    """Delete a link: it stops within a second, and its slug rests for 30 days."""
    key: Params = {"now_ms": now_ms, "link_id": link.link_id, "workspace_id": link.workspace_id}
    tx.run("update links set deleted_at_ms = :now_ms where link_id = :link_id", key)
    tx.run("delete from link_texts where workspace_id = :workspace_id and link_id = :link_id", key)
    tx.run("delete from link_tags where link_id = :link_id", key)
    slugs.retire(tx, link.domain_id, link.slug, link.link_id, now_ms)
    history.append(tx, [history.entry(link.workspace_id, link.link_id, actor, "deleted", _told(link), {}, now_ms)])
    changes.note(tx, "link", f"{link.domain_id}/{link.slug}", now_ms)


def use_clicks(tx: Tx, link_ids: Sequence[str], now_ms: int) -> list[bool]:
    """Use one click for each mention of a link that has a bound; False where none was left."""
    return [_use_click(tx, link_id, now_ms) for link_id in link_ids]


def _use_click(tx: Tx, link_id: str, now_ms: int) -> bool:
    # A bound that was taken away a moment ago holds nobody back.
    row = tx.one(
        "update links set clicks_used = clicks_used + 1 where link_id = :link_id and deleted_at_ms is null "
        "and clicks_used < coalesce(clicks_max, clicks_used + 1) returning clicks_used, clicks_max, domain_id, slug",
        {"link_id": link_id},
    )
    if row is not None and row[1] is not None and row[0] >= row[1]:
        changes.note(tx, "link", f"{row[2]}/{row[3]}", now_ms)
    return row is not None


def find(tx: Tx, workspace_id: str, link_id: str) -> Link | None:
    """A link of a workspace by its id, unless it was deleted."""
    row = tx.one(
        f"select {_COLUMNS} from links "
        "where link_id = :link_id and workspace_id = :workspace_id and deleted_at_ms is null",
        {"link_id": link_id, "workspace_id": workspace_id},
    )
    return None if row is None else Link._make(row)


def find_many(tx: Tx, workspace_id: str, link_ids: Sequence[str]) -> dict[str, Link]:
    """Links of a workspace by their ids, without deleted ones."""
    rows = tx.each(
        f"select {_COLUMNS} from links where link_id in (:keys) and workspace_id = :workspace_id "
        "and deleted_at_ms is null",
        link_ids,
        {"workspace_id": workspace_id},
    )
    return {link.link_id: link for link in map(Link._make, rows)}


def find_by_slug(tx: Tx, domain_id: str, slug: str) -> Link | None:
    """The link behind a slug of a domain, unless it was deleted."""
    row = tx.one(
        f"select {_COLUMNS} from links where domain_id = :domain_id and slug = :slug and deleted_at_ms is null",
        {"domain_id": domain_id, "slug": slug},
    )
    return None if row is None else Link._make(row)


def find_by_slugs(tx: Tx, domain_id: str, wanted: Sequence[str]) -> dict[str, Link]:
    """The links behind slugs of a domain, whoever has them, without deleted ones."""
    rows = tx.each(
        f"select {_COLUMNS} from links where domain_id = :domain_id and slug in (:keys) and deleted_at_ms is null",
        wanted,
        {"domain_id": domain_id},
    )
    return {link.slug: link for link in map(Link._make, rows)}


def page(tx: Tx, workspace_id: str, before_id: str, limit: int, filters: Filters = ALL) -> list[Link]:
    """At most `limit` links of a workspace, newest first, made before the link `before_id` ('': all)."""
    if "\0" in filters.search + filters.tag:
        return []  # No text holds a NUL, and engines end there.
    params: dict[str, Scalar] = {
        "workspace_id": workspace_id,
        "before_id": before_id or "g",
        "limit_count": limit,
        **filters._asdict(),
        "search": _pattern(filters.search),
    }
    # It starts where there is least to read, and in the order of the answer: at a tag, else at the narrow
    # texts, else at the links. `cross join` leaves SQLite that order, and PostgreSQL its choice.
    asked = {"link_tags": filters.tag, "link_texts": filters.search, "links": True}
    tables = [table for table, wanted in asked.items() if wanted]
    first = tables[0]
    conditions = {
        f"{first}.workspace_id = :workspace_id and {first}.link_id < :before_id": True,
        f"link_texts.workspace_id = :workspace_id and link_texts.link_id = {first}.link_id": "link_texts" in tables[1:],
        f"links.link_id = {first}.link_id": "links" in tables[1:],
        "link_tags.tag = :tag": filters.tag,
        r"link_texts.content like :search escape '\'": filters.search,
        "links.domain_id = :domain_id": filters.domain_id,
        "links.archived = :archived": filters.archived is not None,
    }
    rows = tx.all(
        f"select {', '.join('links.' + f for f in Link._fields)} from {' cross join '.join(tables)} "
        f"where {' and '.join(text for text, holds in conditions.items() if holds)} "
        f"and links.deleted_at_ms is null order by {first}.link_id desc limit :limit_count",
        params,
    )
    return [Link._make(row) for row in rows]


def has_any(tx: Tx, domain_id: str) -> bool:
    """Whether a domain has a link."""
    row = tx.one(
        "select 1 from links where domain_id = :domain_id and deleted_at_ms is null order by slug limit 1",
        {"domain_id": domain_id},
    )
    return row is not None


def workspace_of(tx: Tx, link_id: str) -> str | None:
    """Whose link this is, or was before it was deleted."""
    row = tx.one("select workspace_id from links where link_id = :link_id", {"link_id": link_id})
    return None if row is None else str(row[0])


def labels(tx: Tx, workspace_id: str, link_ids: list[str]) -> dict[str, str]:
    """`domain/slug` of links, deleted ones too."""
    rows = tx.each(
        "select link_id, domain_name, slug from links join domains on domains.domain_id = links.domain_id "
        "where link_id in (:keys) and links.workspace_id = :workspace_id",
        link_ids,
        {"workspace_id": workspace_id},
    )
    return {row[0]: f"{row[1]}/{row[2]}" for row in rows}


def utm_of(link: Link) -> tuple[str, ...]:
    """The values of utm_source, utm_medium, utm_campaign, utm_term and utm_content, '' where there is none."""
    if link.utm == NO_UTM:
        return _NO_UTM_VALUES
    utm = json.loads(link.utm)
    return tuple(utm.get(name, "") for name in UTM_NAMES)


def _text(link: Link) -> str:
    return f"{link.slug} {link.title} {' '.join(json.loads(link.tags))} {link.long_url}".lower()[:_SEARCHED_CHARS_MAX]


def _text_row(link: Link) -> Params:
    return {"workspace_id": link.workspace_id, "link_id": link.link_id, "content": _text(link)}


def _tag_rows(link: Link) -> list[Params]:
    return [
        {"workspace_id": link.workspace_id, "tag": tag, "link_id": link.link_id}
        for tag in dict.fromkeys(json.loads(link.tags))
    ]


def _pattern(text: str) -> str:
    escaped = text.lower().replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"


def _told(link: Link) -> dict[str, object]:
    """What the history tells of a link."""
    hidden = {*_FIXED, "updated_at_ms", "canonical_url", "password_hash", "tags", "utm"}
    return {
        **{name: value for name, value in link._asdict().items() if name not in hidden},
        "tags": json.loads(link.tags),
        "utm": json.loads(link.utm),
        "password_protected": bool(link.password_hash),
    }
