"""The separator and the quoting of a file of separated values."""

import pytest

from tercet.data.reading.sources import read_table
from tercet.errors import DataError

ROWS = [("label", "text"), ("ham", '"Hi" he said'), ("spam", 'a 5" screen'), ("ham", '"')]


@pytest.mark.parametrize(("separator", "name"), [("\t", "tab"), ("\t", None), (";", ";"), ("|", "bar"), ("~", "~")])
def test_quotes_within_texts_are_characters_also_with_a_named_separator(separator, name, tmp_path, caplog):
    path = tmp_path / "d.tsv"
    path.write_text("".join(separator.join(row) + "\n" for row in ROWS))
    with caplog.at_level("INFO", "tercet"):
        assert read_table(path, csv_separator=name).columns["text"] == [text for _, text in ROWS[1:]]
    assert "double quotes are part of the texts" in caplog.text


@pytest.mark.parametrize("name", ["tab", None])
def test_quotes_around_fields_enclose_them(name, tmp_path):
    texts = ['"one\ttwo"', '"one\ntwo"', '"a ""word"""', '"' + "long text " * 300 + '"']
    path = tmp_path / "d.tsv"
    # The file is longer than what is looked at to decide, which may end within a field.
    path.write_text("label\ttext\n" + "".join(f"{number}\t{texts[3]}\n" for number in range(900)))
    assert set(read_table(path, csv_separator=name).columns["text"]) == {texts[3].strip('"')}
    path.write_text("label\ttext\n" + "".join(f"{number}\t{text}\n" for number, text in enumerate(texts)))
    assert read_table(path, csv_separator=name).columns["text"][:3] == ["one\ttwo", "one\ntwo", 'a "word"']


@pytest.mark.parametrize("name", ["tab", None])
def test_a_quote_behind_the_first_rows_is_a_character(name, tmp_path, caplog):
    path, rows = tmp_path / "d.tsv", "".join(f"{row}\ta text\n" for row in range(1500))
    path.write_text(f'label\ttext\n{rows}ham\t"Hi" he said\n')
    with caplog.at_level("INFO", "tercet"):
        table = read_table(path, csv_separator=name)
    assert (table.columns["text"][-1], table.lines[-1], len(table)) == ('"Hi" he said', 1502, 1501)
    assert "columns separated by tabs, and double quotes are part of the texts" in caplog.text
    path.write_text(f'label\ttext\n{rows}ham\t"Hi" he said\tand more\n')
    with pytest.raises(DataError, match="line 1502: '.t' expected after '\"'"):
        read_table(path, csv_separator=name)


@pytest.mark.parametrize(("name", "first"), [("tab", ""), (None, ""), (None, "sep=\t\n")])
def test_an_unclosed_quote_behind_enclosed_fields_is_an_error(name, first, tmp_path):
    path = tmp_path / "d.tsv"
    rows = '"he said ""hi"""\ta\n' * 1500
    path.write_text(f'{first}text\tlabel\n{rows}"unclosed\tb\nplain\ta\n')
    line = 1503 + bool(first)
    with pytest.raises(DataError, match=f"line {line}: unexpected end of data; a double quote was opened and not"):
        read_table(path, csv_separator=name)


@pytest.mark.parametrize("name", ["tab", None])
@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
@pytest.mark.parametrize("line", [2, 3, 500])
def test_one_wrong_quote_among_enclosed_fields_is_an_error(line, suffix, name, tmp_path):
    """It is a mistake. Without the error, all other texts would have quotes around them."""
    path, rows = tmp_path / f"d{suffix}", [f'"the ""text"" {row}"\ta\n' for row in range(900)]
    rows[line - 2] = '"Hi" he said\tb\n'
    path.write_text(f"text\tlabel\n{''.join(rows)}")
    with pytest.raises(
        DataError, match=f"line {line}: '.t' expected after '\"'; within a field in double quotes, write"
    ):
        read_table(path, csv_separator=name)


@pytest.mark.parametrize("name", ["tab", None])
def test_a_text_within_quotes_among_many_quotes_within_texts_keeps_them(name, tmp_path, caplog):
    path = tmp_path / "d.tsv"
    path.write_text('text\tlabel\nplain\ta\n"all of it"\ta\n"Hi" he said\tb\n"No" she said\tb\n')
    with caplog.at_level("INFO", "tercet"):
        assert read_table(path, csv_separator=name).columns["text"][1] == '"all of it"'
    assert "double quotes are part of the texts, because line 4 is invalid if they enclose fields" in caplog.text


@pytest.mark.parametrize("name", ["tab", None])
@pytest.mark.parametrize("other", ['"b\tb"', '"Hi" he said\tb'])
def test_as_many_invalid_lines_as_enclosed_fields_make_quotes_characters(other, name, tmp_path, caplog):
    """A line with too few fields is invalid, too: its quotes do not show that quotes enclose fields."""
    path = tmp_path / "d.tsv"
    path.write_text(f'text\tlabel\n"all of it"\ta\n{other}\n')
    with caplog.at_level("INFO", "tercet"):
        columns = read_table(path, csv_separator=name).columns
    rows = list(zip(columns["text"], columns["label"], strict=True))
    assert rows == [('"all of it"', "a"), tuple(other.split("\t"))]
    assert "because line 3 is invalid if they enclose fields" in caplog.text


@pytest.mark.parametrize("name", ["tab", None])
def test_the_error_names_the_quotes_that_enclose_a_separator_and_so_hide_a_field(name, tmp_path):
    path = tmp_path / "d.tsv"
    path.write_text('text\tlabel\n"a"\ta\n"b"\ta\n"c\tb"\n')
    with pytest.raises(
        DataError, match="line 4: 1 field, but the header has 2; double quotes enclose a tab; close them before it"
    ):
        read_table(path, csv_separator=name)


@pytest.mark.parametrize("name", ["tab", None])
def test_a_missing_field_without_quotes_stays_an_error(name, tmp_path):
    path = tmp_path / "d.tsv"
    path.write_text('text\tlabel\n"a"\ta\nb\n')
    with pytest.raises(DataError, match="line 3: 1 field, but the header has 2; add the missing fields"):
        read_table(path, csv_separator=name)


def test_a_quote_between_commas_is_an_error(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('label,text\nham,"Hi" he said\n')
    with pytest.raises(DataError, match="line 2: ',' expected after '\"'"):
        read_table(path, csv_separator=",")


@pytest.mark.parametrize(
    ("content", "line", "first"),
    [
        ('fine,x\n"a quote,x\nb,y\n"c, d",x\n', 5, 3),
        ('fine,x\n\n"a quote,x\nb,y\nc,"d"\n"e",f\n', 6, 4),
        ('"a quote,x\n"\nb,y\n', 3, 2),
        ('fine,x\n"open,x\nb,y\n', 4, 3),
    ],
)
def test_an_invalid_row_of_several_lines_is_named_by_its_first_line_too(content, line, first, tmp_path):
    (tmp_path / "d.csv").write_text(f"text,label\n{content}")
    place = f"d.csv, line {line}: .*; the row begins in line {first}: look there for a double quote that is not closed$"
    with pytest.raises(DataError, match=place):
        read_table(tmp_path / "d.csv")
