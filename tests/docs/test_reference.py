"""The reference has every command, option, field and make target, and documents none that does not exist."""

import re
import subprocess

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, blocks, hooks, name, prose
from tests.docs.run_page import commands

HOOKS = hooks()
PAGE = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
COMMANDS = HOOKS.commands()
_TOP_LEVEL = set(re.findall(r"--[a-z][\w-]*", HOOKS.help_text()))


def _options(command: str) -> set[str]:
    """Return the options of a command, from the command itself."""
    return set(re.findall(r"--[a-z][\w-]*", HOOKS.help_text(command)))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_has_every_option_of_a_command(command):
    assert f"## tercet {command}\n" in PAGE
    section = HOOKS.fill(PAGE.split(f"## tercet {command}\n")[1].split("\n## ")[0])
    listed = set(re.findall(r"^\| `(--[\w-]+)", section, re.MULTILINE))
    names = {words[0] for words in HOOKS.options(command) if words[0].startswith("--")}
    assert listed == names
    assert len(listed) > 2
    assert all(
        f"{option} " in HOOKS.help_text(command) or f"{option}\n" in HOOKS.help_text(command) for option in listed
    )


def test_the_options_of_the_hook_are_those_of_the_typer_app():
    import typer

    from tercet.cli.app import app

    group = typer.main.get_command(app)
    assert set(group.commands) == set(COMMANDS)
    for command in COMMANDS:
        own = {opt for param in group.commands[command].params for opt in (*param.opts, *param.secondary_opts)}
        own = {opt for opt in own if opt.startswith("--")} - {"--help"}
        assert own == {option for option, _ in HOOKS.options(command) if option.startswith("--")}


def test_the_reference_has_no_command_that_does_not_exist():
    assert set(re.findall(r"^## tercet ([\w-]+)$", PAGE, re.MULTILINE)) == set(COMMANDS)


def test_every_row_of_the_option_tables_says_what_the_option_does():
    for command in COMMANDS:
        for option, words in HOOKS.options(command):
            assert words, f"tercet {command} {option} has no help"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_in_the_text_of_a_page_exist(page):
    known = _TOP_LEVEL.union(*(_options(command) for command in COMMANDS))
    others = {"--nproc-per-node", "--num_processes", "--node-rank", "--nnodes", "--wrong-labels", "--near"}
    if page.name == "LOG.md":  # It lists old names.
        others |= {"--memory-size", "--suspects"}
    found = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", prose(page))) - {"--master-addr", "--master-port"}
    assert found - others <= known | {"--data", "--sets", "--strict"}


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS], ids=name)
def test_commands_in_blocks_use_options_that_exist(page):
    for block in blocks(page):
        if block.language not in ("sh", "text"):
            continue
        for line in block.source.replace("\\\n", " ").splitlines():
            if line.startswith("tercet ") and not line.startswith("tercet --"):
                words = commands(line)[0]
                used = {word.split("=")[0] for word in words if word.startswith("--")}
                assert used <= _options(words[1]), f"{name(page)}, line {block.line}"


def test_marks_of_the_reference_are_filled():
    for page in DOCS:
        text = page.read_text(encoding="utf-8")
        for mark in re.findall(r"^<!-- .* -->$", HOOKS.fill(text), re.MULTILINE):
            raise AssertionError(f"{name(page)}: {mark} is not filled")


def test_every_field_of_a_record_has_a_description():
    for page in DOCS:
        for reference in re.findall(r"<!-- fields: (\S+) -->", page.read_text(encoding="utf-8")):
            for row in HOOKS.fields_table(reference).splitlines()[2:]:
                assert not row.endswith("|  |"), f"{reference}: {row}"


def test_make_targets_in_the_docs_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        used = set(re.findall(r"`make ([\w-]+)", text)) | set(re.findall(r"^make ([\w-]+)", text, re.MULTILINE))
        assert used <= targets, f"{name(page)}: {used - targets}"


def test_every_benchmark_takes_more_options():
    targets = re.findall(r"^(bench-[\w-]+|gpu):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    words = ["make", "--dry-run", "--always-make", "BENCH=--more-options"]
    for target in targets:
        printed = subprocess.run([*words, target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert "--more-options" in printed, target


def test_scripts_in_the_docs_exist():
    for page in PAGES:
        for script in re.findall(r"\b((?:benchmarks|examples|tests|src|docs)/[\w/]+\.py)\b", page.read_text("utf-8")):
            assert (ROOT / script).exists(), f"{name(page)}: {script}"
