"""The pictures of the documents: readable at the width of a page, light or dark, and complete."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *(ROOT / "docs").glob("*.md")]
SHOWN = [
    (page, words, page.parent / target)
    for page in PAGES
    for words, target in re.findall(r"!\[([^\]]*)\]\(([\w/.]+\.png)\)", page.read_text())
]
DRAWABLE = find_spec("matplotlib") is not None  # the extra `bench` has it: a check on top


def test_every_picture_is_shown_and_every_shown_one_is_there() -> None:
    there = {*(ROOT / "docs" / "img").glob("*.png"), *(ROOT / "benchmarks/results").glob("*.png")}
    assert {picture for _, _, picture in SHOWN} == there


@pytest.mark.parametrize(
    ("page", "words", "picture"), SHOWN, ids=lambda value: getattr(value, "stem", "")
)
def test_a_picture_reads_on_any_page(page: Path, words: str, picture: Path) -> None:
    assert len(words.split()) >= 10, "the text for those who cannot see it says what it shows"
    header, data = picture.read_bytes()[:29], picture.read_bytes()
    width, _, depth, color = struct.unpack(">IIBB", header[16:26])
    assert width >= 2 * 830, "twice the width of a page of the repository, in pixels"
    start = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[start - 4 : start])
    row = zlib.decompressobj().decompress(data[start + 4 : start + 4 + length], 5)
    assert (depth, color) == (8, 6), "eight bits each of red, green, blue and opacity"
    assert row[4] == 255, "its background is its own: the page's may be dark"
    assert min(row[1:4]) >= 200, "and light, which its dark text needs"


def test_the_plots_that_a_run_puts_into_its_page_are_those_drawn() -> None:
    from benchmarks.report import SHOWN as PLOTS

    page = (ROOT / "benchmarks" / "README.md").read_text()
    for name, words in PLOTS.items():
        assert f"![{words}](results/{name}.png)" in page
        assert f"![{words}](benchmarks/results/{name}.png)" in (ROOT / "README.md").read_text()


def plots() -> dict[str, Any]:
    from benchmarks.peers import all_peers
    from benchmarks.plots import pictures
    from benchmarks.report import SHOWN as PLOTS

    recorded = json.loads((ROOT / "benchmarks/results/results.json").read_text())
    drawn = pictures(recorded, {name: each.kind for name, each in all_peers().items()})
    assert set(drawn) == set(PLOTS)
    return drawn


def dashboard() -> Any:
    from ops.picture import draw

    panels = json.loads((ROOT / "ops" / "dashboard.json").read_text())
    values = {"service": "kinesis", "destination": "demo", "code": "ReadTimeoutError"}
    answers = {}
    for panel in panels["panels"]:
        names = []
        for target in panel["targets"]:
            label = re.sub(r"{{(\w+)}}", lambda m: values.get(m[1], m[1]), target["legendFormat"])
            more = 9 if "{{code}}" in target["legendFormat"] else 1
            names += [label + "x" * number for number in range(more)]
        answers[panel["id"]] = [
            (name, [(float(at), float(place * at)) for at in range(90)])
            for place, name in enumerate(names)
        ]
    return draw(panels, answers, [(0.0, "all well"), (30.0, "less well")], 90.0)


def test_nothing_lies_over_the_data_and_everything_is_named() -> None:
    for name, figure in {**plots(), "dashboard": dashboard()}.items() if DRAWABLE else ():
        figure.canvas.draw()
        legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
        for legend in filter(None, legends):
            box = legend.get_window_extent()
            assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes), name
            labels = [text.get_text() for text in legend.get_texts()]
            assert len(set(labels)) == len(labels), name
        assert figure.get_suptitle(), name
        for axes in figure.axes:
            assert axes.get_title(loc="left") or len(figure.axes) == 1, name
            if axes.get_xticks().size:
                lowest = figure.axes[-1] if name != "dashboard" else axes
                assert lowest.get_xlabel(), name
                assert (axes.get_xscale() == "log") == ("log scale" in lowest.get_xlabel()), name
            named = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
            looks = {
                (line.get_color(), line.get_linestyle(), str(line._dash_pattern)) for line in named
            }
            assert len(looks) == len(named), name
        for text in texts(figure):
            if text.get_text().strip():
                assert text.get_fontsize() >= 7.5, (name, text)
                box = text.get_window_extent()
                assert box.x0 >= 0, (name, text)
                assert box.x1 <= figure.bbox.x1, (name, text)


def texts(figure: Any) -> Iterator[Any]:
    yield from figure.texts
    for axes in figure.axes:
        yield from (*axes.texts, *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label)
        yield axes._left_title
        if axes.get_legend():
            yield from axes.get_legend().get_texts()
