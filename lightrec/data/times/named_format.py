"""Dates in a format that ``--time-format`` names."""

from __future__ import annotations

from lightrec.data.reading.polars_import import pl
from lightrec.errors import ConfigError


def read_by_format(text: pl.Series, form: str) -> pl.DataFrame:
    """Read text by a format of strptime's codes (``%d/%m/%Y %H:%M``); without a zone it is UTC.

    Returns:
        "seconds" since 1970 and "nanos" beyond them (both Int64), null where the format does not fit.

    Raises:
        ConfigError: if ``form`` is not such a format.
    """
    try:
        read = text.cast(pl.String).str.to_datetime(
            form.replace(".%f", "%.f"), strict=False, time_unit="ns" if "%.9f" in form else "us", time_zone="UTC"
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        raise ConfigError(
            f"--time-format {form!r} is no format of dates ({str(error).splitlines()[0]}): give one such as "
            '"%d/%m/%Y %H:%M", or seconds, milliseconds, microseconds, nanoseconds, days or positions.'
        ) from None
    micros = read.dt.epoch("us")
    return pl.DataFrame({"seconds": micros // 1_000_000, "nanos": micros % 1_000_000 * 1_000})
