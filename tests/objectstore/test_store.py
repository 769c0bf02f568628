"""The storage protocol on S3: exclusive writes, and what a bad network does to them."""

import threading
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cvdata.errors import ConfigError, StorageError
from cvdata.storage import Store, digest
from tests.objectstore.conftest import Place
from tests.objectstore.server import FAULTS, S3Server

STORES = pytest.mark.parametrize("place", ["s3", "gs", "abfs", "memory"], indirect=True)


@STORES
def test_the_first_writer_of_a_name_wins(place: Place) -> None:
    store = Store(f"{place.url}/w")
    store.probe()
    data = bytes(range(256)) + b"\r\n--\r\n\n"
    assert store.put_new("a/part", data)
    assert not store.put_new("a/part", b"two")
    assert store.get("a/part") == data
    assert [(e.path, e.size_bytes) for e in store.list()] == [("a/part", len(data))]
    with pytest.raises(FileNotFoundError):
        store.get("a/none")
    store.delete("a/part")
    store.delete("a/part")
    assert list(store.list()) == []


@STORES
def test_a_file_is_written_once_too(place: Place, tmp_path: Path) -> None:
    store = Store(f"{place.url}/w")
    (tmp_path / "one").write_bytes(b"one" * 100_000)
    (tmp_path / "two").write_bytes(b"two")
    assert store.put_file("index", tmp_path / "one")
    assert not store.put_file("index", tmp_path / "two")
    assert store.sha256("index") == digest(b"one" * 100_000)
    with store.local_copy("index") as copy:
        assert copy.read_bytes() == b"one" * 100_000


@STORES
def test_of_eight_writers_at_once_one_wins(place: Place) -> None:
    for number in range(20):
        won = _race(f"{place.url}/w", f"c/{number:03d}")
        assert len(won) == 1
        assert Store(f"{place.url}/w").get(f"c/{number:03d}") == str(won[0]).encode()


def _race(url: str, name: str) -> list[int]:
    """Which of eight threads were told that they wrote `name`."""
    won: list[int] = []
    barrier = threading.Barrier(8)

    def write(who: int) -> None:
        store = Store(url)
        barrier.wait()
        if store.put_new(name, str(who).encode()):
            won.append(who)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


@STORES
@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_in_three_answers_of_ten_change_nothing(place: Place, fault: str) -> None:
    store = Store(f"{place.url}/{fault}")
    place.faults.rates = {fault: 0.3}
    for i in range(6):
        data = f"part {i}".encode()
        store.put_new(f"p/{i:02d}", data)  # False where the answer to a finished write was lost
        assert not store.put_new(f"p/{i:02d}", b"another"), "the name is taken"
        assert store.get(f"p/{i:02d}") == data
    store.probe()
    assert place.faults.seen[fault] >= 1
    place.faults.rates = {}
    assert len(list(store.list())) == 6


def test_a_store_that_stays_down_is_an_error_that_says_what_to_do(
    bucket: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cvdata.storage
    from cvdata.retry import Retry

    monkeypatch.setattr(cvdata.storage, "RETRY", Retry(attempts=2, base_seconds=0.01))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store = Store(f"{bucket}/w")
    s3_server.faults.rates = {"throttled": 1.0}
    with pytest.raises(StorageError, match="run the same command again"):
        store.get("anything")


class Careless(MemoryFileSystem):  # type: ignore[misc]
    """Takes any write, whatever condition it carries."""

    protocol = "careless"
    store: ClassVar[dict[str, Any]] = {}

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        super().pipe_file(path, value, **kwargs)


def test_a_store_that_ignores_the_condition_is_refused() -> None:
    fsspec.register_implementation("careless", Careless, clobber=True)
    with pytest.raises(ConfigError, match="--single-writer"):
        Store("careless://w").probe()
    Store("careless://w", single_writer=True).probe()


class Unaware(Careless):
    """Does not know the argument that asks for an exclusive write."""

    protocol = "unaware"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        if mode == "create":
            raise ValueError(f"mode {mode!r} is not known")
        super().pipe_file(path, value, **kwargs)


@pytest.mark.usefixtures("quick_retries")
def test_a_store_that_does_not_know_the_condition_is_refused_with_the_way_out() -> None:
    fsspec.register_implementation("unaware", Unaware, clobber=True)
    with pytest.raises(ConfigError, match="--single-writer"):
        Store("unaware://w").probe()
