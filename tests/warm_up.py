"""Import and compute once what every command needs, so that a process forked from this one starts at once."""

# ruff: noqa: F401

import gc

import rich.console
import rich.table
import sklearn.manifold
import transformers.models.bert.modeling_bert
import typer
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

import tercet.comparison.loop
import tercet.inspection.inspection
import tercet.report.run_report
import tercet.runs.run_training
from tercet.cli.app import app

# Typer imports a large part of itself when it first parses options.
typer.main.get_command(app).commands["train"].make_context("train", ["data.csv", "--output", "model"])
# transformers compiles a thousand regular expressions when it first loads a model.
get_checkpoint_conversion_mapping("bert")
# A training calls gc.collect, which takes half a second if it visits all objects of the libraries.
gc.collect()
gc.freeze()
