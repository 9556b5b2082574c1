"""Say how long work takes."""

# Seconds. What takes less is over before a forecast helps.
SHORTEST_FORECAST = 30.0


def in_words(seconds: float) -> str:
    """Return an expected duration in words.

    Example:
        >>> in_words(40), in_words(700), in_words(9000)
        ('40 s', '12 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
