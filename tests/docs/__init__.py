"""Tests that keep the docs true: blocks run, options and fields exist, imports are public, links resolve."""
