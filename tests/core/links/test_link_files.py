"""Files of links: whose they are is told by the header, and what we write we read back as it was."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimriz.core.links import link_files
from nimriz.core.links.link_dialects import COLUMNS
from nimriz.core.links.link_files import FileRefused, FileRow
from nimriz.core.links.links import Link

URL = "https://shop.example/landing"
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "'=1", "''=1", "＝1"]


def read(text: str, dialect_name: str = "auto") -> tuple[str, list[FileRow]]:
    dialect, rows = link_files.read(io.StringIO(text, newline=""), dialect_name)
    return dialect.name, list(rows)


def row(text: str, dialect_name: str = "auto") -> FileRow:
    (found,) = read(text, dialect_name)[1]
    return found


def refusal(text: str, dialect_name: str = "auto") -> str:
    with pytest.raises(FileRefused) as refused:
        read(text, dialect_name)
    return str(refused.value)


def link(**fields: Any) -> Link:
    bare = Link("", "w", "d", "spring", URL, "", "[]", "active", None, 302, 0, None, "auto", 0, 0, 0)
    return bare._replace(**fields)


def file_of(*links: Link) -> str:
    return "".join(link_files.written([COLUMNS, *(link_files.cells_of(one, "go.example") for one in links)]))


@pytest.mark.parametrize(
    ("text", "dialect_name", "said"),
    [
        (
            "Link,Custom Link,Date created,Title,Destination URL,Engagements,Status\n"
            f"https://bit.ly/3xYz,https://go.shop/spring,2024-01-02,Spring,{URL},7,Hidden\n",
            "bitly",
            {"long_url": URL, "title": "Spring", "archived": True},
        ),
        (
            f'long_url,custom_bitlink,title,archived,tags,created_at\n{URL},bit.ly/spring,Spring,false,"a, b",x\n',
            "bitly",
            {"long_url": URL, "title": "Spring", "archived": False, "tags": ["a", "b"]},
        ),
        (
            "Long URL,Backhalf,Tags,Title,UTM Source,UTM Medium,UTM Campaign,UTM Term,UTM Content\n"
            f"{URL},spring,mail,Spring,news,,s26,,\n",
            "bitly",
            {"long_url": URL, "title": "Spring", "tags": ["mail"], "utm": {"source": "news", "campaign": "s26"}},
        ),
        (
            "Short link,Destination URL,Clicks,Created at,Updated at,Tags,Archived\n"
            f'https://dub.sh/spring,{URL},3,2024-01-02,2024-01-02,"a, b",true\n',
            "dub",
            {"long_url": URL, "tags": ["a", "b"], "archived": True},
        ),
        (
            "id,domain,key,url,archived,expiresAt,password,title,utm_source,comments,shortLink\n"
            f"1,dub.sh,spring,{URL},false,2030-01-01T00:00:00.000Z,null,Spring,null,For us,https://dub.sh/spring\n",
            "dub",
            {
                "long_url": URL,
                "archived": False,
                "expires_at": "2030-01-01T00:00:00.000Z",
                "title": "Spring",
                "notes": "For us",
            },
        ),
        (
            f"id,address,description,banned,password,expire_in,target\n1,spring,Ours,f,,\\N,{URL}\n",
            "kutt",
            {"long_url": URL, "notes": "Ours"},
        ),
        (
            f"address,target,password\nspring,{URL},$2a$12$hash\n",
            "kutt",
            {"long_url": URL, "status": "disabled"},
        ),
        (
            f"keyword,url,title,timestamp,ip,clicks\nspring,{URL},Spring,2020-01-01 00:00:00,192.0.2.1,4\n",
            "yourls",
            {"long_url": URL, "title": "Spring"},
        ),
        (f"source,target,hits\r\n/spring/,{URL},4\r\n", "yourls", {"long_url": URL}),
        (f"short_code,long_url\nspring,{URL}\n", "nimriz", {"long_url": URL}),
    ],
)
def test_the_header_says_whose_file_it_is_and_each_row_says_what_of_a_link(
    text: str, dialect_name: str, said: dict[str, Any]
) -> None:
    found, (only,) = read(text)
    assert (found, only.slug, only.said, only.errors) == (dialect_name, "spring", said, ())
    assert row(text, dialect_name).said == said


@pytest.mark.parametrize(
    "text", ["Keyword ; URL\nspring;{}\n", "\ufeffKEYWORD\turl\nspring\t{}\n", '"keyword","url"\n"spring","{}"']
)
def test_header_names_are_trimmed_and_caseless_and_semicolons_tabs_and_a_byte_order_mark_are_fine(text: str) -> None:
    only = row(text.format(URL))
    assert (only.slug, only.said["long_url"]) == ("spring", URL)


def test_an_unknown_header_is_refused_and_a_named_format_needs_its_columns() -> None:
    assert "none of the formats bitly, dub, kutt, nimriz, yourls" in refusal("a,b\n1,2\n")
    assert "none of the formats" in refusal("")
    assert "lacks the columns of a bitly file" in refusal(f"keyword,url\nspring,{URL}\n", "bitly")
    assert row(f"url,key,x\n{URL},spring,\n", "dub").slug == "spring"


def test_a_row_knows_its_line_even_after_newlines_inside_quotes_and_blank_lines() -> None:
    found = read(f'keyword,url,title\r\na,{URL},"one\r\ntwo ""quoted"", three"\r\n\r\nb,{URL},\r\n')[1]
    assert [(one.line, one.slug, one.said.get("title")) for one in found] == [
        (2, "a", 'one\r\ntwo "quoted", three'),
        (5, "b", None),
    ]


def test_what_is_no_csv_is_refused_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(f'keyword,url\na,{URL}\nb,"{URL}\n').startswith("line 3 is not CSV")
    assert refusal(f"keyword,url\na,{'x' * (link_files.FIELD_CHARS_MAX + 1)}\n").startswith("line 2 is not CSV")
    monkeypatch.setattr(link_files, "ROWS_MAX", 2)
    assert len(read("keyword,url\n" + f"a,{URL}\n" * 2)[1]) == 2
    assert "at most 2 rows" in refusal("keyword,url\n" + f"a,{URL}\n" * 3)


def test_a_row_with_more_cells_than_the_header_is_an_error_and_one_with_fewer_is_not() -> None:
    assert [error.code for error in row(f"keyword,url\na,{URL},x\n").errors] == ["field_unknown"]
    assert row(f"keyword,url,title\na,{URL}\n").errors == ()


def test_in_our_own_files_a_cell_that_cannot_be_read_is_an_error() -> None:
    only = row(f"short_code,long_url,archived,clicks_max\na,{URL},perhaps,-1\n")
    assert [(error.field, error.code) for error in only.errors] == [
        ("archived", "field_type"),
        ("clicks_max", "field_type"),
    ]


@pytest.mark.parametrize("cell", FORMULAS)
def test_no_cell_that_we_write_is_a_formula(cell: str) -> None:
    text = file_of(link(title=cell, notes=cell, slug="-a"))
    cells = list(csv.reader(io.StringIO(text, newline="")))[1]
    assert [cells[COLUMNS.index(name)] for name in ("short_code", "title", "notes")] == ["'-a", "'" + cell, "'" + cell]


def test_a_password_is_not_written_but_that_there_is_one_and_such_a_link_comes_back_disabled() -> None:
    text = file_of(link(password_hash="$argon2id$secret"))
    assert "argon2" not in text
    assert row(text).said["status"] == "disabled"


@given(cell=st.text() | st.text("'=+-@\t\r\nx", max_size=6))
def test_a_disarmed_cell_is_armed_again_as_it_was(cell: str) -> None:
    assert link_files.armed(link_files.disarmed(cell)) == cell


_words = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from([*FORMULAS, 'a "b", c', "\r\n", "null"])


@given(
    title=_words,
    notes=_words,
    tags=st.lists(_words.filter(bool), max_size=3, unique=True),
    path=_words,
    utm=st.dictionaries(st.sampled_from(["source", "term"]), _words.filter(bool)),
)
def test_what_is_written_is_read_back_as_it_was(
    title: str, notes: str, tags: list[str], path: str, utm: dict[str, str]
) -> None:
    one = link(title=title, notes=notes, tags=json.dumps(tags), utm=json.dumps(utm), long_url=URL + path)
    found = row(file_of(one))
    assert (found.slug, found.errors) == ("spring", ())
    assert found.said["long_url"] == URL + path
    assert [found.said.get("title", ""), found.said.get("notes", "")] == [title, notes]
    assert [found.said.get("tags", []), found.said.get("utm", {})] == [tags, utm]


@given(text=st.text(st.characters(codec="utf-8")) | st.text('a,;\t"\r\n='))
def test_whatever_a_file_holds_it_is_read_or_refused_as_a_file(text: str) -> None:
    for header in ("", "keyword,url\n", "short_code;long_url;tags;clicks_max\n", "Link\tDestination URL\n"):
        with contextlib.suppress(FileRefused):
            read(header + text)


@pytest.mark.parametrize(
    "header",
    [
        "custom_bitlinks", "Custom Bitlinks", "custom-bitlink", "Custom Link", "Custom Links", "Custom back-half",
        "custom_backhalf", "Custom Short Link", "Back-half",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "cell", ["https://go.shop/spring", "go.shop/spring", '"[""https://go.shop/spring""]"', "['go.shop/spring']"]
)
def test_a_custom_back_half_is_found_however_its_column_is_spelled(header: str, cell: str) -> None:
    name, (only,) = read(f"link,long_url,{header}\nhttps://bit.ly/3xYz,{URL},{cell}\n")
    assert (name, only.slug, only.errors) == ("bitly", "spring", ())


@pytest.mark.parametrize("cell", ["", "[]", "null"])
def test_a_link_without_a_custom_back_half_keeps_its_own(cell: str) -> None:
    assert row(f"link,long_url,custom_bitlinks\nhttps://bit.ly/3xYz,{URL},{cell}\n").slug == "3xYz"


@pytest.mark.parametrize(
    "text",
    [
        f"link,long_url,custom_bitlinks\nbit.ly/3xYz,{URL},\"['go.shop/spring', 'go.shop/summer']\"\n",
        f"link,long_url,custom_bitlinks\nbit.ly/3xYz,{URL},go.shop/spring go.shop/summer\n",
        f"backhalf,long_url,custom_bitlinks\nspring,{URL},go.shop/summer\n",
    ],
)
def test_a_row_with_several_custom_back_halves_is_an_error_since_a_link_has_one(text: str) -> None:
    assert [(error.field, error.code) for error in row(text).errors] == [("custom_bitlink", "field_type")]


def test_the_same_back_half_said_twice_is_one() -> None:
    assert row(f"backhalf,long_url,custom_bitlinks\nspring,{URL},go.shop/spring\n").slug == "spring"


def test_a_column_of_bitly_that_could_hold_a_back_half_and_is_not_known_stops_the_file() -> None:
    assert "column 3" in refusal(f"link,long_url,Custom alias\nbit.ly/3xYz,{URL},spring\n")


@pytest.mark.parametrize(
    ("header", "dialect_name"),
    [
        ("Short Link,Destination URL,Custom Link", "bitly"),
        ("Short Link,Destination URL,Date created,Engagements", "bitly"),
        ("Short link,Destination URL,Clicks,Created at", "dub"),
        ("Short link,Destination URL,Updated at", "dub"),
    ],
)
def test_headers_that_two_services_share_are_told_apart_by_the_others(header: str, dialect_name: str) -> None:
    assert link_files.read([header])[0].name == dialect_name


@pytest.mark.parametrize(
    "header",
    ["Short Link,Destination URL", "Short link,Destination URL,Title,Tags", "short_link;destination_url",
     "Short link,Destination URL,Created at,Custom Link", "short_code,long_url,link"],
)  # fmt: skip
def test_a_header_that_could_be_of_several_services_is_refused_and_a_named_one_is_not(header: str) -> None:
    told = refusal(header)
    assert "could be of" in told
    assert "--from" in told
    assert link_files.read([header], "bitly")[0].name == "bitly"
