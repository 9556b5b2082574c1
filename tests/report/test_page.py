"""The page as a whole: its structure, its size, and that data stay data."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tercet.inspection.inspection import inspect
from tercet.records import EvaluationRecord, RowCounts
from tercet.report.evaluated_sentences import EvaluatedSentences
from tercet.report.inspection_report import write_inspection_report
from tercet.report.run_report import write_run_report
from tests.conftest import TOPICS
from tests.inspection.helpers import Blobs, labelled
from tests.report.helpers import LOG, NASTY, RECORD, Tags, evaluated, titles


def written(tmp_path, found, record=RECORD, **more):
    path = tmp_path / "r.html"
    write_run_report(path, record, LOG, found, **more)
    return path.read_text(encoding="utf-8")


ALL = ["Was it worth it?", "Metrics", "Training", "Distances", "Map", "Recall per label", "Confused labels",
       "The hardest triplets at the end", "To repeat the run"]  # fmt: skip


@pytest.mark.slow
def test_data_never_become_markup(tmp_path):
    labels = [f"{nasty} {number % 2}" for number, nasty in enumerate(NASTY * 4)]
    sentences = NASTY * 4
    evil = replace(RECORD, settings={**RECORD.settings, "data": "<script>alert(3)</script>"})
    tame = Tags(written(tmp_path, evaluated(["x"] * len(labels), labels), command="tercet train"))
    page = Tags(written(tmp_path, evaluated(sentences, labels), evil, command="tercet train '<img src=x onerror=a>'"))
    assert page.tags["script"] == tame.tags["script"] == 2
    assert set(page.tags) == set(tame.tags)
    words = "".join(page.words)
    assert "<script>alert(1)</script>" in words
    assert "<img src=x onerror=a>" in words
    assert "<script>alert(3)</script>" in words
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not [
        value for name, value in page.attributes if name in ("src", "href") and not value.startswith(("#", "data:,"))
    ]


@pytest.mark.slow
def test_it_has_all_parts(tmp_path):
    sentences = [s for topic in TOPICS.values() for s in topic]
    text = written(tmp_path, evaluated(sentences, [n for n, topic in TOPICS.items() for _ in topic]))
    assert titles(text) == ALL
    assert "<title>Training report</title>" in text
    assert "MAP@R rose, from 0.2500 to 0.5000" in text


def test_distances_are_in_the_table_of_metrics_and_not_in_the_plot(tmp_path):
    metrics = {"map@r": 0.5, "mean_positive_distance": 0.31}
    measured = EvaluationRecord(before=metrics, after={**metrics, "mean_positive_distance": 0.29})
    page = written(tmp_path, None, replace(RECORD, evaluation={"among_themselves": measured}))
    assert "mean distance to positives" in Tags(page).words
    plots = page[page.index("const PLOTS = ") :]
    assert '"name":"MAP@R"' in plots
    assert "mean distance to positives" not in plots


@pytest.mark.slow
def test_the_command_is_there_to_be_copied_and_no_loss_is_below_0(tmp_path):
    command = f"tercet train 'my  file.csv' --text-column '<b>' {'x' * 3000}"
    page = Tags(written(tmp_path, evaluated(list("abcdefgh"), list("xxyyxxyy")), command=command))
    assert command in page.words
    column = page.words[page.words.index("loss at margin 0.3") :]
    assert not [word for word in column if re.fullmatch(r"-\d\.\d{3}", word)]


@pytest.mark.slow
def test_recall_per_label_says_for_how_many_it_rose_and_fell(tmp_path):
    before = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1], [-1, 0], [1, -0.3]])  # the last lies beside a
    after = torch.tensor([[1.0, 0], [0, 1], [0.1, 1], [0.2, 1], [-1, 0], [-1, 0.1]])  # one of a lies among b
    found = EvaluatedSentences(
        sentences=list("123456"), label_ids=np.repeat([0, 1, 2], 2), label_names=["a", "b", "c"],
        before=before, after=after,
    )  # fmt: skip
    text = written(tmp_path, found)
    assert "Of 3 labels with two or more sentences, it rose for 1 and fell for 1." in text


def test_each_protocol_has_its_table_and_its_counts(tmp_path):
    rows = RowCounts(rows=991, measured=451, overlapping=8, unknown_labels=532, reference=599)
    headline = EvaluationRecord(before={"map@r": 0.1, "unknown_auroc": 0.8}, after={"map@r": 0.2, "unknown_auroc": 0.9},
                                rows=rows)  # fmt: skip
    text = written(tmp_path, None, replace(RECORD, evaluation={"against_reference": headline, **RECORD.evaluation}))
    assert "MAP@R rose, from 0.1000 to 0.2000" in text
    assert (
        "Evaluation sentences against the training sentences, by cosine similarity (451 of 991 rows; left out: " in text
    )
    assert "8 with a text that is in the training data, 532 with a label that is not in the training data)" in text
    assert "Evaluation sentences among themselves, by cosine similarity" in text
    assert "0.2500" in text


def test_a_run_without_evaluation_says_so(tmp_path):
    nothing = replace(RECORD, evaluation={})
    text = written(tmp_path, None, nothing, missing="It was measured on triplets.")
    assert titles(text) == ["Was it worth it?", "Metrics", "Training", "Sentences and labels", "To repeat the run"]
    assert "It was measured on triplets." in text
    assert "Nothing was held out" in text


@pytest.mark.slow
def test_a_short_log_and_a_soft_margin(tmp_path):
    soft = replace(RECORD, settings={**RECORD.settings, "loss": "batch-hard-soft-margin"})
    path = tmp_path / "r.html"
    write_run_report(path, soft, [], evaluated(list("abcdefgh"), list("xxyyxxyy")))
    text = path.read_text()
    assert "too short for an entry" in text
    assert "The loss has no margin" in text
    untouched = replace(RECORD, choices={"trained_encoder": True, "validation": {"best_step": 0}, "head": None})
    path = tmp_path / "untouched.html"
    write_run_report(path, untouched, [], evaluated(list("abcdefgh"), list("xxyyxxyy")))
    text = path.read_text()
    assert "Nothing was trained, so no band is drawn." in text
    assert "loss at margin" not in text


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["aaaa", "abcd", "aabb", "ab"])
def test_small_and_degenerate_measurements(tmp_path, labels):
    text = written(tmp_path, evaluated([f"s{i}" for i in range(len(labels))], list(labels)))
    assert titles(text) == ALL


@pytest.mark.slow
@pytest.mark.parametrize("distance", ["cosine", "manhattan"])
def test_distances_are_those_of_the_loss(tmp_path, distance):
    record = replace(RECORD, settings={**RECORD.settings, "distance": distance})
    text = written(tmp_path, evaluated(list("abcdefgh"), list("xxyyxxyy")), record)
    assert f"{distance} distance" in text


@pytest.mark.slow
def test_20_000_sentences_stay_below_8_megabytes_and_the_sample_is_described(tmp_path):
    """Of `&`, which takes more bytes than any letter or emoji once it is escaped."""
    rng = np.random.default_rng(0)
    sentences = [f"{number} {'&' * 200}" for number in range(20_000)]
    labels = [f"{code} {'&' * 200}" for code in (10_000 * rng.random(20_000) ** 2).astype(int)]
    log = [{"loss": 0.5, "active_fraction": 0.5, "positive_distance": 0.123456, "step": step} for step in range(50_000)]
    path = tmp_path / "r.html"
    write_run_report(path, RECORD, log, evaluated(sentences, labels))
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < 8_000_000
    (shown,) = re.findall(r"2,000 of (\d,\d{3}) sentences of the 200 largest of \d,\d{3} labels, drawn at random", text)
    assert int(shown.replace(",", "")) == sum(np.sort(np.unique(labels, return_counts=True)[1])[-200:])
    assert "The 500 worst of" in text


@pytest.mark.slow
def test_an_inspection_is_complete_and_escaped(tmp_path, bert):
    from tercet import SentenceTransformer
    from tercet.data.labels.labelled_sentences import LabelledSentences
    from tercet.data.labels.numbering import number_labels
    from tercet.inspection.inspection import inspect

    sentences = [f"{s} {nasty}" for topic in TOPICS.values() for s in topic for nasty in NASTY[:4]]
    names = [f"<b>{name}</b>" for name, topic in TOPICS.items() for _ in topic for _ in range(4)]
    names[3], names[9] = "<b>money</b>", "<b>food</b>"
    data = LabelledSentences(sentences, *number_labels(names, "x"))
    found = inspect(data, SentenceTransformer(str(bert)), source="<i>x.csv</i>", batch_size=8, samples_per_label=2)
    write_inspection_report(tmp_path / "i.html", found)
    page = Tags((tmp_path / "i.html").read_text())
    assert page.tags["script"] == 2
    assert not {"b", "i"} & set(page.tags)
    assert "Inspection of <i>x.csv</i>" in "".join(page.words)
    headings = titles((tmp_path / "i.html").read_text())
    assert headings == [
        "Texts and labels", "Lengths", "Label issues", "Confused labels", "Near-duplicates under two labels",
        "Active triplets in a batch", "Suggested settings",
    ]  # fmt: skip
    for issue in found.with_model.label_issues[:3]:
        assert f"{issue.log_odds:.2f}" in page.words


def test_without_a_model_an_inspection_is_of_texts_alone(tmp_path):
    from tercet.data.labels.labelled_sentences import LabelledSentences
    from tercet.data.labels.numbering import number_labels
    from tercet.inspection.inspection import inspect

    found = inspect(LabelledSentences(["a", "b", "a", ""], *number_labels(["x", "x", "y", "y"], "x")))
    write_inspection_report(tmp_path / "i.html", found)
    assert titles((tmp_path / "i.html").read_text()) == ["Texts and labels"]


def test_the_header_says_what_the_report_is_of_and_shows_the_warnings(tmp_path):
    settings = {**RECORD.settings, "model": "m\x1b[31m", "eval_fraction": 0.2, "max_steps": -1, "packing": True}
    warning = {"kind": "other", "message": "41 rows are <b>copies</b>"}
    text = written(tmp_path, None, replace(RECORD, settings=settings, warnings=[warning]))
    header, rest = text[text.index("<header>") : text.index("</header>")], text[text.index("<main>") :]
    for fact in ("x.csv", "held out, 20% of the data", "m�[31m", "batch-semi-hard, margin 0.3, euclidean distance"):
        assert f">{fact}</dd>" in header
    assert "MAP@R 0.2500 → 0.5000" in header
    assert "41 rows are &lt;b&gt;copies&lt;/b&gt;" in header
    words = Tags(rest).words
    assert "max_steps" not in words
    assert words[words.index("packing") + 1] == "yes"


@pytest.mark.slow
def test_texts_are_left_out_on_request(tmp_path):
    # No word of plotly's script, which versions change; counted, because pytest would compare megabytes for minutes.
    sentences = [f"pumpernickel words {number}" for number in range(16)]
    labels = [f"label {number % 2}" for number in range(16)]
    open_page = written(tmp_path, evaluated(sentences, labels))
    assert "pumpernickel" in open_page
    assert "Everyone who gets the file can read them" in open_page
    closed = written(tmp_path, evaluated(sentences, labels), texts=False)
    assert closed.count("pumpernickel") == 0
    assert "row 3" in closed
    assert ("read its sentence" in open_page, "read its sentence" in closed) == (True, False)
    assert "Hover over a point to read its row number" in closed
    assert "label 1" in closed


@pytest.mark.slow
def test_an_inspection_without_texts(tmp_path):
    texts = [f"{place} pumpernickel{number}" for number in range(12) for place in ("one", "two", "three")]
    labels = [text.split()[0] for text in texts]
    labels[0] = "two"  # a label issue
    texts.append(texts[1])
    labels.append("three")  # a text under two labels
    found = inspect(labelled(texts, labels), Blobs(), batch_size=8, samples_per_label=2)
    assert found.with_model.label_issues
    assert found.texts.contradictions
    path = tmp_path / "i.html"
    write_inspection_report(path, found)
    assert "pumpernickel3" in path.read_text(encoding="utf-8")
    write_inspection_report(path, found, texts=False)
    text = path.read_text(encoding="utf-8")
    assert text.count("pumpernickel") == 0
    assert "(text left out)" in text


def test_the_header_has_the_rows_the_date_the_duration_and_the_machine(tmp_path):
    record = replace(
        RECORD,
        data={"train": {"rows": 1200, "labels": 4, "copies": 3}, "eval": {"rows": 300, "labels": 4, "copies": 0}},
        run={"started": "2026-11-27T07:22:52Z", "seconds": 133.4},
        environment={"device": "CPU", "processor": "fast", "torch": "2.13.0"},
        evaluation={"among_themselves": EvaluationRecord(before={"map@r": 0.1}, after={"map@r": 0.2},
                                                         rows=RowCounts(rows=300, measured=280, overlapping=20))},
    )  # fmt: skip
    text = written(tmp_path, None, record)
    header = text[text.index("<header>") : text.index("</header>")]
    for fact in ("x.csv; 1,200 rows, 4 labels, 3 copies", "300 rows, 4 labels", "2026-11-27T07:22:52Z", "2 min 13 s",
                 "CPU; fast", "Tercet 0.0; torch 2.13.0",
                 "280 of 300 rows; left out: 20 with a text that is in the training data"):  # fmt: skip
        assert f">{fact}</dd>" in header, fact
