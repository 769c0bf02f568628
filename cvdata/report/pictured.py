"""Which images the galleries show: what thumbnails are worth making."""

from cvdata.report.conflicts import shown_conflicts
from cvdata.report.duplicates import shown_groups
from cvdata.report.findings import flagged_rows
from cvdata.report.gallery import SHOWN
from cvdata.report.inputs import ReportInput
from cvdata.report.labels import shown_labels
from cvdata.report.leaks import shown_leaks
from cvdata.report.models import shown_hardest
from cvdata.report.outliers import shown_outliers


def shown_images(data: ReportInput) -> list[bytes]:
    """image_id of every image that `render` has a place for, each once, whatever thumbs there are.

    The pictures of the overview are the first of the galleries'.
    """
    ids = [row["image_id"] for rows in flagged_rows(data).values() for row in rows[:SHOWN]]
    if data.duplicates is not None:
        ids += shown_groups(data.duplicates)
        ids += shown_leaks(data.duplicates)
        ids += shown_conflicts(data.duplicates)
    ids += shown_outliers(data.outliers)
    ids += shown_labels(data.labels)
    ids += shown_hardest(data.models)
    return list(dict.fromkeys(ids))
