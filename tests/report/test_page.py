"""The page as a whole: self-contained, locked by its CSP, well-formed, the same every time."""

from cvdata.report import ReportInput, render


def test_same_input_same_bytes(data: ReportInput) -> None:
    assert render(data) == render(data)
