"""Every shipped workflow in ComfyUI's own page: it opens tidily and without a complaint, runs, and shows what it made.

COMFYUI_PATH names a checkout whose custom_nodes hold this repository, CHROMIUM_PATH a Chromium. Pictures of the page,
loaded and after a run, go to the folder that LLMSEG_SCREENSHOTS names, else to the test's own. COMFYUI_FRONTEND_ROOT
may name the folder of another front end.

Not here: pixels and metadata (`test_comfyui_pack`), what the previews answer to the pointer.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from conftest import import_nodes, place_local_clip
from PIL import Image

from benchmarks.comfyui import ComfyServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; it drives the page")

ROOT = Path(__file__).parent.parent
SHIPPED = sorted((ROOT / "workflows").glob("*.json"))
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False, "LiteGraph.Canvas.MinFontSizeForLOD": 0}
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SIZE = {"width": 1900, "height": 1150}  # high enough that what the page says of a job covers no graph
TITLE = 30  # pixels of a node's title, which stands above its place
MARGIN = 12  # pixels around the graph in a picture
NODES = set(import_nodes().NODE_CLASS_MAPPINGS)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.comfyui,
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout"),
    pytest.mark.skipif("CHROMIUM_PATH" not in os.environ, reason="CHROMIUM_PATH names no Chromium"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server whose folders are all of this test's own: a page writes settings."""
    folder = tmp_path_factory.mktemp("comfyui")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ.get("COMFYUI_PYTHON", sys.executable), "main.py", "--cpu", "--disable-api-nodes"]
    command += ["--extra-model-paths-config", str(place_local_clip(folder))]
    command += ["--listen", "127.0.0.1", "--port", str(port), "--database-url", "sqlite:///:memory:"]
    for kind in ("input", "output", "temp", "user"):
        (folder / kind).mkdir()
        command += [f"--{kind}-directory", str(folder / kind)]
    if frontend := os.environ.get("COMFYUI_FRONTEND_ROOT"):
        command += ["--front-end-root", frontend]
    (folder / "user" / "default").mkdir()
    (folder / "user" / "default" / "comfy.settings.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    log = folder / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=os.environ["COMFYUI_PATH"], stdout=stream, stderr=stream)
    running = ComfyServer(process, port, log)
    try:
        running.wait(lambda: running.fetch("/system_stats"))
        if not set(running.fetch("/object_info")) >= NODES:
            pytest.skip("custom_nodes of COMFYUI_PATH does not hold this repository")
        yield running
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=os.environ["CHROMIUM_PATH"], args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture
def page(server: ComfyServer, browser: Any) -> Iterator[Any]:
    """The page in a profile of its own; `page.complaints` are the errors of its console."""
    url = f"http://127.0.0.1:{server.port}"
    context = browser.new_context(viewport=SIZE)
    tab = context.new_page()
    tab.set_default_timeout(120_000)
    tab.complaints = []
    tab.on("console", lambda said: said.type in ("error", "warning") and tab.complaints.append(_place_and_text(said)))
    tab.on("pageerror", lambda error: tab.complaints.append(f"llmseg? {error.stack}"))
    # Nothing outside this computer is asked.
    inside = (url, "data:", "blob:")
    tab.route("**/*", lambda route: route.continue_() if route.request.url.startswith(inside) else route.abort())
    tab.goto(url)
    tab.wait_for_function("window.app?.graph && window.app.extensionManager && window.app.canvas")
    tab.wait_for_function("name => window.LiteGraph.registered_node_types[name]", arg=min(NODES))
    tab.wait_for_timeout(1000)
    yield tab
    context.close()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_it_opens_runs_and_shows_what_it_made(path: Path, page: Any, server: ComfyServer, tmp_path: Path) -> None:
    shots = Path(os.environ.get("LLMSEG_SCREENSHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    page.evaluate("graph => window.app.loadGraphData(graph)", _read(path))
    page.wait_for_timeout(1500)
    _photograph(page, shots / f"{path.stem}_loaded.png")
    _check_layout(page)
    sent = page.evaluate("async () => JSON.parse(JSON.stringify((await window.app.graphToPrompt()).output))")
    assert _declared(sent) == _declared(_read(ROOT / "workflows" / "api" / path.name))

    record = _run(page, server)
    assert record["status"]["status_str"] == "success", record["status"]
    page.wait_for_function(SHOWN, arg=record["outputs"], timeout=30_000)
    _photograph(page, shots / f"{path.stem}_run.png")
    _check_layout(page)  # previews have made nodes grow
    assert [said for said in page.complaints if "llmseg" in said.casefold()] == []


# Every image that a run gave is on its node, in the page's own way or in ours, and every text.
SHOWN = """outputs => Object.entries(outputs).every(([id, {images, text}]) => {
    const node = window.app.graph.getNodeById(Number(id));
    const viewer = node.widgets?.find(widget => widget.element?.querySelector?.(".llmseg-legend button"));
    const pictures = node.imgs?.filter(picture => picture.complete && picture.naturalWidth).length ?? 0;
    const texts = node.widgets?.map(widget => widget.value) ?? [];
    return (!images || viewer || pictures === images.length) && (!text || text.every(each => texts.includes(each)));
})"""


def _check_layout(page: Any) -> None:
    """No node is red or lies on another, and every group holds all of a node or nothing of it."""
    graph = page.evaluate("""() => {
        const {graph, lastNodeErrors} = window.app, known = window.LiteGraph.registered_node_types;
        const nodes = graph.nodes.map(({type, title, pos, size, has_errors}) =>
            ({name: title, box: [...pos, ...size], red: Boolean(has_errors) || !(type in known)}));
        const groups = graph.groups.map(({title, pos, size}) => ({name: title, box: [...pos, ...size]}));
        return {nodes, groups, errors: Object.keys(lastNodeErrors ?? {})};
    }""")
    assert graph["errors"] == []
    assert [node["name"] for node in graph["nodes"] if node["red"]] == []
    boxes = [(node["name"], _with_title(node["box"])) for node in graph["nodes"]]
    overlaps = [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if _common(one, other)]
    assert overlaps == []
    for group in graph["groups"]:
        whole = _corners(group["box"])
        torn = [name for name, box in boxes if (found := _common(box, whole)) and found != box]
        assert torn == [], group["name"]


def _with_title(box: list[float]) -> tuple[float, ...]:
    left, top, right, bottom = _corners(box)
    return left, top - TITLE, right, bottom


def _corners(box: list[float]) -> tuple[float, ...]:
    """Left, top, width, height as left, top, right, bottom, to the pixel."""
    left, top, width, height = map(round, box)
    return left, top, left + width, top + height


def _common(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...] | None:
    """What two boxes have in common; None where they do not meet."""
    left, top, right, bottom = (*map(max, one[:2], other[:2]), *map(min, one[2:], other[2:]))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _declared(prompt: dict[str, Any]) -> dict[str, Any]:
    """A prompt without what each front end adds in its own way: remarks, and widgets that no class declares."""
    for record in prompt.values():
        record.pop("_meta", None)
        if record["class_type"] == "PreviewAny":
            record["inputs"] = {"source": record["inputs"]["source"]}
    return prompt


def _run(page: Any, server: ComfyServer) -> dict[str, Any]:
    """Press Run, and wait until it is done."""
    with page.expect_response(
        lambda answer: answer.url.endswith("/prompt") and answer.request.method == "POST"
    ) as sent:
        page.evaluate("window.app.queuePrompt(0)")
    answer = sent.value.json()
    assert answer.get("node_errors") == {}, answer
    identity = answer["prompt_id"]
    return dict(server.wait(lambda: server.fetch(f"/history/{identity}").get(identity)))


def _photograph(page: Any, path: Path) -> None:
    """The whole graph, without the page around it."""
    page.evaluate("window.app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.wait_for_timeout(1500)
    left, top, right, bottom = page.evaluate("""() => {
        const {graph, canvas} = window.app, all = [...graph.nodes, ...graph.groups].map(each => [...each.pos, ...each.size]);
        const [x0, y0] = [0, 1].map(k => Math.min(...all.map(box => box[k])));
        const [x1, y1] = [0, 1].map(k => Math.max(...all.map(box => box[k] + box[k + 2])));
        const frame = canvas.canvas.getBoundingClientRect(), {scale, offset} = canvas.ds;
        const place = (x, y) => [frame.left + (x + offset[0]) * scale, frame.top + (y + offset[1]) * scale];
        return [...place(x0, y0), ...place(x1, y1)];
    }""")
    assert left >= 0
    assert top >= 0
    assert right <= SIZE["width"]
    assert bottom <= SIZE["height"]
    size = {"width": right - left + 2 * MARGIN, "height": bottom - top + 2 * MARGIN}
    page.screenshot(path=str(path), clip={"x": left - MARGIN, "y": top - MARGIN, **size})
    with Image.open(path) as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 100, "it shows something"


def _place_and_text(said: Any) -> str:
    return f"{said.location.get('url', '')}: {said.text}"


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
