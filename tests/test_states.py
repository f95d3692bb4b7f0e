"""The states of a message, and who changes them: the table says all of it, and nothing else."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import publisher
from publisher._engine.future import PublishFuture
from publisher._engine.state import CANCELLED, FINISHED, MOVES, PENDING, RUNNING

from .hand import Bench, Entry, Wire, delivered

ENGINE = Path(publisher.__file__).parent / "_engine"


class Writers(ast.NodeVisitor):
    """The functions of a module that change a state, by their qualified names."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.found: set[str] = set()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.named(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.named(node)

    def named(self, node: ast.ClassDef | ast.FunctionDef) -> None:
        self.names.append(node.name)
        self.generic_visit(node)
        self.names.pop()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr == "_phase" and isinstance(node.ctx, ast.Store):
            self.found.add(".".join(self.names))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if node.value == "_phase" and len(self.names) > 1:
            self.found.add(".".join(self.names))


def test_the_table_names_all_who_change_a_state() -> None:
    found: set[str] = set()
    for path in (ENGINE.parent).rglob("*.py"):
        writers = Writers()
        writers.visit(ast.parse(path.read_text()))
        found |= writers.found
    # The assignments are made ready in one function, and carried out by another.
    found = {name.replace("Ended._stores", "Ended.commit") for name in found}
    assert found == set().union(*MOVES.values())


def test_nothing_leaves_an_end() -> None:
    assert {before for before, _ in MOVES} == {None, PENDING, RUNNING}
    assert {after for _, after in MOVES} == {PENDING, RUNNING, CANCELLED, FINISHED}


class Watched:
    """In the place of the slot: notes each change, and who made it."""

    def __init__(self, slot: Any) -> None:
        self.slot = slot
        self.seen: set[tuple[str | None, str, str]] = set()

    def __get__(self, message: Any, kind: Any = None) -> Any:
        return self if message is None else self.slot.__get__(message, kind)

    def __set__(self, message: Any, after: str) -> None:
        try:
            before = self.slot.__get__(message, type(message))
        except AttributeError:  # it is being made
            before = None
        code: Any = sys._getframe(1).f_code
        where = getattr(code, "co_qualname", None) or name_of(sys._getframe(1))
        if before != after:
            self.seen.add((before, after, where))
        self.slot.__set__(message, after)


def name_of(frame: Any) -> str:
    """The qualified name of a method, before Python 3.11 knew it."""
    owner = frame.f_locals.get("self")
    function = frame.f_code.co_name
    for kind in type(owner).__mro__ if owner is not None else ():
        if getattr(kind.__dict__.get(function), "__code__", None) is frame.f_code:
            return f"{kind.__name__}.{function}"
    return str(function)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(PublishFuture.__dict__["_phase"])
    monkeypatch.setattr(PublishFuture, "_phase", made)
    yield made
    for before, after, where in made.seen:
        assert where in MOVES[before, after], (before, after, where)


def poisoned(wire: Wire, entries: Sequence[Entry]) -> list[Any]:
    """What a service answers that refuses a whole request for one entry."""
    if any(entry.poison for entry in entries):
        raise ClientError({"Error": {"Code": "InvalidParameter"}}, "PublishBatch")
    return delivered(wire, entries)


def test_what_happens_is_in_the_table(watched: Watched) -> None:
    bench = Bench(max_workers=1, max_messages=8, on_full="drop_oldest", delivery_timeout=60)
    wire = Wire()
    wire.reply = poisoned
    route, ordered = bench.route(wire), bench.route(Wire("topic.fifo"), ordered=True)
    bench.publish_many(route, [str(number) for number in range(8)])
    bench.publish(route, "makes room in what waits")
    bench.hand.settle()
    bench.publish(route, "bad", poison=True)
    for number in range(3):
        bench.publish(route, f"beside {number}")
    bench.hand.settle()
    for number in range(12):
        bench.publish(ordered, f"makes room {number}", group="a")
    assert bench.publish(route, "withdrawn").cancel()
    bench.hand.settle()
    bench.publish(ordered, "carried", group="b")
    bench.hand.step()
    bench.publish(ordered, "expires", group="b")
    bench.clock.now += 61
    bench.hand.settle()
    bench.assert_at_rest()
    ways = {(before, after) for before, after, _ in watched.seen}
    assert ways == set(MOVES), set(MOVES) - ways
