"""The page of a real ComfyUI in a real browser: previews that answer, names that are checked, and nothing broken.

COMFYUI_PATH names the checkout, CHROMIUM_PATH the browser; COMFYUI_FRONTEND_ROOT may name another front end's folder.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.comfyui import ComfyServer
from llmseg import segment
from llmseg.errors import InputError
from llmseg.examples import load_example
from llmseg.files import image_to_tensor
from llmseg.names import parse_names

ROOT = Path(__file__).parent.parent
NAMES = "building, sky, grass, dog, flower, ball, tree, car"
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": False}

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.browser,
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI checkout"),
    pytest.mark.skipif("CHROMIUM_PATH" not in os.environ, reason="CHROMIUM_PATH names no Chromium"),
]

GRAPH = """names => {
  const make = (type, x) => {
    const node = window.LiteGraph.createNode(type);
    window.app.graph.add(node);
    node.pos = [x, 0];
    return node;
  };
  window.app.graph.clear();
  const [image, segment, classes] = [make("LLMSegExampleImage", 0), make("LLMSegSegment", 400), make("LLMSegClassNames", 900)];
  segment.widgets.find(widget => widget.name === "class_names").value = names;
  image.connect(0, segment, 0);
  window.app.canvas.ds.scale = 1;
  window.app.canvas.ds.offset = [100, 60];
}"""
NODE = "type => window.app.graph.nodes.find(node => node.type === type)"


@pytest.fixture(scope="module")
def pack_name() -> str:
    """The folder in custom_nodes that holds this repository: part of the scripts' address."""
    packs = Path(os.environ["COMFYUI_PATH"], "custom_nodes")
    found = [path.name for path in packs.iterdir() if path.resolve() == ROOT]
    if not found:
        pytest.skip("custom_nodes of COMFYUI_PATH does not hold this repository")
    return found[0]


