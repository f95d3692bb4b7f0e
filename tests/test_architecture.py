"""What the modules may import and start, read from their source, and what an import does."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import publisher
from publisher import services, types

ROOT = Path(publisher.__file__).parent
#: Programs and tools beside the library: they may start and import what they need.
PROGRAMS = ("publisher.demo", "publisher._cli", "publisher._doctoring", "publisher.doctor")
FRAMEWORKS = {
    "celery",
    "django",
    "flask",
    "gevent",
    "gunicorn",
    "opentelemetry",
    "prometheus_client",
    "pyarrow",
    "pyspark",
    "ray",
    "rq",
    "structlog",
    "uwsgi",
}
STARTERS = {
    "Process",
    "ProcessPoolExecutor",
    "Thread",
    "ThreadPoolExecutor",
    "Timer",
    "start_new_thread",
}


class Import(NamedTuple):
    name: str  # the module, in full
    inner: bool  # inside a function
    typed: bool = False  # for type checkers alone: it never runs


@cache
def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ["publisher", *path.relative_to(ROOT).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = ast.parse(path.read_text(), str(path))
    return found


def is_package(name: str) -> bool:
    return (ROOT.parent / name.replace(".", "/")).is_dir()


class Where(NamedTuple):
    inner: bool = False  # inside a function
    typed: bool = False  # under ``TYPE_CHECKING``


RUNS = Where()


def walk(node: ast.AST, where: Where = RUNS) -> Iterator[tuple[ast.AST, Where]]:
    """Every node, and where it stands."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            negated = isinstance(child.test, ast.UnaryOp)
            for others, typed in ((child.body, not negated), (child.orelse, negated)):
                below = where._replace(typed=where.typed or typed)
                for other in others:
                    yield other, below
                    yield from walk(other, below)
            continue
        yield child, where
        inner = isinstance(child, (ast.FunctionDef, ast.Lambda))
        yield from walk(child, where._replace(inner=where.inner or inner))


@cache
def imports(name: str, *, typed: bool = False) -> list[Import]:
    package = name if is_package(name) else name.rpartition(".")[0]
    found = []
    for node, where in walk(modules()[name]):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, *where) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join(
                    parts[: len(parts) - node.level + 1] + ([node.module] if node.module else [])
                )
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.append(Import(full if full in modules() else base, *where))
    return found


def importers(*names: str) -> set[str]:
    """The modules that import one of the packages ``names``, and not for type checkers alone."""
    return {
        module
        for module in modules()
        if any(found.name.split(".")[0] in names for found in imports(module) if not found.typed)
    }


def outside(found: set[str], *places: str) -> set[str]:
    return {
        name
        for name in found
        if not any(name == place or name.startswith(place + ".") for place in places)
    }


def ours(name: str, *, later: bool = True) -> set[str]:
    """Of our modules those that it imports; without ``later``: as it is imported itself."""
    return {
        found.name
        for found in imports(name)
        if found.name.split(".")[0] == "publisher" and (later or not (found.inner or found.typed))
    }


def test_the_source_is_read() -> None:
    assert {"publisher._engine.core", "publisher.services.sns", "publisher.contrib.flask"} <= set(
        modules()
    )
    assert "publisher._engine.send" in ours("publisher._engine.sender")
    assert Import("boto3", inner=True) in imports("publisher._aws.config")


def test_only_one_folder_starts_threads() -> None:
    starting = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (getattr(node.func, "attr", None) or getattr(node.func, "id", None)) in STARTERS
    }
    rooms = {name.rpartition(".")[0] for name in outside(starting, *PROGRAMS)}
    assert rooms == {"publisher._threads"}


def test_botocore_is_imported_only_where_aws_is_spoken_to() -> None:
    allowed = (
        "publisher.services",
        "publisher._aws",
        "publisher.errors",
        "publisher.testing",  # which answers in AWS's place
    )
    assert outside(importers("boto3", "botocore"), *allowed, *PROGRAMS) == set()


def test_tenacity_is_imported_only_by_the_policy_and_only_when_it_is_needed() -> None:
    assert importers("tenacity") == {"publisher._engine.retry"}
    assert all(
        found.inner or found.typed
        for found in imports("publisher._engine.retry")
        if found.name == "tenacity"
    )


def test_frameworks_are_imported_only_in_contrib() -> None:
    assert outside(importers(*FRAMEWORKS), "publisher.contrib", *PROGRAMS) == set()


#: What a kind of lane stands on; of the other kinds it knows nothing.
BELOW_A_LANE = {
    "_engine.contract",
    "_engine.groups",
    "_engine.lane",
    "_engine.state",
    "_engine.message",
    "_engine.split",
    "_engine.resend",
    "_engine.staying",
    "_account.ledger",
}


