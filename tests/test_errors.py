"""Messages of exceptions."""

import pytest

from tercet.errors import DataError, EmbeddingError, ModelError


@pytest.mark.parametrize("kind", [DataError, EmbeddingError, ModelError])
def test_a_message_has_no_control_characters(kind):
    error = kind("the type \x1b[31mred\x1b]0;title\x07 of a\u202eb \ud800\nis unknown")
    assert str(error) == "the type �[31mred�]0;title� of a�b �\nis unknown"
