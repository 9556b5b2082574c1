"""Hold the values of tables: columns, cells and hashes of texts.

table.py            a table whose columns are read when they are used
text_column.py      a column of texts in Arrow, in memory or in a temporary file; column_file.py has the file
column_values.py    rows and values of columns of any kind
dataset_columns.py  columns of a `datasets.Dataset`
cells.py            values of cells: numbers, strings, lists and missing values
text_hashes.py      hashes of texts, by which copies are found
"""
