"""The command line. Only this package knows flags; each command parses its options, calls the library and prints.

    app                               the commands and their exit codes
    inspect, train, compare,
    evaluate, encode, demo            one command each
    options                           options that several commands take, and their checks
    choices                           choices and help texts from the catalogue
    console                           errors, notes, checks of output paths, loading of models, tables of metrics
    inspect_tables, reports           the tables of an inspection; the HTML report of a run

The script `tercet` runs the Typer application `tercet.cli.app.app`.
"""

__all__ = ["app"]
