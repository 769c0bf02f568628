"""Fetching: the listed bytes in row order, or the right code; the world's faults are raised."""

import os
import pickle
import shutil
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cvdata.errors import ErrorCode, ImageError, StorageError
from cvdata.retry import Retry
from cvdata.schema import RECORDS
from cvdata.sources import Fetcher, open_source
from cvdata.sources.uris import SCHEMES

from .trees import QUICK, fetch, records, tar_of, write, write_memory

FLAKY = SCHEMES | {"flaky"}


class Flaky(MemoryFileSystem):  # type: ignore[misc]
    """A store that fails each of the first `failures` calls, and remembers what it was asked."""

    protocol = "flaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    failures = 0
    delay = 0.0
    calls: ClassVar[list[tuple[str, str]]] = []
    inside = 0
    most_inside = 0
    lock = threading.Lock()

    @classmethod
    def reset(cls, failures: int = 0, delay: float = 0.0) -> "Flaky":
        cls.store, cls.pseudo_dirs, cls.calls = {}, [""], []
        cls.failures, cls.delay, cls.inside, cls.most_inside = failures, delay, 0, 0
        return cls()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("flaky://", "memory://")))

    def _fail(self, what: str, path: str) -> None:
        with Flaky.lock:
            Flaky.calls.append((what, path))
            if Flaky.failures > 0:
                Flaky.failures -= 1
                raise ConnectionResetError(104, "connection reset by peer")

    def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> Any:
        self._fail("cat", path)
        with Flaky.lock:
            Flaky.inside += 1
            Flaky.most_inside = max(Flaky.most_inside, Flaky.inside)
        time.sleep(Flaky.delay)
        try:
            return super().cat_file(path, start=start, end=end, **kwargs)
        finally:
            with Flaky.lock:
                Flaky.inside -= 1

    def info(self, path: str, **kwargs: Any) -> Any:
        self._fail("info", path)
        return super().info(path, **kwargs)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        self._fail("ls", path)
        return super().ls(path, detail=detail, **kwargs)


fsspec.register_implementation("flaky", Flaky, clobber=True)


def flaky_rows(n: int, n_bytes: int = 10, delay: float = 0.0) -> list[dict[str, Any]]:
    fs = Flaky.reset(delay=delay)
    for i in range(n):
        fs.pipe_file(f"/d/{i:03d}.jpg", b"%03d" % i + b"x" * (n_bytes - 3))
    table = pa.concat_tables(open_source("flaky://d", schemes=FLAKY).records())
    Flaky.calls = []
    return list(table.to_pylist())


def test_every_file_in_row_order_whatever_the_order_of_rows(tmp_path: Path) -> None:
    files = {f"{n}.jpg": b"%d" % n * n for n in range(40)}
    for url in (write(tmp_path, files), write_memory("order", files)):
        rows, _ = records(url)
        rows = sorted(rows, key=lambda row: row["image_id"])
        assert fetch(rows) == [files[row["key"].decode()] for row in rows]
    assert fetch([]) == []


def test_real_files(shared_data: Path) -> None:
    source = open_source(str(shared_data / "imagenet_sample"))
    table = pa.concat_tables(source.records())
    got = list(Fetcher(max_bytes=2**20).fetch(table))
    for uri, data in zip(table["uri"].to_pylist(), got, strict=True):
        assert data == Path(uri).read_bytes()


def test_rows_with_an_error_are_never_read(tmp_path: Path) -> None:
    rows, _ = records(write(tmp_path, {"1.jpg": b"1"}))
    rows[0]["error"], rows[0]["error_detail"] = "duplicate_key", "twice"
    table = pa.Table.from_pylist(rows, schema=RECORDS)
    (got,) = Fetcher(max_bytes=10).fetch(table)
    assert isinstance(got, ImageError)
    assert (got.code, got.detail) == (ErrorCode.DUPLICATE_KEY, "twice")