@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("errors", set()),
        ("_engine.flow", set()),
        ("_callables", set()),
        ("_engine.retry", {"_callables"}),
        ("_engine.state", {"_fork"}),
        (
            "_engine.future",
            {"errors", "_callables", "_fork", "_account.events", "_engine.state"},
        ),
        ("_account.events", {"_pickling"}),
        (
            "_engine.message",
            {
                "_account.events",
                "_account.ledger",
                "_engine.contract",
                "_engine.future",
                "_engine.state",
                "_options",
            },
        ),
        ("_account.ledger", {"_account.causes", "_account.recent", "_account.tables", "_pickling"}),
        ("_engine.split", {"_engine.message"}),
        ("_engine.request", {"_engine.lane", "_engine.message", "_engine.split"}),
        (
            "_engine.lane",
            {
                "_engine.contract",
                "_engine.state",
                "_engine.message",
                "_engine.split",
                "_engine.staying",
                "_account.ledger",
            },
        ),
        (
            "_engine.resend",
            {
                "_engine.contract",
                "_engine.lane",
                "_engine.state",
                "_engine.message",
                "_engine.split",
            },
        ),
        ("_engine.staying", {"_engine.groups", "_engine.message", "_engine.state"}),
        ("_engine.groups", {"_engine.message", "_engine.state"}),
        ("_engine.store", {"_engine.message", "_account.ledger"}),
        ("_engine.ordered", BELOW_A_LANE),
        ("_engine.unordered", BELOW_A_LANE),
        (
            "_engine.tracker",
            {
                "_engine.lane",
                "_engine.state",
                "_engine.message",
                "_engine.request",
                "_account.ledger",
            },
        ),
        ("_engine.timers", {"_engine.lane"}),
        ("_engine.shares", {"_engine.lane", "_engine.request"}),
        (
            "_engine.scheduler",
            {
                "_engine.lane",
                "_engine.message",
                "_engine.request",
                "_engine.shares",
                "_engine.split",
                "_engine.timers",
                "_engine.tracker",
            },
        ),
        ("_threads.handover", {"_engine.request"}),
        ("_threads.primitives", set()),
        ("_threads.crew", {"_clock", "_threads.primitives"}),
        (
            "_threads.callbacks",
            {"_clock", "_log_lines", "_threads.crew", "_threads.primitives"},
        ),
        (
            "_threads.workers",
            {
                "_engine.core",
                "_engine.request",
                "_fork",
                "_threads.crew",
                "_threads.exit",
                "_threads.handover",
                "_threads.primitives",
            },
        ),
        ("_account.causes", set()),
        ("_aws.reached", set()),
        ("_aws.lightening", set()),
        ("_engine.terms", set()),
        ("_engine.service", {"_engine.terms", "errors"}),
        ("_engine.target", {"_engine.service", "_engine.terms", "_account.events"}),
        ("_engine.contract", {"_engine.service", "_engine.target", "_engine.terms"}),
        ("_aws.direct.signing", set()),
        ("_aws.direct.answer", set()),
        ("_aws.direct.request", {"_fork", "_aws.direct.signing"}),
        ("_aws.direct.sending", {"_aws.direct.answer", "_aws.direct.request"}),
        ("_aws.direct.deciding", {"_aws.listeners"}),
        ("_aws.direct.reading", {"_engine.contract", "_aws.direct.answer", "_aws.direct.request"}),
        ("services", {"_engine.contract"}),
        (
            "services.sns",
            {
                "_engine.contract",
                "errors",
                "services._checks",
                "services._messages",
                "services._tabled",
                "services._texts",
                "services.words.sns",
            },
        ),
        (
            "services.kinesis",
            {
                "_engine.contract",
                "services._checks",
                "services._keys",
                "services._records",
                "services._streams",
                "services._tabled",
                "services.words.kinesis",
            },
        ),
        (
            "services.events",
            {
                "_engine.contract",
                "errors",
                "services._checks",
                "services._events",
                "services._no_single",
                "services._tabled",
                "services.words.events",
            },
        ),
        (
            "services.firehose",
            {
                "_engine.contract",
                "errors",
                "services._by_position",
                "services._checks",
                "services._deliveries",
                "services._tabled",
                "services.words.firehose",
            },
        ),
    ],
)
def test_a_lower_layer_knows_only_what_is_below_it(name: str, below: set[str]) -> None:
    assert ours(f"publisher.{name}") <= {f"publisher.{other}" for other in below}


