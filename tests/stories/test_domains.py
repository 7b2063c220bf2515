"""Domains of a workspace's own: claimed, proved in the DNS, used, lost and given back."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from nimriz.web.lookups import LOOKUPS_MAX
from tests.nameserver import NameServer, name_server
from tests.patience import PATIENCE_S, until
from tests.world import HUMAN, Body, Served, Workspace, create_workspace, serving

HERE = "192.0.2.1"
NOT_READY = "This domain is not ready yet"
UNKNOWN = "00000000-0000-7000-8000-000000000000"
_numbers = itertools.count()


@pytest.fixture(scope="module")
def dns() -> Iterator[NameServer]:
    """The name server that the installation asks."""
    with name_server() as running:
        yield running


@pytest.fixture(scope="module")
def served(dns: NameServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An installation where names must lead to one address, and one name needs no proof."""
    data_dir = tmp_path_factory.mktemp("domains") / "data"
    with serving(
        data_dir, dns_servers=dns.address, domain_addresses=HERE, ready_domains="Vouched.example, other.example"
    ) as running:
        yield running


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"go{next(_numbers)}.brand.example"


def add(world: Workspace, name: str) -> Body:
    """Claim a domain."""
    response = world.call("POST", "/api/v1/domains", {"domain_name": name})
    assert response.status_code == 201, response.text
    body: Body = response.json()
    return body


def verify(world: Workspace, domain: Body) -> tuple[bool, str, bool, str]:
    """Look a domain up: verified, what was found, whether it is ready, its state."""
    response = world.call("POST", "/api/domains/verify", {"domain_id": domain["id"]})
    assert response.status_code == 200, response.text
    told = response.json()
    assert (told["domain_id"], told["domain_name"]) == (domain["id"], domain["domain_name"])
    return told["verified"], told["verification_status"], told["ready_for_traffic"], told["domain_status"]


def prove(world: Workspace, dns: NameServer, name: str) -> Body:
    """A domain that is ready."""
    domain = add(world, name)
    dns.challenge(name, domain["verification"]["record_value"])
    dns.put(name, "A", HERE)
    assert verify(world, domain) == (True, "verified", True, "ready")
    return domain


def follow(world: Workspace, host: str, slug: str = "") -> httpx2.Response:
    """Visit a short link under a host."""
    return world.client.get(f"/{slug}", headers={"Host": host, "User-Agent": HUMAN})


def change(world: Workspace, domain: Body, **fields: object) -> httpx2.Response:
    """Change a domain."""
    return world.call("PATCH", f"/api/v1/domains/{domain['id']}", fields)


def test_a_domain_is_claimed_proved_used_and_given_back(world: Workspace, dns: NameServer, name: str) -> None:
    assert follow(world, name).status_code == 421
    domain = add(world, name.upper())
    assert domain["domain"].items() <= domain.items()
    assert (domain["domain_name"], domain["status"], domain["ready_for_traffic"]) == (name, "pending", False)
    record = domain["verification"]
    assert (record["record_type"], record["record_name"]) == ("TXT", f"_nimriz.{name}")
    link = world.link(domain_id=domain["id"], custom_slug="spring")
    assert link["short_url"] == f"https://{name}/spring"

    assert verify(world, domain) == (False, "record_missing", False, "pending")
    dns.put(name, "A", HERE)
    dns.challenge(name, "something=else")
    assert verify(world, domain) == (False, "record_mismatch", False, "pending")
    assert NOT_READY in follow(world, name, "spring").text
    dns.put(name, "A")
    dns.challenge(name, "something=else", record["record_value"])
    assert verify(world, domain) == (True, "verified", False, "verified")
    assert NOT_READY in follow(world, name, "spring").text
    dns.put(name, "CNAME", "edge.example.net.")
    dns.put("edge.example.net", "A", HERE)
    assert verify(world, domain) == (True, "verified", True, "ready")

    response = follow(world, name, "spring")
    assert response.status_code == 302
    assert response.headers["location"].startswith("https://shop.example/landing?nim_ct=")
    assert follow(world, f"www.{name}", "spring").status_code == 421
    assert world.call("DELETE", f"/api/v1/domains/{domain['id']}", {}).json()["code"] == "domain_in_use"
    assert world.call("POST", "/api/delete-link", {"url_id": link["id"]}).status_code == 200
    assert world.call("DELETE", f"/api/v1/domains/{domain['id']}", {}).json() == {"deleted": True}
    assert world.get(f"/api/v1/domains/{domain['id']}").json()["code"] == "domain_not_found"
    until(lambda: follow(world, name, "spring").status_code == 421)
    assert world.get("/api/v1/links").json()["links"] == []


