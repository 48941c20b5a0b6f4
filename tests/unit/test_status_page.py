"""The status page as text: nothing in it is taken for markup, nothing is fetched, nothing unknown looks well."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from ops.status.document import Document
from ops.status.page import certificates, page
from tests.status_samples import NOW, hostile, troubled, well

VOID = {"meta", "link"}


class Markup(HTMLParser):
    """The elements of a page with their attributes, its text, and whether each one is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("document", [well(), troubled(), hostile()], ids=["well", "troubled", "hostile"])
def test_a_page_is_well_formed_and_names_nothing_twice(document: Document) -> None:
    markup = Markup(page(document))
    ids = [attributes["id"] for _, attributes in markup.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {name for _, attributes in markup.elements for name in attributes.get("aria-labelledby", "").split()}
    assert named <= set(ids)


def test_what_comes_from_elsewhere_is_text_and_never_markup() -> None:
    markup = Markup(page(hostile()))
    assert len(markup.all("script")) == 1
    assert markup.all("img") == []
    assert not any(name.startswith("on") for _, attributes in markup.elements for name in attributes)
    assert all("onmouseover" not in attributes for attributes in markup.all("a"))
    assert "<script>alert(1)</script>" in markup.text


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//elsewhere/x"])
def test_only_an_address_of_the_web_becomes_a_link(address: str) -> None:
    document = troubled()
    assert document.alerts is not None
    assert document.alerts.value is not None
    firing = [one.model_copy(update={"runbook": address}) for one in document.alerts.value.firing]
    alerts = document.alerts.model_copy(update={"value": document.alerts.value.model_copy(update={"firing": firing})})
    markup = Markup(page(document.model_copy(update={"alerts": alerts})))
    assert markup.all("a") == []
    assert address in markup.text


def test_a_page_names_nothing_to_fetch_and_forbids_the_browser_to_fetch_anything() -> None:
    text = page(troubled())
    markup = Markup(text)
    assert all(not attributes.get(name) for _, attributes in markup.elements for name in ("src", "srcset", "action"))
    assert {link["href"] for link in markup.all("link")} == {"data:,"}
    assert "url(" not in text
    assert "@import" not in text
    policy = next(one["content"] for one in markup.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    for tag in ("style", "script"):
        match = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert match is not None
        digest = base64.b64encode(hashlib.sha256(match[1].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_what_is_unknown_says_so_and_why() -> None:
    text = Markup(page(troubled())).text
    assert "Unknown. ts1 and ts2 do not answer on port 8008: timed out after 5 s" in text
    assert "unknown: s3://pend-backup" in text


def test_stale_parts_are_marked_and_fresh_ones_are_not() -> None:
    assert "Stale: read 25 min before the rest" in Markup(page(troubled())).text
    assert "Stale" not in Markup(page(well())).text


def test_a_verdict_is_in_words_and_not_in_colour_alone() -> None:
    assert "All is well" in Markup(page(well())).text
    assert "8 things are wrong, 3 could not be found out" in Markup(page(troubled())).text
    badges = [one for tag, one in Markup(page(troubled())).elements if "badge" in one.get("class", "").split()]
    assert badges
    assert {one["aria-label"] for one in badges} == {"well", "wrong", "unknown", "warning"}


def test_the_browser_is_told_when_the_page_was_made_and_how_long_it_is_good_for() -> None:
    markup = Markup(page(well(), refresh=30, good_for=90))
    (body,) = markup.all("body")
    assert (body["data-taken"], body["data-good-for"]) == (NOW.isoformat(), "90")
    assert {"http-equiv": "refresh", "content": "30"} in markup.all("meta")
    assert not any(one.get("http-equiv") == "refresh" for one in Markup(page(well())).all("meta"))


def test_every_table_has_a_caption_and_every_head_a_scope() -> None:
    markup = Markup(page(troubled()))
    assert len(markup.all("table")) == len(markup.all("caption"))
    assert all("scope" in head for head in markup.all("th"))


def test_every_picture_has_a_title_and_a_description_or_is_hidden() -> None:
    pictures = [one for one in Markup(page(troubled())).all("svg") if one.get("role") == "img"]
    assert pictures
    assert all(one.get("aria-labelledby") or one.get("aria-label") for one in pictures)


def test_certificates_come_once_each_those_unseen_first_and_then_the_soonest() -> None:
    document = well()
    cluster = document.clusters[0]
    shown = cluster.certificates.value
    assert shown is not None
    unseen = shown[0].model_copy(update={"target": "pg9:5432", "expires": None, "trouble": "refused"})
    soon = shown[0].model_copy(update={"target": "pg8:5432", "expires": NOW + timedelta(hours=1)})
    section = cluster.certificates.model_copy(update={"value": [*shown, *shown, soon, unseen]})
    found = certificates(
        document.model_copy(update={"clusters": [cluster.model_copy(update={"certificates": section})]})
    )
    assert [one.target for one in found[:2]] == ["pg9:5432", "pg8:5432"]
    assert len(found) == len({one.target for one in found})
