"""Images without facts: every code with its files named."""

from collections.abc import Mapping

from cvdata.report.display import csv_text, heading, name, plural, share
from cvdata.report.findings import ranked
from cvdata.report.inputs import ReportInput
from cvdata.report.section import Section, fill

SEEN = 6
"""Files named per code without a click."""

LISTED = 60
"""Files named per code on the page; the CSV has all that the report was given."""

MEANING: Mapping[str, str] = {
    "empty": "The file holds no bytes.",
    "too_large_file": "The file is larger than the byte limit.",
    "not_an_image": "No image format begins like this file.",
    "format_denied": "A format outside the allowed list.",
    "truncated": "The file ends before the image does.",
    "corrupt": "Broken chunks, a bad checksum, or an error of the decoder.",
    "too_many_pixels": "More pixels, or a longer side, than the limits allow.",
    "decoder_crashed": "The decoder died; the image was isolated and given up.",
    "timeout": "The decoder took longer than the limit.",
    "out_of_memory": "Decoding needed more memory than the limit.",
    "not_found": "The file vanished between listing and reading.",
    "changed": "The file changed between listing and reading, twice.",
    "access_denied": "The file may not be read with these permissions.",
    "path_denied": "A path out of the root, a device, a FIFO or a loop.",
    "duplicate_key": "The key occurs twice in its shard.",
    "archive_denied": "An unsafe or broken archive member.",
    "model_failed": "A model failed on this image alone.",
    "measure_failed": "A measure failed on a readable image: only its own columns are missing.",
}


def failures(data: ReportInput) -> list[Section]:
    """One section: the codes, most frequent first, and the first `LISTED` files of each."""
    rows = data.error_rows.select(["key", "error", "error_detail"]).to_pylist()
    rows.sort(key=lambda row: (row["error"], row["key"]))
    groups = [
        {
            "code": code,
            "title": heading(code),
            "meaning": MEANING.get(code, ""),
            "n": n,
            "share": share(n, data.n_records),
            "rows": [row for row in rows if row["error"] == code][:LISTED],
        }
        for code, n in ranked(data.errors)
    ]
    total = sum(data.errors.values())
    listing = csv_text(
        ("key", "error", "error_detail"),
        ((name(r["key"], 1000), r["error"], name(r["error_detail"] or "", 1000)) for r in rows),
    )
    html = fill(
        "failures.html",
        groups=groups,
        total=plural(total, "image"),
        seen=SEEN,
        all_given=len(rows) >= total,
    )
    downloads = {"errors.csv": listing} if rows else {}
    return [Section("Errors", "errors", html, downloads=downloads)]
