"""Convert an inspection into tables. The command line and the HTML report render them. (In the report, a plot
replaces the table of active triplets.)"""

from tercet.inspection.batch_tables import batches_table, settings_table
from tercet.inspection.model_tables import (
    confusions_table,
    label_issues_table,
    labels_to_add_table,
    lengths_table,
    near_duplicates_table,
    parents_table,
)
from tercet.inspection.results import Inspection
from tercet.inspection.table import InspectionTable
from tercet.inspection.text_tables import contradictions_table, texts_table


def inspection_tables(inspection: Inspection, max_rows: int) -> list[InspectionTable]:
    """Return the tables of an inspection in display order. Lists of findings have at most `max_rows` rows."""
    obstacle = inspection.obstacle
    warning = f"These data cannot be used for training: {obstacle}" if obstacle else None
    tables = [texts_table(inspection.texts), contradictions_table(inspection.texts, warning, max_rows)]
    findings = inspection.with_model
    if findings is None:
        return tables
    tables.append(lengths_table(findings))
    if findings.labels_to_add is not None:
        tables.append(labels_to_add_table(findings.labels_to_add, findings.model, max_rows))
    if findings.num_scored is not None:
        tables += [
            label_issues_table(findings, findings.num_scored, max_rows),
            confusions_table(findings, max_rows),
            *([] if findings.parents is None else [parents_table(findings.parents, max_rows)]),
            near_duplicates_table(findings, max_rows),
        ]
    if findings.batches is not None:
        tables += [batches_table(findings.batches), settings_table(findings.suggestions)]
    return tables
