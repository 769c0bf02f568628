"""How the report was made: commit, configuration, versions, tables."""

from cvdata.report.display import DataTable
from cvdata.report.inputs import ReportInput
from cvdata.report.section import Section, fill


def colophon(data: ReportInput) -> list[Section]:
    """One section, the last."""
    tables = DataTable(("table", "rows"), tuple(sorted(data.commit.tables.items())))
    versions = DataTable(("package", "version"), tuple(sorted(data.commit.versions.items())))
    html = fill("colophon.html", commit=data.commit, tables=tables, versions=versions)
    return [Section("How this was made", "colophon", html)]
