"""Messages: small, and nothing in them is believed before it is checked."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mr import layout
from mr.errors import FormatError
from mr.tasks import Event, Task, TaskState, decode_event, decode_task

TASK = Task("job-1", "1-map", 7, 100, 220, "0" * 64)

TASKS = st.builds(
    Task,
    job=st.from_regex(r"[a-z0-9][a-z0-9-]{0,60}", fullmatch=True),
    stage=st.builds(layout.stage_id, st.integers(1, 999), st.sampled_from(["map", "reduce"])),
    number=st.integers(0, layout.MOST_TASKS - 1),
    start=st.integers(0, 2**40),
    end=st.integers(2**40 + 1, 2**50),
    bundle=st.text("0123456789abcdef", min_size=64, max_size=64),
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)

HOSTILE_BODIES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'"\xff"',
    b'{"\\ud800": 1}',
    b'{"version": 1, "x": ' + b"[" * 100_000,
    b"[" * 100_000,
    b"\0" * 1000,
    TASK.encode() + b"x",
    TASK.encode()[:-1],
]


def with_fields(**fields):
    """The message of a task with some fields replaced."""
    message = json.loads(TASK.encode())
    message["task"].update(fields)
    return json.dumps(message).encode()


@given(task=TASKS)
def test_a_task_comes_back_from_its_message(task):
    """A message holds the whole task in a few hundred bytes."""
    body = task.encode()

    assert decode_task(body) == task
    assert len(body) < 400


def test_a_task_knows_its_stage():
    """Its id, step and kind follow from its stage and number."""
    reduce = dataclasses.replace(TASK, stage="12-reduce")

    assert (TASK.id, TASK.is_map, TASK.step) == ("1-map-0000007", True, 1)
    assert (reduce.id, reduce.is_map, reduce.step) == ("12-reduce-0000007", False, 12)


@pytest.mark.parametrize(
    "fields",
    [
        {"job": "../other"},
        {"job": "Job"},
        {"job": ""},
        {"stage": "map"},
        {"stage": "0-map"},
        {"stage": "01-map"},
        {"stage": "-1-map"},
        {"stage": "1-map-1"},
        {"stage": "1-map/../x"},
        {"stage": "1-sort"},
        {"stage": "\u0661-map"},
        {"stage": "9" * 5000 + "-map"},
        {"number": -1},
        {"number": layout.MOST_TASKS},
        {"number": 2**70},
        {"number": 1.5},
        {"number": "1"},
        {"number": True},
        {"start": -1},
        {"start": 220},
        {"end": 2**63},
        {"end": 2**70},
        {"bundle": ""},
        {"bundle": "g" * 64},
        {"bundle": "A" * 64},
        {"bundle": None},
    ],
)
def test_a_field_out_of_bounds_is_refused(fields):
    """Ids, numbers and digests that no coordinator would send are FormatErrors."""
    with pytest.raises(FormatError):
        decode_task(with_fields(**fields))


def test_another_version_is_refused():
    """A message of a later version is not guessed at."""
    message = json.loads(TASK.encode()) | {"version": 2}

    with pytest.raises(FormatError, match="version 2; only 1 is known"):
        decode_task(json.dumps(message).encode())


@pytest.mark.parametrize("decode", [decode_task, decode_event])
@pytest.mark.parametrize("body", HOSTILE_BODIES, ids=lambda body: repr(body[:12]))
def test_a_hostile_message_is_refused(decode, body):
    """Nothing but a FormatError comes of bytes that are no message."""
    with pytest.raises(FormatError):
        decode(body)


def only_format_error(decode, body):
    """Decode, and let nothing but a FormatError be raised."""
    try:
        decode(body)
    except FormatError:
        return


@given(body=st.binary(max_size=80), at=st.integers(0, 500), change=st.binary(max_size=4))
def test_changed_messages_are_good_or_refused(body, at, change):
    """Random bytes, and messages with some bytes changed, raise nothing but FormatError."""
    for good in (TASK.encode(), Event("j", "1-map-0000001", TaskState.FAILED, "x").encode()):
        changed = good[:at] + change + good[at + len(change) :]
        for decode in (decode_task, decode_event):
            only_format_error(decode, body)
            only_format_error(decode, changed)


@given(
    fields=st.dictionaries(
        st.sampled_from(["job", "stage", "number", "start", "end", "bundle", "more"]), JSON
    )
)
def test_values_of_other_types_are_good_or_refused(fields):
    """Any JSON in place of a field raises nothing but FormatError."""
    only_format_error(decode_task, with_fields(**fields))


@given(text=st.text(), state=st.sampled_from(TaskState))
def test_an_event_comes_back_from_its_message(text, state):
    """What a worker tells the coordinator arrives as it was told."""
    event = Event("j", "1-map-0000001", state, text)

    assert decode_event(event.encode()) == event


def test_an_event_tells_any_error():
    """The text of a user's exception may hold what is not Unicode: the rest of it arrives."""
    event = Event("j", "1-map-0000001", TaskState.FAILED, "bad \ud800 name")

    assert decode_event(event.encode()).text == "bad \\ud800 name"


def test_each_state_has_its_sentence():
    """A task's states are documented one by one."""
    sentences = [state.sentence for state in TaskState]

    assert len(set(sentences)) == len(sentences)
    assert all(text.endswith(".") for text in sentences)
