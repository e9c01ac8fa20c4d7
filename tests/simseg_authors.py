"""Runs an evaluator of SimSeg's or of arXiv:2404.00701's authors on random weights, and keeps what it decides.

    python simseg_authors.py CHECKOUT FOLDER TOP [SUBCLASSES]

FOLDER holds `classes.json`, `bert/` (a configuration and a vocabulary) and pictures `0.png` ...; into it go
`model.pth`, as the authors save one, and `found.npz`: per picture the classes that are painted [n], their masks
[n,H,W] and the labels [H,W], and the vectors of the class names [C,D]; `frames.json` are the templates it used. Their code runs as it is, in its own process and on a CPU; only
what it imports without using is stood in for.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import math
import sys
import types
from pathlib import Path

import numpy as np
import torch
from PIL import Image

UNUSED = ("clip", "sentence_transformers", "wandb", "requests", "pyarrow", "pyarrow.parquet", "pandas", "addict")


def stand_in(name):
    if name not in sys.modules and (name.partition(".")[0] in sys.modules or importlib.util.find_spec(name) is None):
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.SentenceTransformer = module.Dict = object
        sys.modules[name] = module


def fill(model, seed=0):
    """Random weights under which patches, words and classes differ."""
    drawn = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=drawn)
        if name.endswith(("pos_embed", "cls_token")):
            parameter.data = 0.3 * noise
        elif parameter.ndim > 1:
            parameter.data = noise / math.sqrt(parameter[0].numel())
        elif "norm" in name.lower() and name.endswith("weight"):
            parameter.data = 1 + 0.1 * noise
        elif parameter.ndim == 1:
            parameter.data = 0.1 * noise


class Wrapped(torch.nn.Module):
    """The one thing that DistributedDataParallel gives the evaluator on a single device."""

    def __init__(self, module):
        super().__init__()
        self.module = module


def main(checkout, folder, top, subclasses=None):
    import timm  # noqa: F401 - they look for packages, and must not find those that are stood in for
    import transformers.models.auto  # noqa: F401

    for name in UNUSED:
        stand_in(name)
    torch.Tensor.cuda = lambda self, *args, **kwargs: self
    sys.path.insert(0, str(checkout))
    file = checkout / ("tools" if subclasses is None else ".") / "seg_evaluation.py"
    spec = importlib.util.spec_from_file_location("their_evaluation", file)
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    from simseg.transforms import build_transforms

    bert = json.loads((folder / "bert" / "config.json").read_text(encoding="utf-8"))
    changed = [
        "dist.name=None",
        "loss.global_reduce=False",
        "model.image_encoder.pretrained=False",
        "model.text_encoder.pretrained=False",
        f"model.text_encoder.embedding_dim={bert['hidden_size']}",
        "data.batch_size=1",
    ]
    config = checkout / "configs" / "clip" / "simseg.vit-s.yaml"

    # Their command line reads a path as an expression, so this one is set by the function it calls last.
    def update(cfg):
        theirs.update_clip_config(cfg)
        cfg.model.text_encoder.tag = str(folder / "bert")

    theirs.update_cfg(theirs.task_cfg_init_fn, str(config), changed, preprocess_fn=update)
    cfg = theirs.cfg
    model = theirs.build_from_cfg(cfg.model.name, cfg, theirs.PIPELINE)
    theirs.ENV = types.SimpleNamespace(device="cpu", rank="cpu")  # theirs takes a number of a GPU
    fill(model)
    meta = {"time": "", "torch_version": torch.__version__, "epoch": 1, "step": np.int64(3), "inner_step": 2}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4).state_dict()
    torch.save({"state_dict": model.state_dict(), "optimizer": optimizer, "meta": meta}, folder / "model.pth")

    found = {}

    def keep(results, gt_seg_maps, num_classes, ignore_index):
        planes = sys._getframe(1).f_locals["temp_pred"]
        number = len(found) // 3
        found[f"present{number}"] = present = np.flatnonzero(planes.any((1, 2)))
        found[f"masks{number}"] = planes[present] > 0
        found[f"labels{number}"] = planes.argmax(0)
        return theirs_mean(results, gt_seg_maps, num_classes, ignore_index)

    def keep_texts(*args):
        texts.append(classify(*args))
        return texts[-1]

    texts = []
    theirs_mean, theirs.mean_iou = theirs.mean_iou, keep
    classify, theirs.zero_shot_classifier = theirs.zero_shot_classifier, keep_texts
    transform = build_transforms(cfg, mode="valid")
    loader = []
    for file in sorted(folder.glob("*.png")):
        picture = Image.open(file).convert("RGB")
        labels = torch.zeros(1, picture.height, picture.width, dtype=torch.uint8)
        loader.append((transform(picture)[None], labels))
    names = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
    tokenizer = theirs.AutoTokenizer.from_pretrained(str(folder / "bert"))
    more = [] if subclasses is None else [str(subclasses)]
    with torch.no_grad():
        model = Wrapped(model).eval()
        theirs.evaluate_benchmark(loader, model, cfg, tokenizer, names, top, *more)
    np.savez(folder / "found.npz", texts=texts[0].numpy(), **found)
    (folder / "frames.json").write_text(json.dumps(theirs.openai_imagenet_template("{}")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) > 4 else None)
