"""Numbers as text."""

import pytest

from symgnn.report.words import (
    MINUS,
    count,
    decimal,
    duration,
    formula,
    listing,
    mean_and_spread,
    memory,
    power_of_ten,
    setting,
    share,
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (decimal(-4.46659, 3), MINUS + "4.467"),
        (decimal(1234.5, 1), "1,234.5"),
        (decimal(float("nan")), "–"),
        (power_of_ten(1e13), "10¹³"),
        (power_of_ten(2.5e-5), "2.5·10⁻⁵"),
        (power_of_ten(0), "–"),
        (formula("Cu64Zr36"), "Cu₆₄Zr₃₆"),
        (formula("Cu64.5Zr35.5"), "Cu₆₄.₅Zr₃₅.₅"),
        (count(1, "glass", "glasses"), "1 glass"),
        (count(1200, "atom"), "1,200 atoms"),
        (share(1, 3), "33 %"),
        (share(999, 1000), "99.9 %"),
        (share(1, 5000), "0.02 %"),
        (share(0, 7), "0 %"),
        (share(7, 7), "100 %"),
        (share(0, 0), "–"),
        (listing(["a"]), "a"),
        (listing(["a", "b", "c"]), "a, b and c"),
        (duration(3.21), "3.2 s"),
        (duration(242.0), "4 min 2 s"),
        (duration(7200.0), "2 h"),
        (duration(90061.0), "1 d 1 h"),
        (memory(512.3), "512 MB"),
        (memory(2048.0), "2.0 GB"),
        (mean_and_spread([1.0, 3.0], 2), "2.00 ± 1.41"),
        (mean_and_spread([1.0], 2), "1.00"),
        (setting(1e13), "10¹³"),
        (setting(1e-4), "10⁻⁴"),
        (setting(-0.5), MINUS + "0.5"),
        (setting(2000.0), "2000"),
        (setting(None), "not set"),
        (setting(True), "yes"),
        (setting([1, 2]), "1, 2"),
        (setting({"a": 0.5}), "a 0.5"),
    ],
)
def test_text(found, expected):
    assert found == expected