def test_one_slug_may_stand_on_several_domains(world: Workspace, dns: NameServer, name: str) -> None:
    first, second = prove(world, dns, name), prove(world, dns, f"www.{name}")
    for domain, where in ((first, "one"), (second, "two")):
        world.link(f"https://{where}.example/", domain_id=domain["id"], custom_slug="same", conversion_tracking=False)
    assert follow(world, name, "same").headers["location"] == "https://one.example/"
    assert follow(world, f"www.{name}:8443", "same").headers["location"] == "https://two.example/"
    assert follow(world, "localhost", "same").status_code == 404
    assert follow(world, name, "api/v1/whoami").status_code == 404
    found = world.get("/api/v1/links/find", short_url=f"https://www.{name}/same").json()["link"]
    assert found["long_url"] == "https://two.example/"


def test_a_workspace_sees_its_own_domains_and_the_shared_one(
    world: Workspace, stranger: Workspace, dns: NameServer
) -> None:
    name = "bücher.example"
    domain = prove(world, dns, "xn--bcher-kva.example")
    assert add(stranger, name)["domain_name"] == "xn--bcher-kva.example"
    shared, own = world.get("/api/v1/domains").json()["domains"]
    assert (shared["domain_name"], shared["shared"], shared["verification"]) == ("localhost", True, None)
    assert (own["id"], own["shared"], own["domain_name_unicode"]) == (domain["id"], False, name)
    assert own["verification"]["status"] == "verified"
    assert world.get(f"/api/v1/domains/{own['id']}").json()["domain"] == own
    for wrong in (own["id"], UNKNOWN, "x"):
        body = {"domain_id": wrong, "long_url": "https://shop.example/"}
        assert stranger.call("POST", "/api/shorten", body).json()["code"] == "domain_not_found"
        assert stranger.get(f"/api/v1/domains/{wrong}").json()["code"] == "domain_not_found"
        assert stranger.call("POST", "/api/domains/verify", {"domain_id": wrong}).json()["code"] == "domain_not_found"
        for method in ("PATCH", "DELETE"):
            assert stranger.call(method, f"/api/v1/domains/{wrong}", {}).status_code == 404


def test_the_shared_domain_is_nobodys_to_change(world: Workspace) -> None:
    shared = world.get("/api/v1/domains").json()["domains"][0]
    assert verify(world, shared) == (True, "verified", True, "ready")
    for response in (change(world, shared, enabled=False), world.call("DELETE", f"/api/v1/domains/{shared['id']}", {})):
        assert (response.status_code, response.json()["code"]) == (404, "domain_not_found")
    assert world.call("POST", "/api/v1/domains", {"domain_name": "localhost"}).json()["code"] == "domain_taken"


