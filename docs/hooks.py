"""Fill the reference pages from the code: options from the real `--help`, fields from dataclasses, the catalogue.

A page asks for generated text with a comment on a line of its own:

    <!-- options: train -->                     the arguments and options of `tercet train`
    <!-- fields: tercet.records.runs:RunRecord -->   the fields of a dataclass, with their descriptions
    <!-- catalogue: LOSSES -->                  the entries of a registry of `tercet.catalogue`
    <!-- settings: RunSettings -->              the fields of `tercet.RunSettings`, with defaults and descriptions

MkDocs calls `on_page_markdown` (see `hooks:` in mkdocs.yml). The tests call `fill` directly, so this module needs no
MkDocs.
"""

import ast
import dataclasses
import re
from importlib import import_module
from pathlib import Path
from typing import Any

_SOURCE = Path(__file__).parents[1] / "src"
_MARK = re.compile(r"^<!-- (options|fields|catalogue|settings): (\S+) -->$", re.MULTILINE)
_WIDE = 10_000  # columns, so that no line of the help is wrapped


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page with its generated parts; called by MkDocs for each page."""
    return fill(markdown)


def fill(markdown: str) -> str:
    """Return a page in which every mark is replaced by the text that it asks for."""
    makers = {
        "options": options_table,
        "fields": fields_table,
        "catalogue": catalogue_table,
        "settings": settings_table,
    }
    return _MARK.sub(lambda mark: makers[mark[1]](mark[2]), markdown)


def help_text(*command: str) -> str:
    """Return what `tercet COMMAND --help` prints, unwrapped."""
    from typer.testing import CliRunner

    from tercet.cli.app import app

    result = CliRunner().invoke(app, [*command, "--help"], terminal_width=_WIDE, env={"COLUMNS": str(_WIDE)})
    if result.exit_code != 0:
        raise RuntimeError(f"tercet {' '.join(command)} --help failed: {result.output}")
    return result.output


def commands() -> list[str]:
    """Return the names of the commands, from `tercet --help`."""
    return [name for name, _ in _entries(_section(help_text(), "Commands"))]


def options(command: str) -> list[tuple[str, str]]:
    """Return the arguments and options of a command with their help, from `tercet COMMAND --help`."""
    text = help_text(command)
    entries = [*_entries(_section(text, "Arguments")), *_entries(_section(text, "Options"))]
    return [(name, words) for name, words in entries if name != "--help"]


def options_table(command: str) -> str:
    """Return a table of the arguments and options of a command."""
    rows = ["| argument or option | what it does | default |", "|---|---|---|"]
    for name, words in options(command):
        words, default = _split_default(words)
        rows.append(f"| `{_cell(name)}` | {_cell(words)} | {default} |")
    return "\n".join(rows)


def fields_table(reference: str) -> str:
    """Return a table of the fields of a dataclass, described by the `Attributes` section of its docstring.

    The source is parsed and not imported, since some records stand beside code that imports torch.
    """
    module, _, name = reference.partition(":")
    tree = ast.parse((_SOURCE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    record = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    described = _attributes(ast.get_docstring(record) or "")
    rows = ["| field | type | meaning |", "|---|---|---|"]
    for field in record.body:
        if isinstance(field, ast.AnnAssign):
            field_name = ast.unparse(field.target)
            kind = _cell(ast.unparse(field.annotation))
            rows.append(f"| `{field_name}` | `{kind}` | {_cell(described.get(field_name, ''))} |")
    return "\n".join(rows)


def catalogue_table(registry: str) -> str:
    """Return a table of a registry of the catalogue: the names of its entries and what they are."""
    entries = getattr(import_module("tercet.catalogue"), registry)
    rows = ["| name | what it is |", "|---|---|"]
    for name, spec in entries.items():
        rows.append(f"| `{name}` | {_cell(getattr(spec, 'summary', None) or spec.title)} |")
    return "\n".join(rows)


def settings_table(name: str) -> str:
    """Return a table of the fields of a settings class of `tercet`: name, default, description."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for item in dataclasses.fields(getattr(import_module("tercet"), name)):
        rows.append(f"| `{item.name}` | `{item.default}` | {_cell(item.metadata['description'])} |")
    return "\n".join(rows)


def _section(text: str, title: str) -> list[str]:
    """Return the lines of a section of a help text."""
    lines = text.splitlines()
    if f"{title}:" not in lines:
        return []
    start = lines.index(f"{title}:") + 1
    end = next((at for at in range(start, len(lines)) if lines[at] and not lines[at].startswith(" ")), len(lines))
    return [line for line in lines[start:end] if line.strip()]


def _entries(lines: list[str]) -> list[tuple[str, str]]:
    """Return the name and the help of each entry.

    A long name has its help on the next, further indented line. More lines after that are a list of choices, of which
    the table shows the names.
    """
    entries: list[tuple[str, str]] = []
    with_choices: set[str] = set()
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if indent > 2 and entries:
            name, words = entries[-1]
            choice = re.match(r"\s+([\w-]+): ", line)
            if words and choice:
                words = f"{words.rstrip('.')}{',' if name in with_choices else ':'} {choice[1]}"
                with_choices.add(name)
            elif name not in with_choices:
                words = f"{words} {line.strip()}".strip()
            default = re.search(r"\s*\[default: [^\]]*\]", line) if name in with_choices else None
            entries[-1] = name, words + (default[0] if default else "")
            continue
        name, _, words = line.strip().partition("  ")
        names = re.findall(r"--[a-z][\w-]*", name) if " / " in name else []  # such as --header / --no-header
        entries += [(other, words.strip()) for other in names[:-1]]
        name = names[-1] if names else name
        option = re.search(r"--[a-z][\w-]*", name)
        entries.append((option[0] if option else name.split()[0], words.strip()))
    return entries


def _split_default(words: str) -> tuple[str, str]:
    """Split `help  [default: x]` into the help and a cell for the default."""
    found = re.search(r"\s*\[default: ([^\]]*)\]", words)
    if found is None:
        required = re.search(r"\s*\[required\]", words)
        return (words.replace(required[0], ""), "required") if required else (words, "")
    return words.replace(found[0], ""), f"`{_cell(found[1])}`"


def _attributes(docstring: str) -> dict[str, str]:
    """Return the descriptions in the `Attributes` section of a docstring, by name."""
    described: dict[str, str] = {}
    section = re.search(r"^Attributes:\n((?:[ ]+.*\n?|\n(?=[ ]))+)", docstring, re.MULTILINE)
    name = ""
    for line in section[1].splitlines() if section else ():
        started = re.match(r"    (\w+): (.*)", line)
        if started:
            name = started[1]
            described[name] = started[2].strip()
        elif name:
            described[name] += f" {line.strip()}"
    return described


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ").strip()