@pytest.fixture(scope="module")
def server(pack_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server whose folders are all temporary."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "user" / "default").mkdir(parents=True)
    (folder / "user" / "default" / "comfy.settings.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ.get("COMFYUI_PYTHON", sys.executable), "main.py", "--cpu", "--listen", "127.0.0.1"]
    command += ["--port", str(port), "--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
    for kind in ("output", "temp", "user"):
        command += [f"--{kind}-directory", str(folder / kind)]
    if frontend := os.environ.get("COMFYUI_FRONTEND_ROOT"):
        command += ["--front-end-root", frontend]
    log = folder / "server.log"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=os.environ["COMFYUI_PATH"], env=environment, stdout=stream, stderr=stream
        )
    running = ComfyServer(process, port, log)
    try:
        running.wait(lambda: running.fetch("/system_stats"))
        yield running
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=os.environ["CHROMIUM_PATH"], args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, server: ComfyServer) -> Iterator[Any]:
    """A page with the small graph; `page.problems` are the errors that nobody caught."""
    address = f"http://127.0.0.1:{server.port}"
    opened = browser.new_page(viewport={"width": 1700, "height": 1000})
    opened.problems = []
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.route(
        "**/*",
        lambda route: route.continue_() if route.request.url.startswith((address, "data:", "blob:")) else route.abort(),
    )
    opened.goto(address)
    opened.wait_for_function("() => Boolean(window.app?.graph && window.app.extensionManager && window.app.canvas)")
    opened.wait_for_function("() => 'LLMSegSegment' in window.LiteGraph.registered_node_types")
    opened.wait_for_timeout(1000)  # the page clears its graph once more when it is ready
    opened.evaluate(GRAPH, NAMES)
    yield opened
    opened.close()


def run(page: Any, server: ComfyServer) -> dict[str, Any]:
    with page.expect_response(lambda r: r.url.endswith("/prompt") and r.request.method == "POST") as caught:
        page.evaluate("window.app.queuePrompt(0)")
    prompt_id = caught.value.json()["prompt_id"]
    record: dict[str, Any] = server.wait(lambda: server.fetch(f"/history/{prompt_id}").get(prompt_id))
    assert record["status"]["status_str"] == "success"
    return record


def saved(page: Any) -> Any:
    """What a workflow file and a prompt would hold of the nodes."""
    file = page.evaluate("window.app.graph.serialize().nodes.map(node => [node.id, node.widgets_values])")
    return sorted(file), page.evaluate("window.app.graphToPrompt().then(made => made.output)")


def test_hovering_tells_what_the_labels_say(page: Any, server: ComfyServer) -> None:
    result = segment(image_to_tensor(load_example("park")), NAMES)
    before = saved(page)
    run(page, server)
    picture = page.locator(".llmseg-stage canvas")
    picture.wait_for()
    page.wait_for_timeout(500)
    assert saved(page) == before, "the viewer enters no file and no prompt"
    box, (height, width) = picture.bounding_box(), result.labels.shape[1:]
    scale = min(box["width"] / width, box["height"] / height)
    left, top = box["x"] + (box["width"] - width * scale) / 2, box["y"] + (box["height"] - height * scale) / 2
    told = 0
    for y, x in [(60, 30), (20, 120), (150, 70), (110, 140), (150, 140), (180, 250), (60, 200)]:
        page.mouse.move(left + (x + 0.5) * scale, top + (y + 0.5) * scale)
        tip = page.locator(".llmseg-tip").inner_text()
        label, phrase = int(result.labels[0, y, x]), int(result.winning_phrase[0, y, x])
        assert tip.startswith(result.names[label]), (y, x)
        assert int(re.search(r"(\d+)% sure", tip)[1]) == pytest.approx(100 * float(result.confidence[0, y, x]), abs=1)  # type: ignore[index]
        won = "" if phrase < 0 else result.phrases[phrase]
        assert (won in tip) if won != result.names[label] else ("won by" not in tip)
        told += "won by" in tip
    assert told >= 2, "among the points are some that a subclass won"
    page.mouse.move(5, 500)
    assert not page.locator(".llmseg-tip").is_visible()
    assert page.problems == []


def canvas_pixels(page: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    data = page.evaluate("""() => {
        const canvas = document.querySelector(".llmseg-stage canvas");
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return [canvas.height, canvas.width, Array.from(pixels.data)];
    }""")
    return np.array(data[2], dtype=np.uint8).reshape(data[0], data[1], 4)[..., :3]


def test_a_legend_entry_isolates_its_class(page: Any, server: ComfyServer) -> None:
    result = segment(image_to_tensor(load_example("park")), NAMES)
    run(page, server)
    page.locator(".llmseg-legend button").first.wait_for()
    everything = canvas_pixels(page)
    page.locator(".llmseg-legend button", has_text="sky").click()
    isolated = canvas_pixels(page)
    sky = (result.labels[0] == result.index("sky")).numpy()
    assert np.array_equal(isolated[sky], everything[sky])
    assert (isolated[~sky] <= everything[~sky] * 0.3 + 1).all()
    assert page.locator(".llmseg-legend button[aria-pressed=true]").all_inner_texts()[0].startswith("sky")
    page.locator(".llmseg-legend button", has_text="sky").click()
    assert np.array_equal(canvas_pixels(page), everything)
    assert page.evaluate(f"({NODE})('LLMSegSegment').imgs?.length ?? 0") == 0, "one preview, not two"


def status(page: Any) -> str:
    page.wait_for_timeout(600)
    text: str = page.locator(".llmseg-names output").nth(1).inner_text()  # the first is of Segment by Name
    return text


def test_the_name_box_tells_collisions_and_offers_lists(page: Any) -> None:
    write = f"text => {{ ({NODE})('LLMSegClassNames').widgets.find(w => w.name === 'text').value = text; }}"
    page.locator(".llmseg-names").nth(1).wait_for()
    assert status(page) == "3 classes"
    page.evaluate(write, "dog, cat, Dog, sofa | CAT")
    assert status(page) == "“Dog” stands twice; “CAT” stands twice"
    page.evaluate(write, "# nothing")
    assert status(page) == "no class name yet"
    page.locator(".llmseg-names select").nth(1).select_option("voc21")
    assert status(page) == "21 classes"
    (_, values) = next(entry for entry in saved(page)[0] if "custom" in entry[1])
    assert parse_names(values[0]).names[0] == "background" or "aeroplane" in values[0]
    page.evaluate(f"() => {{ ({NODE})('LLMSegClassNames').widgets.find(w => w.name === 'preset').value = 'ade150'; }}")
    assert status(page) == "The list ade150 is used, not this text."
    assert page.problems == []


def test_without_widgets_of_its_own_the_plain_preview_stays(page: Any, server: ComfyServer) -> None:
    page.evaluate("() => { delete window.LiteGraph.LGraphNode.prototype.addDOMWidget; }")
    page.evaluate(f"() => {{ ({NODE})('LLMSegSegment').addDOMWidget = undefined; }}")
    run(page, server)
    page.wait_for_function(f"() => ({NODE})('LLMSegSegment').imgs?.length === 1")
    assert page.locator(".llmseg-viewer").count() == 0
    assert page.problems == []


def test_files_that_cannot_be_loaded_leave_the_plain_preview(page: Any, server: ComfyServer) -> None:
    ours = re.compile(r"/view\?(?!.*rand=).*subfolder=llmseg")  # the page's own preview asks with a random number
    page.route(ours, lambda route: route.abort())
    record = run(page, server)
    page.wait_for_function(f"() => ({NODE})('LLMSegSegment').imgs?.length === 1")
    (output,) = record["outputs"].values()
    for broken in ({"images": [], "llmseg": [{}]}, {"llmseg": "x"}, {"images": [{}], "llmseg": [None]}, None, output):
        page.evaluate(f"output => {{ ({NODE})('LLMSegSegment').onExecuted(output); }}", broken)
    page.wait_for_timeout(500)
    assert page.locator(".llmseg-viewer").count() == 0
    assert page.problems == []


def test_nodes_that_go_take_their_views_along(page: Any, server: ComfyServer) -> None:
    run(page, server)
    page.locator(".llmseg-viewer").wait_for()
    page.evaluate("() => window.app.graph.clear()")
    page.wait_for_timeout(500)
    assert page.locator(".llmseg-viewer, .llmseg-names").count() == 0
    assert page.problems == []


CASES = [
    "dog, car, tree",
    "dog, Dog",
    "sofa | couch, COUCH",
    "mouse (animal), mouse (computer device)",
    "mouse (computer device) | rat; cat",
    "# dog\ncat\r\n  # cat\ndog",
    "Straße, STRASSE",
    "ΟΔΟΣ, οδος",
    "a_b, a  b",
    "犬、猫，犬",
    "ｄｏｇ, dog",
    "ﬁsh, fish",
    "é, e\u0301",
    "dog\x1ccat\x85dog",
    "a\ufeffb, a b",
    "\u00a0dog\u3000, dog",
    "dog (a, b), cat",
    "dog (), cat",
    "(dog), cat",
    "dog (x) y, dog (x)",
    "|dog|, , ;",
    "İ, i̇, ı, I",
    "\u1e9e, ss",
    "x" * 100 + ", dog",
]


def python_reading(text: str) -> Any:
    """Names, aliases and senses; or the first wording that stands twice."""
    try:
        return [[entry.name, list(entry.aliases), entry.sense] for entry in parse_names(text).classes]
    except InputError as error:
        twice = re.match(r"names: ('.*?'|\".*?\") stands twice", str(error))
        return twice[1][1:-1] if twice else "refused"


def test_javascript_reads_names_as_python_does(page: Any, pack_name: str) -> None:
    read = """async ([address, texts]) => {
      const { parseNames } = await import(address);
      return texts.map(text => {
        const { classes, collisions, problems } = parseNames(text);
        if (collisions.length) return collisions[0];
        return problems.length ? "refused" : classes.map(entry => [entry.name, entry.aliases, entry.sense]);
      });
    }"""
    cases = [*CASES, "", " , ", "# only a comment", "y" * 101, "dog (" + "z" * 101 + ")", "犬" * 100]
    answers = page.evaluate(read, [f"/extensions/{pack_name}/names.js", cases])
    for case, answer in zip(cases, answers, strict=True):
        assert answer == python_reading(case), case


def test_javascript_tells_letters_apart_as_python_does(page: Any, pack_name: str) -> None:
    ranges = [(0x20, 0x250), (0x370, 0x590), (0x10A0, 0x1100), (0x1E00, 0x2000), (0x2C00, 0x2D00)]
    letters = [chr(code) for start, end in ranges for code in range(start, end)]
    fold = """async ([address, letters]) => {
      const { cleanPhrase, foldCase } = await import(address);
      return letters.map(letter => foldCase(cleanPhrase(letter)));
    }"""
    from llmseg.names import clean_phrase

    answers = page.evaluate(fold, [f"/extensions/{pack_name}/names.js", letters])
    theirs: dict[str, set[str]] = {}
    ours: dict[str, set[str]] = {}
    for letter, answer in zip(letters, answers, strict=True):
        theirs.setdefault(answer, set()).add(letter)
        ours.setdefault(clean_phrase(letter).casefold(), set()).add(letter)
    assert sorted(map(sorted, theirs.values())) == sorted(map(sorted, ours.values()))


def test_the_scripts_speak_the_language_of_the_page(page: Any, pack_name: str) -> None:
    speak = """async ([address, codes]) => {
      const { setLanguage, say } = await import(address);
      return codes.map(code => { setLanguage(code); return say("{0} of {1}", 2, 5); });
    }"""
    answers = page.evaluate(speak, [f"/extensions/{pack_name}/words.js", ["zh", "zh-CN", "de", "en", None]])
    assert answers == ["第 2 张，共 5 张"] * 2 + ["2 of 5"] * 3
