"""Sentences and labels: read from files, checked column by column, drawn in batches."""