def test_the_kinds_of_lanes_are_siblings_that_only_their_maker_tells_apart() -> None:
    kinds = {"publisher._engine.ordered", "publisher._engine.unordered"}
    assert {name for name in modules() if kinds & ours(name)} == {"publisher._lanes"}
    bases = {
        node.name: [ast.unparse(base) for base in node.bases]
        for kind in kinds
        for node in modules()[kind].body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Lane")
    }
    assert bases == {"OrderedLane": ["Lane"], "UnorderedLane": ["Lane"]}
    asked = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in {"isinstance", "issubclass", "type"}
        and any("lane" in ast.unparse(argument).lower() for argument in node.args)
    }
    assert asked == set()


#: The rooms, each with those that it may import; what stands in none of them is above them all.
ROOMS = {
    "errors": set(),
    "_fork": set(),
    "_clock": set(),
    "_text": set(),
    "_counting": set(),
    "_callables": set(),
    "_frames": set(),
    "_version": set(),
    "_pickling": set(),
    "_log_lines": set(),
    "hooks": {"_log_lines", "_counting", "_text", "_callables", "_frames", "_clock", "_account"},
    "_account": {"_pickling", "_log_lines", "_counting", "_text", "hooks"},
    "_store": {"_fork", "_clock"},
    "_engine": {
        "_log_lines",
        "errors",
        "_fork",
        "_clock",
        "_text",
        "_callables",
        "hooks",
        "_account",
        "_store",
    },
    "services": {"errors", "_text", "_account", "_engine"},
    "_aws": {
        "_version",
        "_frames",
        "_log_lines",
        "errors",
        "_fork",
        "_clock",
        "_text",
        "_account",
        "_engine",
        "services",
    },
    "_threads": {"_log_lines", "_counting", "errors", "_fork", "_clock", "_account", "_engine"},
}
#: What still points the other way, each with its reason.
EXCEPTIONS = {
    ("_engine.core", "_options"): "an engine is made from the options",
}
#: What points into a room above for type checkers alone, and why.
TYPES_ALONE = {
    ("_account.describing", "_engine"): "events are made of the engine's messages and requests",
    ("_account.telling", "_engine"): "as above",
    ("_account.losses", "_engine"): "a lost message is logged with its target's home",
    ("_engine.message", "_options"): "a route has the delivery options of a client's view",
}


def test_every_file_of_the_inner_rooms_is_read_in_one_sitting() -> None:
    rooms = ("_engine", "services", "_aws", "_threads", "_store")
    lines = {
        path.relative_to(ROOT): len(path.read_text().splitlines())
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
    }
    assert {str(path): count for path, count in lines.items() if count > 300} == {}
    of_services = {
        name: lines[Path("services", f"{services.REGISTRY[name].module.strip('.')}.py")]
        for name in services.names()
    }
    assert {name: count for name, count in of_services.items() if count >= 100} == {}


def test_no_imports_run_in_a_circle() -> None:
    """Those inside functions counted, and those that only type checkers see."""
    left = {name: ours(name) & set(modules()) - {name} for name in modules()}
    while free := [name for name, needed in left.items() if not needed & left.keys()]:
        for name in free:
            del left[name]
    # What stands on a circle is left over too: only what is stood on is in one.
    while ends := [name for name in left if not any(name in needed for needed in left.values())]:
        for name in ends:
            del left[name]
    assert not left


def test_rooms_are_entered_one_way() -> None:
    running, typed = set(), set()
    for name in modules():
        room = name.removeprefix("publisher").strip(".").split(".")[0]
        if room not in ROOMS:
            continue
        for found in imports(name):
            target = found.name.removeprefix("publisher").strip(".")
            other = target.split(".")[0]
            if found.name.split(".")[0] != "publisher" or other in {room, *ROOMS[room]}:
                continue
            if found.typed:
                typed.add((name.removeprefix("publisher."), other))
            else:
                running.add((name.removeprefix("publisher."), target))
    assert running == set(EXCEPTIONS)
    assert typed == set(TYPES_ALONE)


def test_only_the_settings_of_frameworks_import_the_test_kit() -> None:
    importing = {
        name
        for name in modules()
        if any((other + ".").startswith("publisher.testing.") for other in ours(name))
    }
    assert outside(importing, "publisher.testing", *PROGRAMS) == {"publisher.contrib._settings"}


def test_layers_point_downward() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle of imports: {' -> '.join([*path, name])}"
        if name not in done:
            for other in ours(name, later=False) & set(modules()):
                visit(other, (*path, name))
            done.add(name)

    for name in modules():
        visit(name, ())


