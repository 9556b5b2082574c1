"""The install line of the README has the extras that its commands need."""

import re

from tests.docs.pages import ROOT, blocks

NEEDED_BY = {"search": "search", "duplicates": "search", "--report": "report", "bundled": "demo"}


def test_the_readme_installs_what_its_commands_need():
    sources = [block.source for block in blocks(ROOT / "README.md")]
    (line,) = re.findall(r'pip install "\.\[([\w,]+)\]"', "".join(sources))
    words = set(re.findall(r"[\w-]+", "".join(source for source in sources if "tercet train" in source)))
    assert {"search", "duplicates", "bundled"} <= words
    assert {extra for word, extra in NEEDED_BY.items() if word in words} <= set(line.split(","))
