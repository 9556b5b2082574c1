"""The command line. A command parses its options, calls the library and prints the result.

    app.py                  the Typer application with all commands

One file for each command: inspect.py, train.py, compare.py, evaluate.py, classify.py, fit_classifier.py, encode.py,
search.py, duplicates.py, fix.py and demo.py. What they consist of:

    table_input.py          what `classify` and `encode` read
    classify_checks.py      what `classify` checks first; classify_columns.py what it adds, classify_output.py how it
                            writes, classify_summary.py what it counts,
                            known_labels.py the labels that it compares with
    train_vectors.py        `train` for vectors
    searchable.py           the sentences that `search` and `duplicates` read; queries.py the queries, stored_vectors.py
                            their embeddings, if `encode` has written them
    input_files.py          the files of a folder or a pattern
    many_files.py           the same work for many files
    options.py              options that several commands have, and their checks
    next_commands.py        the commands to run next, which are printed at the end
    option_files.py         defaults from --config and --repeat
    choices.py              option values and help texts from the catalogue
    flags.py                arguments in messages → flags
    outputs.py              checks of paths, and writing of tables
    command_errors.py       errors → one line and an exit code
    console.py              notes, results, tables of metrics, loading of models
    threads.py              the number of threads, and how long they wait for each other
    streams.py              guarded standard output and standard error
    evaluations.py          printing of the metrics of a model
    comparison_tables.py    printing of the tables of a comparison
    inspect_tables.py       printing of the tables of an inspection
    label_issues.py         the list of label issues that `inspect` writes
    reports.py              checks and writing of HTML reports

Only this package mentions flags such as `--overwrite`; the messages of the library mention arguments.

The script `tercet` runs the Typer application `tercet.cli.app.app`.
"""

__all__ = ["app"]
