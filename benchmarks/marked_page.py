"""A page of prose with a marked place for figures, which a program fills; what stands there is its caller's."""

from pathlib import Path


class PageError(ValueError):
    """A page, or the figures beside it, are not what they should be; one line names the file."""


def parts_of_page(page: Path, begin: str, end: str) -> tuple[str, str]:
    """A page's text before the line `begin` and behind the line `end`.

    Raises:
        PageError: the page can't be read, or lacks one of the lines.
    """
    try:
        text = page.read_text()
    except OSError as error:
        raise PageError(f"{page}: {error.strerror}") from None
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise PageError(f"{page}: there is no line {begin} with a line {end} below it")
    return before, after
