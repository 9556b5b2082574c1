"""`python -m tercet`, which `torchrun -m tercet` needs."""

from tercet.cli.app import app

app()
