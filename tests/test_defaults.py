"""What "auto" means: real names, within limits, for models that exist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llmseg
from llmseg import options
from llmseg.defaults import KIND_DEFAULTS, MODEL_DEFAULTS, EngineDefaults, engine_defaults

ALL = {**MODEL_DEFAULTS, **KIND_DEFAULTS}

MODEL = Path(llmseg.__file__).parent / "data" / "models" / "embedded.safetensors"


@pytest.mark.parametrize("defaults", ALL.values(), ids=ALL)
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
    for kind, defaults in KIND_DEFAULTS.items():
        assert engine_defaults("nobody's", kind) is defaults
        assert engine_defaults("emoji-world", kind) is MODEL_DEFAULTS["emoji-world"]
    assert engine_defaults("nobody's", "nothing") == EngineDefaults()


def test_calibrated_models_exist() -> None:
    from safetensors import safe_open

    with safe_open(MODEL, framework="pt") as file:
        own_name = json.loads(file.metadata()["llmseg"])["name"]
    assert set(MODEL_DEFAULTS) <= {own_name, *options.MODEL.names}


@pytest.mark.parametrize("table", [MODEL_DEFAULTS, KIND_DEFAULTS])
def test_tables_cannot_be_changed(table) -> None:
    with pytest.raises(TypeError):
        table["new"] = EngineDefaults()
