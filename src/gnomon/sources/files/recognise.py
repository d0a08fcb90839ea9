"""Which layout a file has, by what is in it; its name only fills in what the content does not say.

| the bytes begin with | and then                                                            | layout          |
|----------------------|---------------------------------------------------------------------|-----------------|
| PAR1, ARROW1         | columns of candles or trades                                        | `arrow`         |
| `[`                  | lists of six, or objects                                            | `json_rows`     |
| `{`                  | Meta Data and a time series, one object or one a line               | `alpha_vantage` |
| `{`                  | messages of Bybit's order book, one a line                          | `books`         |
| a time and `{`       | messages of Binance's streams, one a line                           | `feed`          |
| text                 | a header with best prices, or the levels of a book                  | `books`         |
| text                 | Binance's headers, or rows of 12, 8, 7, 6 fields of the right kinds | `binance`       |
| text                 | rows of 6 fields with a letter, flags and 0 or 1                    | `lean`          |
| text                 | a header with columns of candles or trades                          | `named`         |
| anything else        | is refused by `unsupported`, which says what it is where it can     |                 |
"""

from __future__ import annotations

from typing import Any

from gnomon.errors import Invalid
from gnomon.sources.files import alpha_vantage, arrow, binance, books, feed, json_rows, lean, named
from gnomon.sources.files.content import LARGEST_BYTES, Content
from gnomon.sources.files.delimited import Delimited, Progress, sniff
from gnomon.sources.files.table import Table
from gnomon.sources.files.unsupported import bytes_reason, document_reason, refusal, table_reason


def read_tables(content: Content, largest_bytes: int = LARGEST_BYTES, progress: Progress | None = None) -> list[Table]:
    """The raw series of a file. `Invalid` says what it is where it is nothing that is imported."""
    if arrow.is_columnar(content.data):
        return [arrow.table(content, largest_bytes)]
    if feed.is_feed(content.data):
        return feed.tables(content, progress)
    if reason := bytes_reason(content.data):
        raise refusal(content.file, reason)
    start = content.data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"[":
        return [json_rows.table(content, content.data.removeprefix(b"\xef\xbb\xbf"))]
    if start == b"{":
        return _objects(content, progress)
    return [_text(content, progress)]


def _objects(content: Content, progress: Progress | None) -> list[Table]:
    """One object, or one a line: the first line tells."""
    data = content.data.removeprefix(b"\xef\xbb\xbf").lstrip()
    first = _try(data.split(b"\n", 1)[0])
    if isinstance(first, dict) and books.is_bybit(first):
        return [books.bybit_table(content, progress)]
    if isinstance(first, dict) and b"\n" in data.strip():
        if not alpha_vantage.is_series(first):
            raise refusal(content.file, document_reason(first))
        lines = content.data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        documents = [(number, _try(line)) for number, line in enumerate(lines, 1) if line.strip()]
        return alpha_vantage.line_tables(content.file, documents)
    document = first if isinstance(first, dict) else json_rows.load(content.file, data)
    if not isinstance(document, dict) or not alpha_vantage.is_series(document):
        raise refusal(content.file, document_reason(document if isinstance(document, dict) else {}))
    if any("buy price" in field for field in _first_bar(document)):
        return alpha_vantage.line_tables(content.file, [(1, document)])
    return [alpha_vantage.table(document)]


def _first_bar(document: dict[str, Any]) -> list[str]:
    series: Any = next((value for key, value in document.items() if "Time Series" in key), {})
    bar: Any = next(iter(series.values()), {}) if isinstance(series, dict) else {}
    return list(bar) if isinstance(bar, dict) else []


def _try(line: bytes) -> Any:
    try:
        return json_rows.load("", line)
    except Invalid:
        return line.decode(errors="replace")


def _text(content: Content, progress: Progress | None) -> Table:
    sheet = sniff(content.file, content.data)
    if found := binance.recognise(sheet):
        _require_rows(sheet)
        return binance.table(content, sheet, *found, progress)
    if lean.recognise(sheet):
        return lean.table(content, sheet, progress)
    if not sheet.header:
        raise refusal(content.file, _headless(sheet))
    if form := books.recognise(sheet.header):
        _require_rows(sheet)
        return books.sheet_table(content, sheet, form, progress)
    named_columns = named.recognise(sheet.header, content.file)
    if named_columns is None:
        lines = sheet.data.split(b"\n", 8)[:8]
        raise refusal(content.file, table_reason(sheet.header, lines, sheet.delimiter))
    _require_rows(sheet)
    return named.sheet_table(content, sheet, *named_columns, progress)


def _require_rows(sheet: Delimited) -> None:
    if not sheet.sample:
        raise Invalid(f"{sheet.file}: a header and no rows", hint="fetch the file again")


def _headless(sheet: Delimited) -> str:
    shown = sheet.delimiter.join(sheet.sample)[:80]
    if len(sheet.sample) < 2:
        return "plain text, no table of candles or trades"
    return f"{len(sheet.sample)} columns without a header, of no known kind ({shown!r}): name them in a first line"
