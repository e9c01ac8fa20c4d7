"""What "auto" means: real names, within limits, for models that exist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmseg import options
from llmseg.defaults import MODEL_DEFAULTS, EngineDefaults, engine_defaults

MODEL = Path(options.__file__).parent / "data" / "models" / "embedded.safetensors"


@pytest.mark.parametrize("defaults", [EngineDefaults(), *MODEL_DEFAULTS.values()], ids=["unknown", *MODEL_DEFAULTS])
def test_defaults_are_real_names_within_limits(defaults: EngineDefaults) -> None:
    for table in ("attention", "templates", "mode", "scales", "layout", "scoring", "refiner"):
        assert getattr(defaults, table) in getattr(options, table.upper()).names
    for name in ("window", "stride", "resize"):
        assert 0 <= getattr(defaults, name) <= getattr(options, name.upper()).maximum
    assert 0 < defaults.temperature <= options.TEMPERATURE.maximum
    assert 0 <= defaults.name_weight <= 1
    assert defaults.logit_scale > 0


def test_defaults_by_name() -> None:
    assert engine_defaults("emoji-world") is MODEL_DEFAULTS["emoji-world"]
    assert engine_defaults("nobody's") == EngineDefaults()


def test_calibrated_models_exist() -> None:
    from safetensors import safe_open

    with safe_open(MODEL, framework="pt") as file:
        own_name = json.loads(file.metadata()["llmseg"])["name"]
    assert set(MODEL_DEFAULTS) <= {own_name, *options.MODEL.names}


def test_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MODEL_DEFAULTS["new"] = EngineDefaults()  # type: ignore[index]