def test_a_name_that_the_operator_vouches_for_is_ready_at_once(
    world: Workspace, stranger: Workspace, dns: NameServer
) -> None:
    domain = add(world, "vouched.example")
    assert (domain["status"], domain["ready_for_traffic"]) == ("ready", True)
    world.link("https://shop.example/", domain_id=domain["id"], custom_slug="a", conversion_tracking=False)
    assert follow(world, "vouched.example", "a").headers["location"] == "https://shop.example/"
    assert verify(world, domain) == (True, "verified", True, "ready")
    refused = stranger.call("POST", "/api/v1/domains", {"domain_name": "vouched.example"})
    assert (refused.status_code, refused.json()["code"]) == (409, "domain_taken")
    assert not [asked for asked, _ in dns.asked if "vouched" in asked]


def test_trouble_in_the_dns_changes_nothing(world: Workspace, dns: NameServer, name: str) -> None:
    domain = prove(world, dns, name)
    dns.trouble[f"_nimriz.{name}"] = "servfail"
    assert verify(world, domain) == (True, "dns_unavailable", True, "ready")
    dns.trouble[f"_nimriz.{name}"] = "silent"
    assert verify(world, domain) == (True, "dns_unavailable", True, "ready")


def test_a_lapsed_name_passes_to_who_bought_it(
    world: Workspace, stranger: Workspace, dns: NameServer, name: str
) -> None:
    old = prove(world, dns, name)
    new = add(stranger, name)
    for workspace, domain in ((world, old), (stranger, new)):
        workspace.link(f"https://{workspace.workspace_id}.example/", domain_id=domain["id"], custom_slug="x",
                       conversion_tracking=False)  # fmt: skip
    dns.challenge(name, old["verification"]["record_value"], new["verification"]["record_value"])
    assert verify(stranger, new) == (False, "claimed_elsewhere", False, "pending")
    assert world.workspace_id in follow(world, name, "x").headers["location"]
    dns.challenge(name, new["verification"]["record_value"])
    assert verify(stranger, new) == (True, "verified", True, "ready")
    assert stranger.workspace_id in follow(world, name, "x").headers["location"]
    assert verify(world, old) == (False, "record_mismatch", False, "pending")


def test_a_domain_is_switched_off_and_on(world: Workspace, dns: NameServer, name: str) -> None:
    pending = add(world, name)
    refused = change(world, pending, enabled=False)
    assert (refused.status_code, refused.json()["code"]) == (409, "domain_pending")
    dns.challenge(name, pending["verification"]["record_value"])
    dns.put(name, "A", HERE)
    assert verify(world, pending)[3] == "ready"
    world.link(domain_id=pending["id"], custom_slug="x")
    assert change(world, pending, enabled=False).json()["domain"]["status"] == "disabled"
    until(lambda: follow(world, name, "x").status_code == 404)
    assert NOT_READY in follow(world, name, "x").text
    assert verify(world, pending) == (True, "verified", False, "disabled")
    assert change(world, pending, enabled=True).json()["status"] == "ready"
    until(lambda: follow(world, name, "x").status_code == 302)


def test_visitors_who_find_nothing_are_sent_to_the_domains_own_pages(
    world: Workspace, dns: NameServer, name: str
) -> None:
    domain = prove(world, dns, name)
    urls = {f"{page}_url": f"https://shop.example/{page}?a=%7e#x" for page in ("root", "not_found", "expired")}
    told = change(world, domain, **urls).json()["domain"]
    assert urls.items() <= told.items()
    link = world.link(domain_id=domain["id"], custom_slug="old", expires_at="2020-01-01T00:00:00Z")
    for slug, url in (("", "root_url"), ("nothing", "not_found_url"), (link["short_code"], "expired_url")):
        response = follow(world, name, slug)
        assert (response.status_code, response.headers["location"]) == (302, urls[url])
    assert change(world, domain, root_url=None).json()["root_url"] is None
    until(lambda: follow(world, name).status_code == 404)
    assert follow(world, name, "nothing").status_code == 302


