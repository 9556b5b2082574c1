"""The engine behind the batch losses; private."""
