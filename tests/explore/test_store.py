"""What is in a store is what was put there, or counts as missing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from spikeloom.explore import store as module
from spikeloom.explore.store import Store, StoreError

KEY = "ab" * 32
VALUE = {"cycles": 130, "luts": 1234.5, "note": "é"}


def test_what_is_put_is_there_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "b")
    assert store.get(KEY) is None and store.keys() == []
    assert store.put(KEY, VALUE) == VALUE == store.get(KEY) == Store(store.folder).get(KEY)
    before = (store.folder / f"{KEY}.json").stat()
    assert store.put(KEY, dict(reversed(VALUE.items()))) == VALUE, "the same again, in another order"
    with pytest.raises(StoreError, match=f"{KEY}.json: there is another result"):
        store.put(KEY, VALUE | {"cycles": 131})
    assert (store.folder / f"{KEY}.json").stat() == before
    assert store.keys() == [KEY] and [path.name for path in store.folder.iterdir()] == [f"{KEY}.json"]


def test_every_damage_is_noticed_and_mended(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, VALUE)
    path = tmp_path / f"{KEY}.json"
    whole = path.read_bytes()
    flipped = [whole[:k] + bytes([whole[k] ^ 1 << bit]) + whole[k + 1 :] for k in range(len(whole)) for bit in range(8)]
    cut = [whole[:k] for k in range(len(whole))]
    odd = [whole + b"\n", whole + whole, b"\0" * len(whole), b"[" * 2_000, b"null", b"[]", b'{"value":1}']
    for damaged in (*flipped, *cut, *odd):
        path.write_bytes(damaged)
        assert store.get(KEY) is None, damaged
    for damaged in (flipped[7], cut[0], cut[-1], odd[2]):
        path.write_bytes(damaged)
        assert store.put(KEY, VALUE) == VALUE and path.read_bytes() == whole
    other = "cd" * 32
    path.rename(tmp_path / f"{other}.json")
    assert store.get(other) is None, "the result of another job"


@pytest.mark.parametrize("value", [None, float("nan"), {"a": float("inf")}, {1, 2}, Path("x"), {1: 2, "a": 3}])
def test_only_json_is_kept(tmp_path: Path, value: object) -> None:
    with pytest.raises(StoreError):
        Store(tmp_path).put(KEY, value)
    assert not list(tmp_path.iterdir())


def test_what_a_kill_left_goes_in_time(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, VALUE)
    new, old = tmp_path / f".{KEY}.1.part", tmp_path / f".{KEY}.2.part"
    for path, age in ((new, 0), (old, module.STALE + 10)):
        path.touch()
        os.utime(path, times=(time.time() - age,) * 2)
    assert Store(tmp_path).keys() == [KEY] and new.exists() and not old.exists()
