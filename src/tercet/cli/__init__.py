"""The command line. A command parses its options, calls the library and prints the result.

    app                               the Typer application with all commands
    inspect, train, compare,
    evaluate, classify, encode, …     one command each
    classify_input, classify_columns,
    classify_summary                  what `classify` reads, adds and counts
    options                           options that several commands have, and their checks
    choices                           option values and help texts from the catalogue
    console                           errors, notes, checks of output paths, loading of models, tables of metrics
    inspect_tables                    printing of the tables of an inspection
    reports                           checks and writing of the HTML report of a run

Only this package mentions flags such as `--overwrite`; the messages of the library mention arguments.

The script `tercet` runs the Typer application `tercet.cli.app.app`.
"""

__all__ = ["app"]
