"""Read files of each format into a table; `tercet.catalogue.FILE_FORMATS` lists the formats.

separated.py       .csv and .tsv; separators.py finds the separator, header.py whether the first line has names
json_lines.py, parquet_files.py, arrow_files.py, excel.py, plain_text.py    files of one format
json_files.py      .json and .yml; structures.py finds the rows in them, rasa.py those of Rasa
vector_files.py    .npy and .parquet with vectors
split_names.py     names of splits, in files and folders
text_files.py      opens text files; encodings.py finds the encoding, compressed.py unpacks
"""
