"""Write the HTML reports of runs, comparisons, evaluations and inspections. They need the extra `tercet[report]`.

run_report.py          `write_run_report`, the report of a training run
evaluated_sentences.py sections on the sentences of a run: distances, maps, recall, confused labels, triplets
comparison_report.py   `write_comparison_report`, the report of a comparison
evaluation_report.py   `write_evaluation_report`, the report of an evaluation
inspection_report.py   `write_inspection_report`, the report of an inspection
classification.py      sections on classified rows: was it worth it, precision and recall per label, confusions
classifier_plots.py    the plots of these sections
decisions.py           sections on the decisions of a classifier: curves, answers per label
rejections.py          the section on rejected sentences
decision_plots.py      the plots of these sections
page.py                `write_page`, which writes sections of text, tables and plots as one HTML file
page_table.py          tables of a page, and trees whose rows can be folded
facts.py               the facts that reports show: data, machine, settings
plots.py               the plots of runs and inspections, as plotly figures
comparison_plots.py    the plots of a comparison
plot_style.py          the colours and the layout of all plots
projection.py          two-dimensional maps of embeddings
neighbours.py          nearest neighbours, hardest triplets and sampled pairs of labelled embeddings
text.py                truncation and escaping of text from the data
page.css, page.js      the style and the script of the page
"""

from tercet.report import plots, projection
from tercet.report.comparison_report import write_comparison_report
from tercet.report.evaluated_sentences import EvaluatedSentences
from tercet.report.evaluation_report import write_evaluation_report
from tercet.report.inspection_report import write_inspection_report
from tercet.report.run_report import write_run_report

__all__ = [
    "EvaluatedSentences",
    "plots",
    "projection",
    "write_comparison_report",
    "write_evaluation_report",
    "write_inspection_report",
    "write_run_report",
]
