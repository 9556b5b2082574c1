"""A first line that looks like data is data; one that may be both is refused, and an option says what it is."""

import pytest

from tercet.data.loading.labelled import load_labelled
from tercet.data.reading.options import ReadOptions
from tercet.data.reading.sources import read_table
from tercet.errors import DataError

_WATSON = """give me the weather for merced at three pm,weather_query
is it raining in rome today,weather_query
play jazz,play
"""
_NEWS = """3,"Wall St. Bears Claw Back Into the Black","Short-sellers are seeing green again."
3,A title,A text of words
1,Another,Text
"""
_SHORT = "reset login,login\nmy login,login\nlost card,card\n"


@pytest.mark.parametrize(
    "content", [_WATSON, _NEWS, _SHORT, "win now,1\nhello,0\nfree,1\n", _WATSON + "\nquery,play\n"]
)
def test_data_in_the_first_line_are_data(content, tmp_path, caplog):
    path = tmp_path / "d.csv"
    path.write_text(content)
    caplog.set_level("INFO")
    guessed = read_table(path)
    assert "the first line looks like data ('" in caplog.text
    assert "so the columns are named '0' to '" in caplog.text
    assert "pass header=True if these are the names" in caplog.text
    first = content.split(",")[0]
    with pytest.raises(DataError, match="has no column"):
        load_labelled(path, ReadOptions(text_column=first))
    table = read_table(path, header=False)
    assert (guessed.columns, guessed.lines) == (table.columns, table.lines)
    assert table.columns["0"][0] == first
    assert table.lines[0] == 1
    assert first in read_table(path, header=True).columns


@pytest.mark.parametrize(
    "content",
    [
        "message_body,spam\nhello how are you today,ham\nyou have won a prize,spam\nsee you later then,ham\n",
        "label,id,text\nlabel,id,a long text of words\nx,2,b\n",
    ],
)
def test_a_first_line_that_may_be_both_is_refused(content, tmp_path):
    path = tmp_path / "d.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=r"may be the column names or data \('.*pass header=False .*header=True"):
        read_table(path)
    assert len(read_table(path, header=False)) == len(read_table(path, header=True)) + 1


@pytest.mark.parametrize(
    "content",
    [
        "text,label\na,x\nb,y\n",
        "label,text\nlabel,a long text of words\nx,b\n",
        "tweet,sentiment\nso happy today,positive\nso sad,negative\n",
        "clean_text,category,2019\na b,x,1\nc d,y,2\n",
        "0,1\na text,x\nanother text,y\n",
        "Ticket Description,Ticket Type\nmy card is lost,card\nmy card,card\n",
        "description\na text of words\nanother text\n",
    ],
)
def test_names_are_not_taken_for_data(content, tmp_path, caplog):
    path = tmp_path / "d.csv"
    path.write_text(content)
    assert list(read_table(path).columns) == content.splitlines()[0].split(",")
    assert not caplog.records


@pytest.mark.parametrize(("first", "level"), [("how do I reset my password", "WARNING"), ("refund", "INFO")])
def test_one_clue_is_a_warning_and_an_unusual_only_name_is_logged(first, level, tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "d.tsv"
    path.write_text(f"{first}\nwhere is my card now\nhow are you today\n")
    assert len(read_table(path)) == 2
    assert f"the first line is read as the column names ('{first}'); if it is data" in caplog.text
    assert [record.levelname for record in caplog.records] == [level]
    assert len(read_table(path, header=False)) == 3


def test_other_formats_have_no_header(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('{"text": "a", "label": "x"}\n')
    with pytest.raises(DataError, match=r"header=False is for .csv, .tsv and .xlsx files"):
        read_table(path, header=False)
    assert len(read_table(path, header=True)) == 1
