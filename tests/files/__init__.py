"""Tests of `tercet._files`."""
