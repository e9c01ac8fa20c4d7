"""Make `llmseg/data/models/named.json`: what open_clip says of the weights it knows by name.

    python -m tools.catalogue            write it anew from the installed open_clip; takes some minutes

So that listing and finding models needs neither open_clip nor torch. Licences are not open_clip's to tell: those that
stand in the file were read on the model cards, and stay.

Not here: reading the file (`llmseg.models.catalogue`), fetching (`llmseg.models.downloads`).
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent.parent / "llmseg" / "data" / "models" / "named.json"


def describe_weights() -> dict[str, dict[str, Any]]:
    """Every name/tag with its source; `vit` where our own towers run it."""
    import open_clip

    table = {}
    for name, tag in open_clip.list_pretrained():
        source = open_clip.get_pretrained_cfg(name, tag)
        config = open_clip.get_model_config(name)
        vision, text = config["vision_cfg"], config["text_cfg"]
        own = bool(vision.get("patch_size")) and not config.get("custom_text") and "hf_model_name" not in text
        entry = {"hub": source.get("hf_hub", ""), "url": source.get("url", "")}
        entry |= {key: list(source[key]) for key in ("mean", "std")}
        entry |= {"quick_gelu": bool(config.get("quick_gelu") or source.get("quick_gelu")), "vit": own}
        table[f"{name}/{tag}"] = {key: value for key, value in entry.items() if value}
    return table


def count_numbers(names: set[str]) -> dict[str, int]:
    """Parameters of every architecture that can be built without asking a hub."""
    import open_clip
    import torch

    counts = {}
    for name in sorted(names):
        try:
            with torch.device("meta"):
                model = open_clip.create_model(name, device="meta")
        except Exception as error:  # a text tower whose configuration is on a hub
            print(f"{name}: not counted ({error!r:.80})", file=sys.stderr)
            continue
        counts[name] = sum(parameter.numel() for parameter in model.parameters())
    return counts


def main() -> int:
    """Write the file."""
    import open_clip

    logging.disable(logging.WARNING)  # that models have random weights
    before = json.loads(PATH.read_text(encoding="utf-8")) if PATH.is_file() else {}
    weights = describe_weights()
    content = {
        "made_from": f"open_clip {open_clip.__version__}",
        "licences": before.get("licences", {}),
        "numbers": count_numbers({name.partition("/")[0].replace("-quickgelu", "") for name in weights}),
        "weights": weights,
    }
    lines = [f'"{key}": {json.dumps(content[key])}' for key in ("made_from", "licences", "numbers")]
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in weights.items())
    PATH.write_text("{\n" + ",\n".join(lines) + f',\n"weights": {{\n{rows}\n}}\n}}\n', encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
