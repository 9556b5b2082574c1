"""Hold the values of tables: columns, cells and hashes of texts.

table.py            a table whose columns are read when they are used
arrow_columns.py    columns of texts in Arrow, in memory or in a temporary file
cells.py            values of cells: numbers, strings, lists and missing values
text_hashes.py      hashes of texts, by which copies are found
"""
