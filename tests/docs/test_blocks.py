"""Every Python and shell block of the docs runs, on tiny data."""

import shutil

import pytest

from tests.docs.pages import DOCS, ROOT, blocks, name
from tests.docs.run_page import NOT_RUN, commands, missing_packages, run_page

_RUN = ("python", "sh")
_TEXT = ("", "text", "json", "toml", "csv")
_WITH_BLOCKS = [page for page in (ROOT / "README.md", *DOCS) if any(block.language in _RUN for block in blocks(page))]


@pytest.fixture(scope="session")
def tiny_model(bert, tmp_path_factory):
    from tercet import SentenceTransformer

    folder = tmp_path_factory.mktemp("docs-model") / "tiny"
    SentenceTransformer(bert, device="cpu").save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", _WITH_BLOCKS, ids=name)
def test_the_blocks_of_a_page_run(page, tiny_model, tmp_path):
    if missing := missing_packages(page):
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = tmp_path / "work"
    folder.mkdir()
    run_page(page, tiny_model, folder)


def test_a_page_names_the_packages_that_it_needs(tmp_path):
    page = tmp_path / "page.md"
    source = "import numpy\nfrom not_there.deep import x\nimport missing_too as m\n"
    page.write_text(f"```python\n{source}```\n\n```sh\ntercet inspect tickets.csv\n```\n", encoding="utf-8")
    assert missing_packages(page) == ["missing_too", "not_there"]


def test_a_block_that_fails_is_reported_with_its_line(tiny_model, tmp_path):
    page = ROOT / "docs" / "index.md"
    broken = tmp_path / "broken.md"
    broken.write_text("# A page\n\n```sh\ntercet train missing.csv --output x\n```\n", encoding="utf-8")
    shutil.copy(page, tmp_path)
    (tmp_path / "work").mkdir()
    with pytest.raises(AssertionError, match="exit code 2"):
        run_page(broken, tiny_model, tmp_path / "work")


def test_every_block_has_a_known_language():
    found = {block.language for page in (ROOT / "README.md", *DOCS) for block in blocks(page)}
    assert found <= {*_RUN, *_TEXT}


def test_blocks_that_are_not_run_hold_no_command_that_could_run():
    for page in (ROOT / "README.md", *DOCS):
        for block in blocks(page):
            if block.language == "sh":
                first = {words[0] for words in commands(block.source)}
                assert first <= {"tercet"} or first <= set(NOT_RUN), f"{name(page)}, line {block.line}"
