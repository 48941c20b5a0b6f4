"""Reading in a process of its own: what comes out is what the same process would have read, errors too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ops.importing.ahead import Ahead
from ops.importing.batches import Task, batches

RECORDS = ['{"id": "l1", "action": "X"}', '{"id": "l2"}', '{"id": "l3", "action": "ä\\n\\\\", "newValues": [1.50]}']


@pytest.fixture
def task(tmp_path: Path) -> Task:
    path = tmp_path / "admin-logs.json"
    path.write_text(f'{{"logs": [{", ".join(RECORDS)}, {{"id": "cut"')
    size = path.stat().st_size
    return Task(path, "admin-logs.json", "logs", "]", 10, True, size, "2024-12-01 00:00:00.000000+00")


def test_batches_arrive_as_they_were_read(task: Task) -> None:
    with Ahead() as ahead:
        found = list(ahead.batches(task))
        assert found == list(batches(task))
        assert list(ahead.batches(task)) == found, "it can be asked again"
    (batch,) = found
    content = task.path.read_bytes()
    assert [json.loads(content[begin:end])["id"] for begin, end in zip(batch.begins, batch.ends, strict=True)] == [
        "l1",
        "l3",
    ]
    assert [(one.name, one.reason) for one in batch.rejects] == [
        ("l2", "action is missing"),
        (None, f"the file ends at byte {task.size}, inside of a record"),
    ]
    assert batch.rejects[0].record == RECORDS[1].encode()
    assert batch.position == task.size


def test_what_cannot_be_read_is_said_where_it_was_asked_for(task: Task) -> None:
    gone = replace(task, path=task.path.with_name("gone"))
    with Ahead() as ahead:
        with pytest.raises(FileNotFoundError) as caught:
            list(ahead.batches(gone))
        assert str(caught.value.filename) == str(gone.path)
        assert len(list(ahead.batches(task))) == 1
