"""The rules of the house, kept by a test: who may import whom, how long a file may be, what a document may say.

The order of the floors is not here: it is read from docs/ARCHITECTURE.md.
"""

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "nimriz"
LINES_MAX = 400
NAMES_REFUSED = {"base_class", "baseclass", "common", "helper", "helpers", "manager", "managers", "service", "services"}
NAMES_REFUSED |= {"misc", "util", "utils"}

FLOORS = re.compile(r"^```floors\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SENTENCE = re.compile(r"^- \*\*(?P<name>[a-z0-9-]+)\*\*: (?P<sentence>.+?\.)$", re.MULTILINE | re.DOTALL)
HOST = re.compile(r"https?:|git\+|@\s*\S+:/|--(extra-)?index-url|--find-links|--trusted-host|^-[if]\b", re.MULTILINE)
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w|/tmp/\w")
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)")


# --- the checker -----------------------------------------------------------------------------------------------


def floors_of(document: str) -> list[str]:
    """The floors, lowest first: the first word of each line of the block marked `floors`."""
    block = FLOORS.search(document)
    assert block, "docs/ARCHITECTURE.md has no block marked `floors`"
    return [line.split()[0] for line in block[1].splitlines() if line.strip()]


def modules_of(source: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    modules = {}
    for path in sorted((source / PACKAGE).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports_of(name: str, modules: Mapping[str, Path]) -> set[str]:
    """The modules of the package that this one imports, wherever in its text, for types only included."""
    path = modules[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            # `from nimriz.base import money` imports a module; `from nimriz.base.money import parse` a name of one.
            found.update(full if (full := f"{origin}.{alias.name}") in modules else origin for alias in node.names)
    return {target for target in found if target.split(".")[0] == PACKAGE and target != name}


def floor_of(name: str, floors: Iterable[str]) -> str:
    """The floor that a module stands on: its first name under the package, or its first two where those are a floor.

    A package that only holds floors, such as the package itself, stands below all: "".
    """
    first, _, rest = name.partition(".")[2].partition(".")
    room = f"{first}.{rest.partition('.')[0]}"
    if room in floors:
        return room
    return "" if not rest and any(floor.startswith(f"{first}.") for floor in floors) else first


def wrong_imports(source: Path, floors: list[str]) -> Iterator[str]:
    """Everything that breaks the order, a sentence each."""
    modules = modules_of(source)
    height = {"": 0, **{floor: number for number, floor in enumerate(floors, 1)}, "__main__": len(floors) + 1}
    floor_by_name = {name: floor_of(name, floors) for name in modules}
    for floor in sorted(set(floor_by_name.values()) - set(height)):
        yield f"{floor} is not in the list of docs/ARCHITECTURE.md"
    for floor in sorted(set(floors) - set(floor_by_name.values())):
        yield f"{floor} is in the list of docs/ARCHITECTURE.md and not in the source"

    beside: dict[str, set[str]] = {}
    for name in modules:
        for target in sorted(imports_of(name, modules)):
            here, there = floor_by_name[name], floor_of(target, floors)
            if target not in modules:
                yield f"{name} imports {target}, which is not there"
            elif here == there:
                beside.setdefault(name, set()).add(target)
            # The package itself holds the version and anybody may ask for it.
            elif height.get(there, 0) > height.get(here, 0):
                yield f"{name} imports {target}, which stands above it"
    try:
        TopologicalSorter(beside).prepare()
    except CycleError as ring:
        yield f"an import ring: {' <- '.join(ring.args[1])}"


def wrong_files(root: Path, folders: tuple[str, ...] = ("src", "tests", "bench")) -> Iterator[str]:
    """Files too long to read at once, and files whose name says nothing."""
    for path in sorted(path for folder in folders for path in (root / folder).rglob("*.py")):
        lines = path.read_text("utf-8").count("\n")
        if lines > LINES_MAX:
            yield f"{path.relative_to(root)} has {lines} lines; {LINES_MAX} is the most"
        stem = path.stem.lower()
        if stem in NAMES_REFUSED or NAMES_REFUSED & set(stem.split("_")):
            yield f"{path.relative_to(root)} is named after nothing: a file is a noun"


def required(project: str, *groups: str) -> set[str]:
    """The names of what pyproject.toml asks for at run time, and in these groups."""
    table = tomllib.loads(project)
    asked = [*table["project"]["dependencies"]]
    for group in groups:
        asked += table["dependency-groups"][group]
    return {match[1].lower() for line in asked if (match := REQUIREMENT.match(line))}


def pinned(lock: str) -> dict[str, str]:
    """What a lock file pins: name to version, only where a hash follows."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE))


# --- the house -------------------------------------------------------------------------------------------------


def read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def documents() -> list[Path]:
    return [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]


def test_every_module_imports_only_what_stands_below_it() -> None:
    assert list(wrong_imports(ROOT / "src", floors_of(read("docs/ARCHITECTURE.md")))) == []


def test_every_file_is_a_noun_that_can_be_read_at_once() -> None:
    assert list(wrong_files(ROOT)) == []


@pytest.mark.parametrize("name", ["runtime", "dev", "clickhouse"])
def test_a_lock_names_no_host(name: str) -> None:
    assert HOST.findall(read(f"requirements/{name}.txt")) == []


@pytest.mark.parametrize(("name", "groups"), [("runtime", ("build",)), ("dev", ("build", "dev"))])
def test_a_lock_pins_everything_that_is_asked_for_with_its_hashes(name: str, groups: tuple[str, ...]) -> None:
    lock = read(f"requirements/{name}.txt")
    assert required(read("pyproject.toml"), *groups) - set(pinned(lock)) == set()
    assert len(pinned(lock)) == len(re.findall(r"^[a-z]", lock, re.MULTILINE))


def test_the_lock_of_clickhouse_pins_what_it_needs_and_no_other_version_of_anything() -> None:
    lock, dev = (pinned(read(f"requirements/{name}.txt")) for name in ("clickhouse", "dev"))
    asked = required(read("pyproject.toml"), "clickhouse") - required(read("pyproject.toml"))
    assert asked - set(lock) == set()
    assert {name: version for name, version in lock.items() if dev.get(name, version) != version} == {}


def test_both_locks_agree() -> None:
    assert pinned(read("requirements/runtime.txt")).items() <= pinned(read("requirements/dev.txt")).items()


def test_fastapi_is_pinned_exactly_and_to_what_is_locked() -> None:
    asked = [line for line in tomllib.loads(read("pyproject.toml"))["project"]["dependencies"] if "fastapi" in line]
    assert asked == [f"fastapi=={pinned(read('requirements/runtime.txt'))['fastapi']}"]


def test_every_dependency_has_its_sentence_and_every_sentence_its_dependency() -> None:
    sentences = {match["name"] for match in SENTENCE.finditer(read("docs/decisions/dependencies.md"))}
    assert sentences == required(read("pyproject.toml"), "build", "dev", "clickhouse")


def test_no_document_names_a_folder_of_somebodys_machine() -> None:
    assert [path.name for path in documents() if MACHINE_PATH.search(path.read_text("utf-8"))] == []


def test_every_file_that_the_architecture_names_is_there() -> None:
    floors = "|".join({floor.partition(".")[0] for floor in floors_of(read("docs/ARCHITECTURE.md"))})
    named = re.findall(rf"`((?:{floors})/[\w/]*\.(?:py|sql))`", read("docs/ARCHITECTURE.md"))
    assert [path for path in named if not (ROOT / "src" / PACKAGE / path).exists()] == []


def test_no_document_links_to_a_file_that_is_not_there() -> None:
    dead = []
    for path in documents():
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", path.read_text("utf-8")):
            if not (path.parent / target).exists():
                dead.append(f"{path.relative_to(ROOT)}: {target}")
    assert dead == []


# --- the checker can fail --------------------------------------------------------------------------------------


def house(folder: Path, **files: str) -> Path:
    """A small source tree: `base__money` is nimriz/base/money.py."""
    for name, text in {"__init__": "", **files}.items():
        path = folder / PACKAGE / (name if name.startswith("__") else name.replace("__", "/", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".py").write_text(text)
    return folder


def test_a_tree_in_order_has_nothing_wrong(tmp_path: Path) -> None:
    tree = house(
        tmp_path,
        base__money="import json\n",
        base__urls="from nimriz.base import money\nfrom . import money as same\n",
        core="from nimriz import __version__\nfrom nimriz.base.money import parse\n",
    )
    assert list(wrong_imports(tree, ["base", "core"])) == []


@pytest.mark.parametrize(
    "text",
    [
        "from nimriz import core\n",
        "from nimriz.core import links\n",
        "import nimriz.core.links\n",
        "from .. import core\n",
        "from ..core.links import Link\n",
        "def late() -> None:\n    from nimriz.core import links\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nimriz.core.links import Link\n",
    ],
)
def test_an_import_that_points_up_is_found_however_it_is_written(tmp_path: Path, text: str) -> None:
    tree = house(tmp_path, base__money=text, core__links="", core____init__="")
    [wrong] = wrong_imports(tree, ["base", "core"])
    assert wrong.startswith("nimriz.base.money imports nimriz.core")


def test_the_package_itself_may_import_nothing_of_its_own(tmp_path: Path) -> None:
    tree = house(tmp_path, __init__="from nimriz.base import money\n", base__money="")
    assert list(wrong_imports(tree, ["base"])) == ["nimriz imports nimriz.base.money, which stands above it"]


def test_a_ring_inside_a_floor_is_found(tmp_path: Path) -> None:
    tree = house(
        tmp_path,
        core__links="from nimriz.core import domains\n",
        core__domains="from nimriz.core import clicks\n",
        core__clicks="def late() -> None:\n    from nimriz.core.links import Link\n",
    )
    [wrong] = wrong_imports(tree, ["core"])
    assert wrong.startswith("an import ring: ")
    assert {"nimriz.core.links", "nimriz.core.domains", "nimriz.core.clicks"} <= set(re.findall(r"[\w.]+", wrong))


def test_rooms_of_a_floor_have_an_order_of_their_own(tmp_path: Path) -> None:
    tree = house(tmp_path, core____init__="")
    for room, text in {"clicks": "from nimriz.core.links import slugs\n", "links": "import json\n"}.items():
        (tree / PACKAGE / "core" / room).mkdir()
        for name in ("__init__", "slugs"):
            (tree / PACKAGE / "core" / room / f"{name}.py").write_text(text if name == "slugs" else "")
    assert list(wrong_imports(tree, ["core.links", "core.clicks"])) == []
    assert list(wrong_imports(tree, ["core.clicks", "core.links"])) == [
        "nimriz.core.clicks.slugs imports nimriz.core.links.slugs, which stands above it"
    ]


def test_a_floor_missing_from_the_list_or_from_the_source_is_found(tmp_path: Path) -> None:
    assert list(wrong_imports(house(tmp_path, cellar=""), ["attic"])) == [
        "cellar is not in the list of docs/ARCHITECTURE.md",
        "attic is in the list of docs/ARCHITECTURE.md and not in the source",
    ]


def test_an_import_of_what_is_not_there_is_found(tmp_path: Path) -> None:
    tree = house(tmp_path, base__money="import nimriz.base.gold\n")
    assert list(wrong_imports(tree, ["base"])) == ["nimriz.base.money imports nimriz.base.gold, which is not there"]


def test_a_long_file_and_a_name_that_says_nothing_are_found(tmp_path: Path) -> None:
    for name, lines in {"links": 400, "clicks": 401, "link_utils": 1, "manager": 1}.items():
        (tmp_path / f"{name}.py").write_text("\n" * lines)
    assert list(wrong_files(tmp_path, (".",))) == [
        "clicks.py has 401 lines; 400 is the most",
        "link_utils.py is named after nothing: a file is a noun",
        "manager.py is named after nothing: a file is a noun",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "--index-url internal",
        "--extra-index-url internal",
        "-i internal",
        "--find-links wheels",
        "pkg @ https://host/pkg.whl",
        "pkg @ file:///pkg.whl",
    ],
)
def test_a_host_in_a_lock_is_found(line: str) -> None:
    assert HOST.search(f"apsw==1.0 \\\n    --hash=sha256:00\n{line}\n")


def test_a_pin_without_its_hash_is_no_pin() -> None:
    assert pinned("apsw==1.0\nrich==2.0 ; python_version < '4' \\\n    --hash=sha256:" + "0" * 64) == {"rich": "2.0"}


# --- tools/preflight -------------------------------------------------------------------------------------------


def preflight(folder: Path, *arguments: str, python: str, ci: str = "") -> subprocess.CompletedProcess[str]:
    """Runs tools/preflight on a machine whose python3 is this script, in a clone without .venv."""
    with_programs(folder, python)
    machine = {"PATH": f"{folder}:{os.defpath}", "VENV": str(folder / ".venv"), "CI": ci}
    return subprocess.run(
        ["sh", ROOT / "tools/preflight", *arguments], env=machine, capture_output=True, text=True, timeout=180
    )


def with_programs(folder: Path, python: str) -> None:
    """Everything that is asked for stands in this folder."""
    others = ("curl", "openssl", "chromium", "node", "php", "ruby", "go", "java", "mcs")
    for program, text in {"python3": python, **dict.fromkeys(others, "")}.items():
        (folder / program).write_text(f"#!/bin/sh\n{text}\n")
        (folder / program).chmod(0o755)


WITHOUT_VENV = 'case "$1 $2" in "-m venv") echo ensurepip is not available; exit 1 ;; esac'


@pytest.mark.parametrize("verb", ["demo", "test"])
def test_a_machine_without_venv_is_told_so_in_one_sentence(tmp_path: Path, verb: str) -> None:
    told = preflight(tmp_path, verb, python=WITHOUT_VENV)
    assert told.returncode == 1
    assert told.stdout == ""
    assert told.stderr == (
        f"make {verb}: Python's venv module is missing (Debian package python3-venv), so nothing ran.\n"
    )


def test_an_old_python_is_named(tmp_path: Path) -> None:
    told = preflight(tmp_path, "test", python='case "$1" in -V) echo Python 3.9.2 ;; *) exit 1 ;; esac')
    assert told.returncode == 1
    assert told.stderr == "make test: Python 3.11 or newer is missing (python3 is Python 3.9.2), so nothing ran.\n"


def test_a_broken_environment_is_told_apart_from_a_missing_module(tmp_path: Path) -> None:
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(tmp_path / "gone")
    told = preflight(tmp_path, "demo", python="exit 0")
    assert told.returncode == 1
    assert told.stderr == (
        "make demo: a working virtual environment is missing "
        f"({tmp_path}/.venv is broken, make clean removes it), so nothing ran.\n"
    )
    assert preflight(tmp_path, "packages", "demo", python="exit 0").stdout == ""


def test_what_is_missing_can_be_installed_by_its_package(tmp_path: Path) -> None:
    assert preflight(tmp_path, "packages", "test", python=WITHOUT_VENV).stdout == "python3-venv\n"


def test_a_machine_that_has_everything_is_told_nothing(tmp_path: Path) -> None:
    told = preflight(tmp_path, "test", python="exit 0", ci="true")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_a_part_that_does_not_run_stops_ci_alone(tmp_path: Path) -> None:
    script = tmp_path / "preflight"
    script.write_text(read("tools/preflight").replace("command -v chromium", "command -v no-such-browser"))
    with_programs(tmp_path, "exit 0")
    for ci, status in {"": 0, "true": 1}.items():
        machine = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHON": "true",
            "VENV": str(tmp_path / ".venv"),
            "CI": ci,
        }
        told = subprocess.run(["sh", script, "test"], env=machine, capture_output=True, text=True, timeout=180)
        assert told.returncode == status
        assert told.stderr == (
            "make test: Chromium is missing (Debian package chromium), so the tests in a browser did not run.\n"
        )