def test_what_happened_since_the_listing(tmp_path: Path) -> None:
    names = [
        "same",
        "gone",
        "longer",
        "touched",
        "link",
        "linked_dir/x",
        "fifo",
        "folder",
        "gone2/x",
    ]
    write(tmp_path, {f"{name}.jpg": b"data" for name in names})
    rows, _ = records(tmp_path, options={"split_from_folder": False})
    write(tmp_path, {"longer.jpg": b"data and more"})
    os.utime(tmp_path / "touched.jpg", ns=(1, 1))
    for name in ("gone", "link", "fifo", "folder"):
        (tmp_path / f"{name}.jpg").unlink()
    (tmp_path / "link.jpg").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "folder.jpg").mkdir()
    shutil.rmtree(tmp_path / "gone2")
    write(tmp_path, {"gone2": b"a file where a folder was"})
    got = dict(zip((row["key"].decode()[:-4] for row in rows), fetch(rows), strict=True))
    assert got == {
        "same": b"data", "gone": "not_found", "longer": "changed", "touched": "changed",
        "link": "path_denied", "linked_dir/x": b"data", "fifo": "path_denied",
        "folder": "path_denied", "gone2/x": "not_found",
    }  # fmt: skip


def test_changed_and_removed_remote_files() -> None:
    url = write_memory("changes", {f"{n}.jpg": b"old" for n in range(3)})
    rows, _ = records(url)
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/changes/1.jpg", b"new")
    fs.rm_file("/changes/2.jpg")
    assert fetch(rows) == [b"old", "changed", "not_found"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_forbidden_files(tmp_path: Path) -> None:
    rows, _ = records(write(tmp_path, {"1.jpg": b"1"}))
    (tmp_path / "1.jpg").chmod(0)
    assert fetch(rows) == ["access_denied"]


def test_large_files_are_refused_by_their_size_and_never_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(2**40)  # a hole of a tebibyte: reading it would not end
    write(tmp_path, {"fits.jpg": b"x" * 100, "over.jpg": b"x" * 101})
    rows, _ = records(tmp_path)
    assert fetch(rows, max_bytes=100) == [b"x" * 100, "too_large_file", "too_large_file"]
    url = write_memory("large", {"fits.jpg": b"x" * 100, "over.jpg": b"x" * 101})
    assert fetch(records(url)[0], max_bytes=100) == [b"x" * 100, "too_large_file"]


def test_members_of_a_shard_that_changed_or_shrank(tmp_path: Path) -> None:
    shard = tar_of([("a.jpg", b"aaa"), ("b.jpg", b"bbb")])
    rows, _ = records(write(tmp_path, {"s.tar": shard}))
    assert fetch(rows) == [b"aaa", b"bbb"]
    found = (tmp_path / "s.tar").stat()
    write(tmp_path, {"s.tar": shard[:-600]})
    assert fetch(rows) == ["changed", "changed"]
    for row in rows:  # even where the revision is not known, no short read is taken for an image
        row["revision"] = ""
        row["offset"] = found.st_size
    assert fetch(rows) == ["changed", "changed"]


@pytest.mark.parametrize(
    "uri", ["http://169.254.169.254/x", "ftp://h/x", "zip://a::/b.zip", "x://y"]
)
def test_schemes_that_are_not_allowed_are_not_opened(uri: str) -> None:
    row = dict.fromkeys(RECORDS.names) | {
        "image_id": b"0" * 16, "revision": "r", "source": "s", "key": b"k", "uri": uri,
    }  # fmt: skip
    assert fetch([row]) == ["path_denied"]
    assert fetch([row | {"uri": f"parquet:{uri}#c", "offset": 0}]) == ["path_denied"]


def test_a_flaky_store_is_asked_again() -> None:
    rows = flaky_rows(5)
    Flaky.failures = 2
    got = fetch(rows, schemes=FLAKY, threads=1)
    assert [data[:3] for data in got] == [b"%03d" % n for n in range(5)]
    assert Flaky.failures == 0


def test_a_store_that_stays_away_is_no_bad_image() -> None:
    rows = flaky_rows(5)
    Flaky.failures = 10**6
    with pytest.raises(StorageError, match="failed 3 times: ConnectionResetError"):
        fetch(rows, schemes=FLAKY)
    n_calls = len(Flaky.calls)
    time.sleep(0.05)
    assert len(Flaky.calls) == n_calls  # nothing goes on behind the caller's back


def test_listing_a_flaky_store(monkeypatch: pytest.MonkeyPatch) -> None:
    flaky_rows(5)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    Flaky.failures = 3
    table = pa.concat_tables(open_source("flaky://d", schemes=FLAKY).records())
    assert table.num_rows == 5
    Flaky.failures = 10**6
    with pytest.raises(StorageError, match="flaky://d"):
        open_source("flaky://d", schemes=FLAKY)


def test_local_faults_of_the_disk_are_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = records(write(tmp_path, {"1.jpg": b"1", "2.jpg": b"2"}))
    pread, failures = os.pread, [OSError(5, "Input/output error")]

    def broken(*args: Any) -> bytes:
        if failures:
            raise failures.pop()
        return pread(*args)

    monkeypatch.setattr(os, "pread", broken)
    assert fetch(rows) == [b"1", b"2"]
    failures += [OSError(5, "Input/output error")] * 100
    with pytest.raises(StorageError, match="Input/output error"):
        fetch(rows)


def test_remote_reads_overlap_within_the_bound_of_bytes() -> None:
    rows = flaky_rows(24, n_bytes=1000, delay=0.01)
    fetch(rows, schemes=FLAKY, threads=4)
    assert 2 <= Flaky.most_inside <= 4
    Flaky.most_inside = 0
    got = fetch(rows, schemes=FLAKY, threads=4, bytes_ahead=1999)
    assert Flaky.most_inside == 1
    assert [data[:3] for data in got] == [b"%03d" % n for n in range(24)]


def test_no_more_is_read_ahead_than_allowed_when_the_caller_is_slow() -> None:
    rows = flaky_rows(50, n_bytes=1000)
    table = pa.Table.from_pylist(rows, schema=RECORDS)
    fetched = Fetcher(max_bytes=2000, threads=4, bytes_ahead=5000, schemes=FLAKY).fetch(table)
    next(fetched)
    time.sleep(0.1)
    assert sum(what == "cat" for what, _ in Flaky.calls) <= 6
    fetched.close()  # type: ignore[attr-defined]


def test_local_and_remote_rows_mixed(tmp_path: Path) -> None:
    local, _ = records(write(tmp_path, {f"{n}.jpg": b"l%d" % n for n in range(5)}))
    remote, _ = records(write_memory("mixed", {f"{n}.jpg": b"r%d" % n for n in range(5)}))
    rows = [row for pair in zip(local, remote, strict=True) for row in pair]
    assert fetch(rows) == [b"%c%d" % (c, n) for n in range(5) for c in b"lr"]


def test_no_file_stays_open(tmp_path: Path) -> None:
    members = [(f"{n}.jpg", b"x") for n in range(20)]
    write(tmp_path, {"s.tar": tar_of(members), "t.tar": tar_of(members)})
    rows, _ = records(tmp_path)
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    fetch(rows)
    iterator = Fetcher(max_bytes=10).fetch(pa.Table.from_pylist(rows, schema=RECORDS))
    next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    assert len(list(open_files.iterdir())) == before


def test_a_fetcher_travels_to_a_worker(tmp_path: Path) -> None:
    rows, _ = records(write(tmp_path, {"1.jpg": b"1"}))
    fetcher = pickle.loads(pickle.dumps(Fetcher(max_bytes=10)))  # noqa: S301  our own bytes
    assert list(fetcher.fetch(pa.Table.from_pylist(rows, schema=RECORDS))) == [b"1"]


def test_backoff_grows_and_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("cvdata.retry.time.sleep", waits.append)
    monkeypatch.setattr("cvdata.retry.random.uniform", lambda low, high: high)

    def fails() -> None:
        raise TimeoutError("slow")

    with pytest.raises(StorageError, match="failed 6 times: TimeoutError: slow"):
        Retry(6, 0.25, 2.0).call("x", fails)
    assert waits == [0.25, 0.5, 1.0, 2.0, 2.0]
    with pytest.raises(FileNotFoundError):
        QUICK.call("x", lambda: Path("/no/such/file").read_bytes())
    assert len(waits) == 5