def test_the_core_needs_nothing_that_is_above_it() -> None:
    above = ("contrib", "testing", "demo", "doctor", "types", "_cli", "_doctoring", "_publisher")
    users = {
        "publisher",
        "publisher.__main__",
        "publisher._publisher",
        "publisher.types",
        "publisher.spool.relay",  # a program of its own, with a publisher
    }
    for name in outside(
        set(modules()) - users, "publisher.contrib", "publisher.testing", *PROGRAMS
    ):
        wanted = outside(ours(name, later=False), "publisher.services")
        assert not {
            other for other in wanted if other.split(".")[1:2] and other.split(".")[1] in above
        }
        assert "publisher" not in ours(name, later=False)


def test_the_core_does_not_know_a_service_by_name() -> None:
    for name in outside(
        set(modules()),
        "publisher.services",
        "publisher.types",
        "publisher.demo",
        "publisher._cli._completion",
    ):
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(modules()[name])
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        typing = {  # overloads for type checkers, which have to be told
            id(constant)
            for node in ast.walk(modules()[name])
            if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "Literal"
            for constant in ast.walk(node)
        }
        said = {
            node.value
            for node in ast.walk(modules()[name])
            if isinstance(node, ast.Constant) and id(node) not in docstrings | typing
        }
        names = {"sns", "kinesis", "firehose", "events"}
        operations = {"publish", "put_record", "put_events", "PublishBatch", "PutRecords"}
        assert not said & (names | operations)


def test_every_docstring_stands_alone() -> None:
    leaning = {
        f"{name}: {text.splitlines()[0]}"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and (text := ast.get_docstring(node) or "").startswith(
            ("The same", "As above", "As of", "Likewise", "Ditto", "See above")
        )
    }
    assert leaning == set()


def test_type_checkers_are_told_of_every_service() -> None:
    tree = modules()["publisher.types._clients"]
    told = [
        ast.literal_eval(node.slice)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "Literal"
    ]
    assert set(told) == set(services.names())
    known = ast.unparse(modules()["publisher.types._common"])
    assert f"Literal[{', '.join(map(repr, services.names()))}]" in known  # ServiceName
    overloads = {
        each: ast.unparse(node.returns)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "__call__" and node.returns
        for each in ast.literal_eval(node.args.args[1].annotation.slice).split()  # type: ignore[union-attr]
    }
    assert set(overloads) == set(services.names())
    assert set(overloads.values()) <= set(types.__all__)


def test_the_types_are_plain_at_run_time() -> None:
    assert all(hasattr(types, name) for name in types.__all__)
    assert {types.SNSClient, types.KinesisClient} == {publisher.Client}
    assert types.Answer is publisher.PublishFuture
    assert not hasattr(types, "SnsClient")


def test_the_version_is_that_of_the_distribution() -> None:
    project = (ROOT.parent / "pyproject.toml").read_text()
    assert f'\nversion = "{publisher.__version__}"\n' in project


def test_what_is_public_is_listed_and_there() -> None:
    assert len(set(publisher.__all__)) == len(publisher.__all__)
    assert all(hasattr(publisher, name) for name in publisher.__all__)
    there = {
        name
        for name, value in vars(publisher).items()
        if not name.startswith("_")
        and str(getattr(value, "__module__", "")).startswith("publisher")
    }
    assert there <= set(publisher.__all__)


@pytest.mark.every_python("what an import brings with it differs by version")
@pytest.mark.parametrize("service", publisher.services.names())
def test_nothing_starts_before_the_first_message(service: str) -> None:
    script = f"""
        import signal, socket, sys, threading
        import urllib3  # tries whether there is IPv6 when it is imported

        sockets, handlers = [], {{n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}}
        real = socket.socket.__init__
        def noted(self, *args, **kwargs):
            sockets.append(args)
            real(self, *args, **kwargs)
        socket.socket.__init__ = noted

        def check(when):
            assert threading.enumerate() == [threading.main_thread()], when
            assert sockets == [], when
            for n, handler in handlers.items():
                assert signal.getsignal(n) is handler, when
            boto3 = sys.modules.get("boto3")
            assert boto3 is None or boto3.DEFAULT_SESSION is None, when

        import publisher
        check("import")
        for name in ("boto3", "tenacity", "asyncio", "multiprocessing.util", "publisher.testing"):
            assert name not in sys.modules, name
        client = publisher.client({service!r})
        assert client._binding is None
        check("client")
        assert publisher.flush(1) == 0
        assert publisher.stats().total.accepted == 0
        check("flush and stats")
        assert publisher.close().accepted == 0
        check("close")
        print("nothing started")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("nothing started\n", "")
