"""The dashboard over real sockets: every route for every role, forms, sessions, and what is sent with a page."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from nimriz.core.links import domains
from nimriz.core.members import second_factor
from nimriz.core.members.members import ROLES, reaches
from nimriz.installation import open_installation
from nimriz.store import tables
from nimriz.web.dashboard.dashboard import ROUTES, Route
from tests.patience import PATIENCE_S
from tests.world import Served, Workspace, create_workspace, sale

PASSWORD = "correct horse battery"
NOWHERE = "01a21092-0000-7000-8000-000000000000"


@dataclass
class Person:
    """Somebody with a browser."""

    served: Served
    email: str = ""
    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        # Nothing is kept open, so that nobody has to be closed.
        alone = httpx2.Limits(max_keepalive_connections=0)
        self.client = httpx2.Client(base_url=self.served.url, timeout=PATIENCE_S, limits=alone)

    def get(self, path: str) -> httpx2.Response:
        return self.client.get(path)

    def form_token(self, page: str) -> str:
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', self.get(page).text)
        return found[1] if found else ""

    def post(self, path: str, page: str = "", **fields: str) -> httpx2.Response:
        """Send a form, with the token of a page of ours."""
        fields = {"form_token": self.form_token(page or path), **fields}
        return self.client.post(path, data=fields, headers={"Origin": self.served.url})

    def sign_in(self, password: str = PASSWORD, **more: str) -> httpx2.Response:
        return self.post("/login", email=self.email, password=password, **more)

    def token(self) -> str:
        return str(self.client.cookies.get("nimriz_session") or "")


def joined(served: Served, workspace_id: str, name: str, role: str) -> Person:
    """Somebody who was invited and came."""
    person = Person(served, f"{name}@shop.example")
    told = served.run("member", "create", workspace_id, person.email, "--role", role).stdout.decode()
    found = re.search(r"(/login/invitation/\S+)", told)
    assert found, told
    response = person.post(found[1], name=name, email=person.email, password=PASSWORD, again=PASSWORD)
    assert response.headers["location"] == f"/app/{workspace_id}", response.text
    return person


@dataclass
class House:
    """A workspace with one member of each role, a member of another one, and nobody."""

    shop: Workspace
    other: Workspace
    people: dict[str, Person]


@pytest.fixture(scope="module")
def house(served: Served) -> Iterator[House]:
    """Made once: each member costs a command and a hash."""
    shop, other = create_workspace(served, "Ann's <shop>"), create_workspace(served, "Charlie's shop")
    people: dict[str, Person] = {role: joined(served, shop.workspace_id, role, role) for role in ROLES}
    people["stranger"] = joined(served, other.workspace_id, "charlie", "owner")
    people["nobody"] = Person(served)
    yield House(shop, other, people)
    for person in people.values():
        person.client.close()
    shop.client.close()
    other.client.close()


def path_of(route: Route, workspace_id: str) -> str:
    path = route.path.replace("{workspace_id}", workspace_id).replace("{token}", "x" * 43)
    return re.sub(r"\{\w+\}", NOWHERE, path)


def allowed(route: Route, who: str) -> str:
    """What the route must say to somebody: 'in', or where or how one is turned away."""
    if route.access == "anybody":
        return "in"
    if route.access == "half":
        return "/login" if who == "nobody" else "/app"
    if who == "nobody":
        return "/login"
    if route.access == "signed_in":
        return "in"
    if who == "stranger":
        return "404"
    return "in" if reaches(who, route.access) else "403"


@pytest.mark.parametrize("who", [*ROLES, "stranger", "nobody"])
def test_every_route_lets_in_whom_it_should_and_nobody_else(house: House, who: str) -> None:
    person, wrong = house.people[who], []
    for route in ROUTES:
        path = path_of(route, house.shop.workspace_id)
        if route.method == "GET":
            response = person.get(path)
        else:
            # Without a form token: whoever is let in is told to send the form again, and nothing happens.
            response = person.client.post(path, data={"a": "b"}, headers={"Origin": house.shop.served.url})
        where = response.headers.get("location", "").partition("?")[0]
        said = where if where.startswith("/login") or (where == "/app" and route.access == "half") else ""
        if not said and response.status_code in (403, 404) and route.access in ROLES:
            said = "in" if "send that again" in response.text else str(response.status_code)
        if (said or "in") != allowed(route, who):
            wrong.append((route.method, route.path, response.status_code, said))
    assert wrong == []


def test_every_route_under_a_workspace_asks_for_a_role() -> None:
    assert [route.path for route in ROUTES if ("{workspace_id}" in route.path) != (route.access in ROLES)] == []


def contents(served: Served) -> str:
    """A digest of all that the records hold, but for the notes of which all processes read."""
    opened = open_installation(served.settings())
    try:

        def read(tx: Any) -> list[object]:
            known = [table for table in tables.find_all(tx) if table.name not in ("changes", "installation")]
            return [(table.name, list(tables.pages(tx, table))) for table in known]

        return hashlib.sha256(repr(opened.records.read(read)).encode()).hexdigest()
    finally:
        opened.close()


def test_nothing_changes_by_get(house: House) -> None:
    served, before = house.shop.served, contents(house.shop.served)
    invited = served.run("member", "create", house.shop.workspace_id, "new@shop.example").stdout.decode()
    lost = served.run("member", "reset", "member@shop.example").stdout.decode()
    (first,), (second,) = re.findall(r"(/login/inv\S+)", invited), re.findall(r"(/login/reset/\S+)", lost)
    made = contents(served)
    assert made != before
    for route in ROUTES:
        for path in {path_of(route, house.shop.workspace_id), first, second}:
            for person in house.people.values():
                person.get(path)
    assert contents(served) == made


def test_a_form_without_its_token_or_from_elsewhere_is_refused(house: House) -> None:
    owner, path = house.people["owner"], f"/app/{house.shop.workspace_id}/settings/general"
    good = {"name": "Mine", "timezone": "UTC", "window": "30", "privacy": "standard"}
    token = owner.form_token(path)
    other = house.people["admin"].form_token(path)
    here = {"Origin": house.shop.served.url}
    for fields, headers in [
        (good, here),
        ({**good, "form_token": other}, here),
        ({**good, "form_token": token}, {}),
        ({**good, "form_token": token}, {"Origin": "null"}),
        ({**good, "form_token": token}, {"Origin": "https://evil.example"}),
        ({**good, "form_token": token}, {"Origin": house.shop.served.url.replace("localhost", "127.0.0.1")}),
    ]:
        assert owner.client.post(path, data=fields, headers=headers).status_code == 403
    sent = owner.client.post(path, json={**good, "form_token": token}, headers=here)
    assert sent.status_code == 415
    assert house.shop.get("/api/v1/workspace").json()["name"] == "Ann's <shop>"
    done = owner.client.post(path, data={**good, "form_token": token, "name": "Ann's <shop>"}, headers=here)
    assert done.status_code == 303


def test_a_page_is_sent_with_what_keeps_it_safe_and_escapes_names(house: House) -> None:
    response = house.people["owner"].get(f"/app/{house.shop.workspace_id}")
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none';")
    assert response.headers["cache-control"] == "private, no-store"
    assert response.headers["x-frame-options"] == "DENY"
    assert "Ann&#39;s &lt;shop&gt;" in response.text
    assert not re.search(r"<shop>|\sstyle=|\son\w+=|<script>", response.text)
    found = re.findall(r"/static/[0-9a-f]+/app\.\w+", response.text)
    files = [house.people["nobody"].get(path) for path in found]
    assert [file.status_code for file in files] == [200, 200]
    assert all("immutable" in file.headers["cache-control"] for file in files)
    assert len(response.content) + sum(int(file.headers["content-length"]) for file in files) < 100_000


def test_a_cookie_is_out_of_reach_for_scripts_and_other_sites(house: House) -> None:
    person = Person(house.shop.served, "viewer@shop.example")
    cookie = person.sign_in().headers["set-cookie"]
    assert re.match(r"nimriz_session=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax; Max-Age=\d+$", cookie)
    assert person.get("/app").headers["location"] == f"/app/{house.shop.workspace_id}"
    assert person.post("/app/sign-out", "/app/account").headers["location"].startswith("/login")
    person.client.cookies.set("nimriz_session", cookie.partition("=")[2].partition(";")[0])
    assert person.get("/app").headers["location"].startswith("/login")


def test_signing_in_leads_to_a_page_of_ours_and_nowhere_else(house: House) -> None:
    path = f"/app/{house.shop.workspace_id}/settings/members"
    assert Person(house.shop.served, "viewer@shop.example").sign_in(next=path).headers["location"] == path
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "/app\r\nX: y", "/api/docs"):
        person = Person(house.shop.served, "viewer@shop.example")
        assert person.sign_in(next=elsewhere).headers["location"] == "/app"


def test_sessions_die_with_the_password(house: House) -> None:
    served = house.shop.served
    here = joined(served, house.shop.workspace_id, "dora", "viewer")
    there = Person(served, here.email)
    there.sign_in()
    assert there.get("/app/account").status_code == 200
    old = here.token()
    new = {"password": "another good one", "again": "another good one"}
    wrong = here.post("/app/account/password", "/app/account", current="x", **new)
    assert wrong.status_code == 422
    done = here.post("/app/account/password", "/app/account", current=PASSWORD, **new)
    assert done.headers["location"].startswith("/app/account")
    assert here.get("/app/account").status_code == 200
    assert here.token() != old
    assert there.get("/app/account").headers["location"].startswith("/login")
    stale = Person(served)
    stale.client.cookies.set("nimriz_session", old)
    assert stale.get("/app/account").headers["location"].startswith("/login")
    assert there.sign_in().status_code == 403
    assert there.sign_in("another good one").status_code == 303


def test_whoever_owes_the_code_is_nobody_yet(house: House) -> None:
    served = house.shop.served
    person = joined(served, house.shop.workspace_id, "emil", "owner")
    shown = re.search(r'name="secret" value="(\w+)"', person.get("/app/account/totp").text)
    assert shown
    secret = second_factor.read_secret(shown[1])
    assert secret is not None
    now_ms = open_clock(served)
    page = person.post(
        "/app/account/totp", secret=shown[1], current=PASSWORD, code=second_factor.code_at(secret, now_ms)
    )
    codes = re.findall(r"<li><code>([\w-]+)</code>", page.text)
    assert len(codes) == second_factor.RECOVERY_CODES

    again = Person(served, person.email)
    assert again.sign_in().headers["location"].startswith("/login/code")
    half = again.token()
    for path in ("/app", "/app/account", f"/app/{house.shop.workspace_id}"):
        assert again.get(path).headers["location"] == "/login/code"
    assert again.post("/login/code", code="000000").status_code == 403
    assert again.post("/login/code", code=codes[0]).headers["location"] == "/app"
    assert again.token() != half
    own = again.get("/app/account").text
    assert "9 of 10 recovery codes" in own
    assert "Turned the second factor on" in own
    # The command line helps who has lost everything.
    told = served.run("member", "reset", person.email).stdout.decode()
    (path,) = re.findall(r"(/login/reset/\S+)", told)
    lost = Person(served, person.email)
    assert lost.post(path, password=PASSWORD + "!", again=PASSWORD + "!").status_code == 303
    assert again.get("/app/account").headers["location"].startswith("/login")
    assert lost.sign_in(PASSWORD + "!").headers["location"] == "/app"
    assert lost.get(path).status_code == 404


def open_clock(served: Served) -> int:
    opened = open_installation(served.settings())
    now_ms = opened.clock.now_ms()
    opened.close()
    return now_ms


def test_guessing_slows_down_for_the_one_account_and_nobody_is_locked_out(house: House) -> None:
    served = house.shop.served
    joined(served, house.shop.workspace_id, "fred", "viewer")
    guesser = Person(served, "fred@shop.example")
    told = [guesser.sign_in(f"guess number {n}") for n in range(12)]
    assert [response.status_code for response in told][:10] == [403] * 10
    assert told[-1].status_code == 429
    assert int(told[-1].headers["retry-after"]) > 0
    # Whoever does not exist is told the same.
    unknown = Person(served, "nobody@shop.example").sign_in()
    assert unknown.status_code == 403
    assert re.findall(r'role="alert">([^<]+)', unknown.text) == re.findall(r'role="alert">([^<]+)', told[0].text)
    assert Person(served, "viewer@shop.example").sign_in().status_code == 303


def test_an_invitation_is_for_one_and_a_role_for_those_who_may_give_it(house: House) -> None:
    root = f"/app/{house.shop.workspace_id}/settings/members"
    admin, owner = house.people["admin"], house.people["owner"]
    assert admin.post(f"{root}/invite", root, note="x", role="owner").status_code == 403
    page = admin.post(f"{root}/invite", root, note="Gina", role="viewer").text
    (path,) = re.findall(r'value="http://[^/"]+(/login/invitation/[^"]+)"', page)
    stranger = house.people["stranger"]
    assert stranger.post(path).headers["location"].startswith(f"/app/{house.shop.workspace_id}")
    assert stranger.get(path).status_code == 404
    assert stranger.get(root).status_code == 200
    (member_id,) = set(re.findall(rf"{root}/([0-9a-f-]{{36}})/remove", stranger.get(root).text))
    assert owner.post(f"{root}/{member_id}/role", root, role="admin").headers["location"].startswith(root)
    assert owner.post(f"{root}/{member_id}/remove", root).headers["location"].startswith(root)
    assert stranger.get(root).status_code == 404
    told = re.sub(r"<[^>]+>|\s+", " ", owner.get(f"/app/{house.shop.workspace_id}/settings/audit").text)
    told = re.sub(r"\s+", " ", told)
    changed = "owner changed the role of charlie viewer → admin"
    assert [one for one in ("owner removed charlie", changed, "admin invited somebody") if one not in told] == []


def test_the_home_page_shows_the_figures_of_the_report(house: House) -> None:
    shop, owner = house.shop, house.people["owner"]
    empty = owner.get(f"/app/{shop.workspace_id}").text
    assert "Your first conversion" in empty
    assert shop.domain_id in empty
    link = shop.link()
    token = shop.click(link["short_code"])
    shop.click(link["short_code"])
    assert shop.post(sale("s-1", "1234.50", click_id=token)).status_code == 201
    page = owner.get(f"/app/{shop.workspace_id}?days=7").text
    report = shop.get("/api/v1/analytics/conversions", by="link").json()
    assert report["totals"]["clicks"] == 2
    assert "<dd>1,234.50</dd>" in page
    assert "<dt>Clicks</dt><dd>2</dd>" in page
    assert "<dt>Attribution rate</dt><dd>50.0 %</dd>" in page
    assert report["rows"][0]["label"] in page
    shop.served.run("workspace", "plan", shop.workspace_id, "starter")
    try:
        assert "not part of this workspace" in owner.get(f"/app/{shop.workspace_id}").text
    finally:
        shop.served.run("workspace", "plan", shop.workspace_id, "enterprise")


def test_short_domains_show_nothing_of_it(house: House) -> None:
    opened = open_installation(house.shop.served.settings())
    opened.records.write(lambda tx: domains.add(tx, house.shop.workspace_id, "go.shop.example", 1, ready=True))
    opened.close()
    for path in ("/login", "/app", "/setup/x", "/static/x/app.css"):
        response = httpx2.get(f"{house.shop.served.url}{path}", headers={"Host": "go.shop.example"})
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
