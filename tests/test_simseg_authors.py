"""The engine equals the authors' own evaluators: same random weights, same pictures, same classes.

LLMSEG_SIMSEG_S names a checkout of SimSeg (muyangyi/SimSeg), LLMSEG_SIMSEG_R one of the evaluator of arXiv:2404.00701
(lmsdss/Training-Free-Semantic-Segmentation-via-LLM-Supervision). Their code runs in a process of its own; see
`simseg_authors`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from llmseg.assembly import assemble_classes
from llmseg.encoder import load_encoder
from llmseg.examples import load_example
from llmseg.files import image_to_tensor
from llmseg.labels import label_pixels
from llmseg.options import SCENE
from llmseg.patch_features import build_patch_features
from llmseg.refinement import refine_maps
from llmseg.scores import score_image
from llmseg.text_bank import build_text_bank
from llmseg.types import ClassExpansion, ClassName, Expansion, Phrase

pytestmark = pytest.mark.slow

SIZES = [(240, 180), (180, 260), (333, 250), (288, 288), (200, 300)]  # of the pictures; landscape, portrait, square
BERT = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 256}
CASES = {  # checkout, list of classes, whether there are subclasses; best scores that make the gate's mean
    "simseg": ("LLMSEG_SIMSEG_S", "pascal_context", False, 30),
    "paper": ("LLMSEG_SIMSEG_R", "pascal_voc", True, 21),
    "paper, many classes": ("LLMSEG_SIMSEG_R", "pascal_context", True, 30),
}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def make_vocabulary(folder, texts):
    """Every word whole, and letters for what nobody thought of."""
    words = sorted({word for text in texts for word in re.findall("[a-z]{2,}", text.lower())})
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,-()_!?'/&0123456789"]
    pieces = [*marks, *LETTERS, *(f"##{letter}" for letter in LETTERS), *words]
    bert = folder / "bert"
    bert.mkdir()
    config = {"model_type": "bert", "architectures": ["BertModel"], "vocab_size": len(pieces), **BERT}
    (bert / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for path in (bert / "vocab.txt", folder / "vocab.txt"):
        path.write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return bert


@pytest.fixture(scope="module", params=CASES)
def run(request, tmp_path_factory):
    """A folder in which an evaluator has run, its subclasses by class, and what it found."""
    variable, classes, expanded, top = CASES[request.param]
    if variable not in os.environ:
        pytest.skip(f"{variable} names no checkout")
    for package in ("cv2", "pydensecrf", "timm", "six"):
        pytest.importorskip(package)
    transformers = pytest.importorskip("transformers")
    checkout, folder = Path(os.environ[variable]), tmp_path_factory.mktemp("simseg")
    names = (checkout / "data" / "label_category" / f"{classes}.txt").read_text(encoding="utf-8").splitlines()
    names = [name.strip() for name in names]
    file = checkout / "label_sets" / classes / "top5.json"
    subclasses = json.loads(file.read_text(encoding="utf-8")) if expanded else {}
    prompts = (checkout / "simseg" / "utils" / "prompt.py").read_text(encoding="utf-8")
    bert = make_vocabulary(folder, [*names, prompts, *chain.from_iterable(subclasses.values())])
    transformers.BertTokenizer(vocab=str(bert / "vocab.txt")).save_pretrained(bert)
    (folder / "classes.json").write_text(json.dumps(names), encoding="utf-8")
    for number, (scene, size) in enumerate(zip([*SCENE.names] * len(SIZES), SIZES, strict=False)):
        picture = Image.fromarray(load_example(scene)).resize(size, Image.Resampling.BILINEAR)
        picture.save(folder / f"{number}.png")
    program = Path(__file__).with_name("simseg_authors.py")
    command = [sys.executable, str(program), str(checkout), str(folder), str(top), *([str(file)] if expanded else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, subclasses, np.load(folder / "found.npz")


@pytest.fixture(scope="module")
def engine(run):
    """The encoder and the text bank, of the checkpoint that the evaluator left."""
    folder, subclasses, _ = run
    encoder = load_encoder(str(folder / "model.pth"))
    entries = []
    for name in json.loads((folder / "classes.json").read_text(encoding="utf-8")):
        role = "background" if name == "background" else "thing"
        phrases = tuple(Phrase(text) for text in subclasses.get(name, ()))
        entries.append(ClassExpansion(ClassName(name, role=role), phrases))
    frames = json.loads((folder / "frames.json").read_text(encoding="utf-8"))
    return encoder, build_text_bank(encoder, Expansion(tuple(entries)), "custom", custom_templates="\n".join(frames))


def test_class_names_have_the_same_vectors(run, engine):
    bank = engine[1]
    assert bank.dropped == ()
    torch.testing.assert_close(bank.name_embeddings, torch.from_numpy(run[2]["texts"]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("number", range(len(SIZES)))
def test_presence_masks_and_labels_are_the_same(run, engine, number, capsys):
    folder, _, found = run
    encoder, bank = engine
    with Image.open(folder / f"{number}.png") as file:
        image = image_to_tensor(np.asarray(file.convert("RGB")))
    maps = assemble_classes(score_image(build_patch_features(encoder, image), bank), gate="simseg")
    painted = refine_maps(maps, image)
    labels = label_pixels(painted).labels[0].numpy()
    present, theirs = maps.present[0].nonzero()[:, 0].tolist(), found[f"present{number}"]
    masks = painted.maps[0, present].numpy() > 0
    assert present == theirs.tolist()
    equal = [(own == other).mean() for own, other in zip(masks, found[f"masks{number}"], strict=True)]
    painted_equal = (labels == found[f"labels{number}"]).mean()
    with capsys.disabled():
        print(f"\n{len(present)} classes, masks {min(equal):.3%} equal at least, labels {painted_equal:.3%}", end="")
    assert 0.01 < (labels > 0).mean() < 0.99
    assert min(equal) > 0.999
    assert painted_equal > 0.999
