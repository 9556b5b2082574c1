"""Internal links of the docs resolve, every page is in the navigation, and tables have no paragraphs in their cells."""

import re

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, anchors, links, name, prose

_LONGEST_CELL = 120


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_internal_links_resolve(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name(page)}: {link}"


def test_pages_of_the_site_link_to_pages_of_the_site():
    for page in DOCS:
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            assert target.is_relative_to(ROOT / "docs"), f"{name(page)}: {link} is not part of the site"


def test_every_page_is_in_the_navigation_once():
    listed = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2])
    assert sorted(listed) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in DOCS)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_table_cell_is_not_a_paragraph(page):
    for line in prose(page).splitlines():
        if line.startswith("|"):
            for cell in re.split(r"(?<!\\)\|", line.strip().strip("|")):
                text = re.sub(r"\]\([^)]*\)", "]", cell).strip()
                assert len(text) <= _LONGEST_CELL, f"{name(page)}: {text}"