@pytest.mark.parametrize("field", ["root_url", "not_found_url", "expired_url"])
def test_a_fallback_is_judged_like_a_destination(world: Workspace, dns: NameServer, name: str, field: str) -> None:
    domain, claim = prove(world, dns, name), add(world, f"claim-{name}")
    for url, code in (
        ("javascript:alert(1)", "destination_invalid"), ("", "destination_invalid"),
        ("https://user@shop.example/", "destination_invalid"), ("http://10.0.0.1/", "destination_blocked"),
        ("http://localhost/", "destination_blocked"), (f"https://{name}/x", "destination_blocked"),
        (f"https://{claim['domain_name']}/", "destination_blocked"),
        (f"https://{claim['domain_name']}./", "destination_blocked"),
    ):  # fmt: skip
        for which in (domain, claim):
            refused = change(world, which, **{field: url})
            assert (refused.status_code, refused.json()["code"]) == (422, code), url
    assert change(world, domain, **{field: f"https://www.{name}/"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/domains", {}), ("POST", "/api/v1/domains", {"domain_name": 1}),
        ("POST", "/api/v1/domains", {"domain_name": "https://a.example"}),
        ("POST", "/api/v1/domains", {"domain_name": "a.example", "status": "ready"}),
        ("POST", "/api/domains/verify", {"domain_id": None}), ("PATCH", f"/api/v1/domains/{UNKNOWN}", {"status": "x"}),
        ("PATCH", f"/api/v1/domains/{UNKNOWN}", {"enabled": "yes"}),
    ],
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_refused(world: Workspace, method: str, path: str, body: Body) -> None:
    refused = world.call(method, path, body)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")


def test_reading_domains_takes_one_scope_and_changing_them_another(world: Workspace) -> None:
    made = world.served.run("key", "create", world.workspace_id, "--name", "x", "--scope", "links:read", "--json")
    world.api_key = httpx2.Response(200, content=made.stdout).json()["api_key"]
    assert world.get("/api/v1/domains").status_code == 200
    for method, path, body in (
        ("POST", "/api/v1/domains", {"domain_name": "a.example"}), ("DELETE", f"/api/v1/domains/{UNKNOWN}", {}),
        ("POST", "/api/domains/verify", {"domain_id": UNKNOWN}), ("PATCH", f"/api/v1/domains/{UNKNOWN}", {}),
    ):  # fmt: skip
        refused = world.call(method, path, body)
        assert (refused.json()["code"], refused.json()["scope"]) == ("scope_missing", "admin")


def test_only_so_many_look_ups_run_at_once(world: Workspace, dns: NameServer, name: str) -> None:
    domain = add(world, name)
    dns.trouble[f"_nimriz.{name}"] = "silent"
    body, headers = {"domain_id": domain["id"]}, {"Authorization": f"Bearer {world.api_key}"}
    answers: list[httpx2.Response] = []

    def ask() -> None:
        answers.append(
            httpx2.post(f"{world.served.url}/api/domains/verify", json=body, headers=headers, timeout=PATIENCE_S)
        )

    threads = [threading.Thread(target=ask) for _ in range(LOOKUPS_MAX + 1)]
    for thread in threads:
        thread.start()
    until(lambda: bool(answers))
    refused = answers[0]
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) >= 1
    # Nobody else waits for a slow name server.
    assert world.get("/api/v1/domains").status_code == 200
    assert len(answers) == 1
    for thread in threads:
        thread.join()
    assert sorted(response.status_code for response in answers) == [200] * LOOKUPS_MAX + [429]
    assert world.served.metric("domain_lookups_refused_total") >= 1
    assert verify(world, domain)[1] == "dns_unavailable"


