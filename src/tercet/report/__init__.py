"""Write the HTML reports of training runs and inspections. They need the extra `tercet[report]`.

run_report.py          `write_run_report`, the report of a training run
inspection_report.py   `write_inspection_report`, the report of an inspection
classification.py      sections on classified rows: was it worth it, precision and recall per label, confusions
classifier_plots.py    the plots of these sections
page.py                `write_page`, which writes sections of text, tables and plots as one HTML file
plots.py               the plots, as plotly figures
projection.py          two-dimensional maps of embeddings
neighbours.py          nearest neighbours, hardest triplets and sampled pairs of labelled embeddings
text.py                truncation and escaping of text from the data
page.css, page.js      the style and the script of the page
"""

from tercet.report import plots, projection
from tercet.report.inspection_report import write_inspection_report
from tercet.report.run_report import EvaluatedSentences, write_run_report

__all__ = ["EvaluatedSentences", "plots", "projection", "write_inspection_report", "write_run_report"]
