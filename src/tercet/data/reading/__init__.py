"""Read data from any source into a table.

options.py         `ReadOptions`: how to read
selection.py       reads a table as `ReadOptions` says: chooses its rows, joins columns of texts
other_files.py     chooses the options of files that are read beside others
sources.py         reads a file, a folder, standard input or a data set on the hub, by what the source is
files.py           reads one file with the reader of its format
standard_input.py  puts standard input into a file
folders.py         reads folders and several files
data_files.py      finds the data files among the files of a folder
in_memory.py       reads data frames, Arrow tables, dictionaries, lists and data sets
lines.py           reads a stream with one sentence per line
"""