def test_domains_become_ready_and_lapse_by_themselves(dns: NameServer, data_dir: Path, name: str) -> None:
    settings = {"dns_servers": dns.address, "domain_recheck_s": "1"}
    with serving(data_dir, **settings) as served:
        world = create_workspace(served)
        domain = add(world, name)
        link = world.link(domain_id=domain["id"])

        def status() -> str:
            return str(world.get(f"/api/v1/domains/{domain['id']}").json()["status"])

        dns.challenge(name, domain["verification"]["record_value"])
        until(lambda: status() == "ready")
        assert follow(world, name, link["short_code"]).status_code == 302
        dns.challenge(name)
        until(lambda: world.get(f"/api/v1/domains/{domain['id']}").json()["verification"]["status"] != "verified")
        assert status() == "ready"
        world.client.close()
        served.stop()
    with serving(data_dir, **settings, clock_offset_s=str(73 * 3_600)) as served:
        world.client = httpx2.Client(base_url=served.url, timeout=PATIENCE_S)
        until(lambda: status() == "pending")
        until(lambda: follow(world, name, link["short_code"]).status_code == 404)
        assert NOT_READY in follow(world, name, link["short_code"]).text
        dns.challenge(name, domain["verification"]["record_value"])
        until(lambda: status() == "ready")
        world.client.close()


def test_a_blocked_host_is_no_fallback_any_more_within_a_second(world: Workspace, dns: NameServer, name: str) -> None:
    domain = prove(world, dns, name)
    urls = {f"{page}_url": f"https://{page}.bad-{name}/" for page in ("root", "not_found", "expired")}
    assert change(world, domain, **urls).status_code == 200
    world.link(domain_id=domain["id"], custom_slug="old", expires_at="2020-01-01T00:00:00Z")
    visits = {"": 404, "nothing": 404, "old": 410}
    until(lambda: {follow(world, name, slug).status_code for slug in visits} == {302})
    assert world.call("POST", "/api/v1/blocked-hosts", {"host": f"bad-{name}"}).status_code == 201
    until(lambda: {slug: follow(world, name, slug).status_code for slug in visits} == visits)
    assert world.call("DELETE", f"/api/v1/blocked-hosts/bad-{name}", {}).status_code == 200
    until(lambda: {follow(world, name, slug).status_code for slug in visits} == {302})


def test_a_link_leads_to_no_domain_that_its_workspace_has_claimed(
    world: Workspace, stranger: Workspace, name: str
) -> None:
    add(world, name)
    body = {"domain_id": world.domain_id, "long_url": f"https://{name}/x"}
    refused = world.call("POST", "/api/shorten", body)
    assert (refused.status_code, refused.json()["code"]) == (422, "destination_blocked")
    link = world.link()
    moved = world.call("PATCH", f"/api/v1/links/{link['id']}", {"long_url": f"https://{name}/x"})
    assert moved.json()["code"] == "destination_blocked"
    assert stranger.call("POST", "/api/shorten", {**body, "domain_id": stranger.domain_id}).status_code == 201


def test_a_domain_deleted_and_added_again_keeps_its_slugs_resting_and_has_to_be_proved_anew(
    world: Workspace, stranger: Workspace, dns: NameServer, name: str
) -> None:
    domain = prove(world, dns, name)
    link = world.link(domain_id=domain["id"], custom_slug="spring")
    assert world.call("POST", "/api/delete-link", {"url_id": link["id"]}).status_code == 200
    assert world.call("DELETE", f"/api/v1/domains/{domain['id']}", {}).json() == {"deleted": True}
    assert domain["id"] not in {shown["id"] for shown in world.get("/api/v1/domains").json()["domains"]}
    assert verify(stranger, other := add(stranger, name)) == (False, "record_mismatch", False, "pending")
    assert other["id"] != domain["id"]
    again = add(world, name)
    assert (again["id"], again["status"]) == (domain["id"], "pending")
    assert again["verification"]["record_value"] != domain["verification"]["record_value"]
    assert verify(world, again)[1] == "record_mismatch"
    body = {"domain_id": again["id"], "long_url": "https://shop.example/", "custom_slug": "spring"}
    assert world.call("POST", "/api/shorten", body).json()["code"] == "slug_tombstoned"
    assert stranger.call("POST", "/api/shorten", {**body, "domain_id": other["id"]}).status_code == 201
