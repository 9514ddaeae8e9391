"""Numbers and lists as plain text for the sentences, captions and tables of a report."""

import math
from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"
MISSING = "\N{EN DASH}"  # what a table shows where there is no number
SUBSCRIPTS = str.maketrans("0123456789.", "₀₁₂₃₄₅₆₇₈₉.")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def decimal(value: float, digits: int = 2) -> str:
    """A number with `digits` decimals and a thousands separator; a dash where it is not finite."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.{digits}f}".replace("-", MINUS)


def mean_and_spread(values: Sequence[float], digits: int) -> str:
    """Mean ± standard deviation of a sample; the mean alone of a single value."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return decimal(mean, digits)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{decimal(mean, digits)} ± {decimal(deviation, digits)}"


def power_of_ten(value: float) -> str:
    """A positive number as a power of ten, such as 10¹³ or 2.5·10¹³."""
    if not math.isfinite(value) or value <= 0:
        return MISSING
    mantissa, exponent = f"{value:.3e}".split("e")
    power = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    mantissa = mantissa.rstrip("0").rstrip(".")
    return power if mantissa == "1" else f"{mantissa}·{power}"


def formula(composition: str) -> str:
    """A composition with its numbers below the line, such as Cu₆₄Zr₃₆."""
    return composition.translate(SUBSCRIPTS)


def setting(value: object) -> str:
    """A setting of a protocol as text; very large and small numbers as powers of ten."""
    if isinstance(value, float) and value and not 1e-3 <= abs(value) < 1e6:
        return power_of_ten(value) if value > 0 else MINUS + power_of_ten(-value)
    if isinstance(value, float):
        return f"{value:g}".replace("-", MINUS)
    if isinstance(value, list | tuple):
        return ", ".join(map(setting, value)) or MISSING
    if isinstance(value, dict):
        return ", ".join(f"{key} {setting(item)}" for key, item in value.items()) or MISSING
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 glass", "1,200 glasses" (`many` defaults to one + "s")."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def share(part: int, whole: int) -> str:
    """`part` of `whole` in per cent; no digit that would turn a part into nothing or all."""
    if whole == 0:
        return MISSING
    percent = 100 * part / whole
    for digits in range(4):
        text = f"{percent:.{digits}f}"
        if (float(text) > 0 or part == 0) and (float(text) < 100 or part == whole):
            break
    return f"{text} %"


def listing(words: Sequence[str]) -> str:
    """Words as a list in a sentence: "a", "a and b", "a, b and c"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def duration(seconds: float) -> str:
    """A time in the two largest units that it needs, such as "3 min 20 s"."""
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    days, hours, minutes, rest = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    units = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    first = next(k for k, (number, _) in enumerate(units) if number)
    return " ".join(f"{number} {unit}" for number, unit in units[first : first + 2] if number)


def memory(megabytes: float) -> str:
    """A size in MB or GB."""
    if not math.isfinite(megabytes):
        return MISSING
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1024 else f"{megabytes:.0f} MB"
