"""Read training data of Rasa: intents with examples, in YAML, JSON or Markdown. Marks of entities are removed."""

import re
from pathlib import Path
from typing import Any

from tercet.data.formats.text_files import open_text
from tercet.data.tables.table import Content
from tercet.errors import DataError

# [Rome](city), [Rome](city:capital), [Rome]{"entity": "city"}
_ENTITY = re.compile(r"\[([^\[\]]*)\](?:\([^()]*\)|\{[^{}]*\})")
_HEADING = re.compile(r"##+\s*(\w+)\s*:\s*(.*\S)\s*$")
# `str.splitlines` would also divide a text at characters such as U+2028, which texts of web pages contain.
_LINE_END = re.compile(r"\r\n|\r|\n")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def read_rasa_markdown(path: Path, *, encoding: str | None = None) -> Content:
    """Read the intents of a Markdown file of Rasa: a heading `## intent:greet`, and an example in each line `- hello`.

    Raises:
        DataError: the file has no such heading.
    """
    texts: list[str] = []
    labels: list[str] = []
    lines: list[int] = []
    intent = None
    found = False
    with open_text(path, encoding) as file:
        content = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), file.read())
    for number, line in enumerate(_LINE_END.split(content), start=1):
        if heading := _HEADING.match(line):
            intent = heading[2] if heading[1].lower() == "intent" else None
            found = found or intent is not None
        elif intent is not None and line.lstrip()[:2] in ("- ", "* ", "+ "):
            texts.append(_plain(line.lstrip()[2:]))
            labels.append(intent)
            lines.append(number)
    if not found:
        raise DataError(
            f"{path} has no heading such as '## intent:greet', so it is no training data of Rasa; write the texts and "
            "labels into a .csv or .jsonl file"
        )
    return {"text": texts, "intent": labels}, lines


def read_nlu(items: list[Any], path: Path) -> dict[str, list[Any]]:
    """Return the examples of the list at the key `nlu` of a YAML file of Rasa. Synonyms and the like have none.

    Raises:
        DataError: the examples of an intent are neither a text of lines nor a list.
    """
    texts: list[str] = []
    labels: list[str] = []
    for item in items:
        if not isinstance(item, dict) or "intent" not in item:
            continue
        examples = item.get("examples") or []
        if isinstance(examples, str):
            examples = [line.strip().removeprefix("-") for line in _LINE_END.split(examples)]
        if not isinstance(examples, list):
            raise DataError(f"{path}: the examples of the intent {item['intent']!r} are no lines with '- '")
        for example in examples:
            text = example.get("text", "") if isinstance(example, dict) else str(example)
            if text := _plain(text.strip().removeprefix("- ")):
                texts.append(text)
                labels.append(str(item["intent"]))
    return {"text": texts, "intent": labels}


def read_examples(data: dict[str, Any], path: Path) -> dict[str, list[Any]]:
    """Return the `common_examples` of a JSON file of Rasa.

    Raises:
        DataError: there are none.
    """
    examples = data.get("common_examples")
    if not isinstance(examples, list) or not all(isinstance(item, dict) for item in examples):
        raise DataError(f"{path}: rasa_nlu_data has no list common_examples")
    return {name: [item.get(name) for item in examples] for name in ("text", "intent")}


def _plain(text: str) -> str:
    return _ENTITY.sub(r"\1", text).strip()
