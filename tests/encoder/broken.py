"""A complete model folder, and functions that break one thing in a copy of it."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tercet import SentenceTransformer
from tercet.encoder.modules import Dense, Normalize


def save_complete(encoder: Path, folder: Path) -> Path:
    """Save a model with all kinds of modules."""
    plain = SentenceTransformer(encoder, device="cpu")
    model = SentenceTransformer(modules=[*plain, Dense(32, 8), Normalize()], device="cpu", prompts={"query": "the: "})
    model.save_pretrained(folder)
    return folder


def copy(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def edit(path, **changes):
    """A damage that sets fields of a JSON file."""

    def damage(folder: Path) -> None:
        file = folder / path
        file.write_text(json.dumps({**(json.loads(file.read_text()) if file.exists() else {}), **changes}))

    return damage


def write(path, text):
    """A damage that replaces a file."""
    return lambda folder: (folder / path).write_text(text)


def remove(*paths):
    """A damage that removes files."""
    return lambda folder: [(folder / path).unlink() for path in paths]


def weights(change, path="model.safetensors"):
    """A damage that changes the weights: `change` returns the new tensors."""

    def damage(folder: Path) -> None:
        save_file(change(load_file(folder / path)), folder / path, metadata={"format": "pt"})

    return damage


def entry(index, **changes):
    """A damage that changes one module in modules.json."""

    def damage(folder: Path) -> None:
        entries = json.loads((folder / "modules.json").read_text())
        entries[index].update(changes)
        (folder / "modules.json").write_text(json.dumps(entries))

    return damage


def without(text):
    """Weights without the tensors whose name contains a text."""
    return weights(lambda tensors: {name: value for name, value in tensors.items() if text not in name})


def renamed(prefix):
    """Weights whose names have a prefix."""
    return weights(lambda tensors: {f"{prefix}{name}": value for name, value in tensors.items()})


def filled(name, value, path="model.safetensors"):
    """Weights with one value replaced."""

    def change(tensors):
        tensors[name].view(-1)[0] = value
        return tensors

    return weights(change, path)


def with_tensor(name, *shape):
    """Weights with one tensor more."""
    return weights(lambda tensors: {**tensors, name: torch.ones(*shape)})
