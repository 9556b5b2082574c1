"""Reports of a training run and of an inspection, each as one HTML file; they need the extra `tercet[report]`.

run_report.py          write_run_report, the report of a training run
inspection_report.py   write_inspection_report, the report of an inspection
page.py                sections of text, tables and plots → one HTML file
plots.py               the plots, as plotly figures
projection.py          two-dimensional maps of embeddings
neighbours.py          nearest neighbours, hardest triplets and sampled pairs of labelled embeddings
text.py                text from the data, escaped for HTML and for plots
page.css, page.js      style and behaviour of the page
"""

from tercet.report import plots, projection
from tercet.report.inspection_report import write_inspection_report
from tercet.report.run_report import EvaluatedSentences, write_run_report

__all__ = ["EvaluatedSentences", "plots", "projection", "write_inspection_report", "write_run_report"]
