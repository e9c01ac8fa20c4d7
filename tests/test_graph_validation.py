"""Validation: every rule with its error type and its line, what still runs, cycles, long chains."""

from __future__ import annotations

from typing import Any

import pytest

from llmseg.graph import Validation, validate_prompt


class Load:
    RETURN_TYPES = ("IMAGE", "MASK")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"name": (["cat", "dog"],)}}


class Blur:
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"image": ("IMAGE",), "n": ("INT", {"min": 1, "max": 9})},
            "optional": {"mask": ("IMAGE,MASK",), "scale": ("FLOAT",), "on": ("BOOLEAN",), "text": ("STRING",)},
        }


class Save:
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": ("*",)}, "optional": {"any": ("COMBO", {"options": ["a"]})}}


class Strict(Blur):
    OUTPUT_NODE = True
    seen: list[Any] = []  # noqa: RUF012

    @classmethod
    def VALIDATE_INPUTS(cls, n: int, image: Any) -> Any:
        cls.seen.append((n, image))
        return True if n == 100 else f"{n} is not 100"


class Broken(Save):
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        raise ValueError("no")


class Growing(Save):
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("COMFY_AUTOGROW_V3", {})}}


CLASSES = {cls.__name__: cls for cls in (Load, Blur, Save, Strict, Broken, Growing)}
LOAD = {"class_type": "Load", "inputs": {"name": "cat"}}


def n(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def check(prompt: dict[str, Any], **options: Any) -> Validation:
    return validate_prompt(prompt, CLASSES, **options)


def blurred(**inputs: Any) -> dict[str, Any]:
    """Load 1 -> Blur 2 -> Save 3, where the Blur has these inputs."""
    return {"1": LOAD, "2": n("Blur", **{"image": ["1", 0], "n": 1, **inputs}), "3": n("Save", image=["2", 0])}


def test_a_good_prompt_is_copied_and_its_constants_coerced() -> None:
    prompt = blurred(n="7", scale=3, on="false", text=5, mask=["1", 1], unknown=[1, 2, 3])
    verdict = check(prompt)
    assert verdict.problems == ()
    assert verdict.outputs == ("3",)
    inputs = verdict.prompt["2"]["inputs"]
    assert (inputs["n"], inputs["scale"], inputs["on"], inputs["text"]) == (7, 3.0, True, "5")
    assert prompt["2"]["inputs"]["n"] == "7"
    assert check(blurred(n=3.7)).prompt["2"]["inputs"]["n"] == 3


@pytest.mark.parametrize(
    ("inputs", "kind", "message"),
    [
        ({"n": "x"}, "invalid_input_type", "node 2 (Blur), input 'n': 'x'; expected INT."),
        ({"n": "3.7"}, "invalid_input_type", "node 2 (Blur), input 'n': '3.7'; expected INT."),
        ({"n": None}, "invalid_input_type", "node 2 (Blur), input 'n': None; expected INT."),
        ({"n": float("inf")}, "invalid_input_type", "node 2 (Blur), input 'n': inf; expected INT."),
        ({"n": 0}, "value_smaller_than_min", "node 2 (Blur), input 'n': 0; expected at least 1."),
        ({"n": 10}, "value_bigger_than_max", "node 2 (Blur), input 'n': 10; expected at most 9."),
        ({"image": ["1", 1]}, "return_type_mismatch", "node 2 (Blur), input 'image': linked to MASK of node 1; expected IMAGE."),
        ({"image": ["1", 2]}, "exception_during_inner_validation", "node 2 (Blur), input 'image': linked to output 2 of node 1 (Load); expected an output from 0 to 1."),
        ({"image": ["1", -1]}, "exception_during_inner_validation", "node 2 (Blur), input 'image': linked to output -1 of node 1 (Load); expected an output from 0 to 1."),
        ({"image": ["8", 0]}, "exception_during_inner_validation", "node 2 (Blur), input 'image': linked to node '8', which does not exist; expected a node of this prompt."),
        ({"extra": ["8", 0]}, "exception_during_inner_validation", "node 2 (Blur), input 'extra': linked to node '8', which does not exist; expected a node of this prompt."),
        ({"image": ["1"]}, "bad_linked_input", "node 2 (Blur), input 'image': ['1'] is no link; expected [node id, output number]. Wrap a list value: {\"__value__\": [...]}."),
        ({"image": [1, 0]}, "bad_linked_input", "node 2 (Blur), input 'image': [1, 0] is no link; expected [node id, output number]. Wrap a list value: {\"__value__\": [...]}."),
    ],
)  # fmt: skip
def test_one_wrong_input(inputs: dict[str, Any], kind: str, message: str) -> None:
    verdict = check(blurred(**inputs))
    assert [(problem.type, problem.message) for problem in verdict.problems] == [(kind, message)]
    assert verdict.outputs == ()
    assert verdict.problems[0].dependent_outputs == ("3",)


def test_a_missing_input_and_a_wrong_choice() -> None:
    verdict = check({"1": n("Load", name="cot"), "2": n("Blur", n=1), "3": n("Save", image=["2", 0], any=["1", 0])})
    assert [(problem.node_id, problem.type, problem.message) for problem in verdict.problems] == [
        ("1", "value_not_in_list", "node 1 (Load), input 'name': unknown name 'cot'; expected one of cat, dog. Did you mean 'cat'?"),
        ("2", "required_input_missing", "node 2 (Blur), input 'image': missing; expected IMAGE."),
        ("3", "return_type_mismatch", "node 3 (Save), input 'any': linked to IMAGE of node 1; expected COMBO."),
    ]  # fmt: skip


def test_bad_outputs_are_dropped_and_good_ones_run() -> None:
    prompt = {
        "1": {**LOAD, "_meta": {"title": "Cats"}},
        "2": n("Blur", n=1),
        "10": n("Save", image=["2", 0]),
        "9": n("Save", image=["1", 0]),
        "11": n("Save", image=["2", 0]),
    }
    verdict = check(prompt)
    assert verdict.outputs == ("9",)
    assert [problem.dependent_outputs for problem in verdict.problems] == [("10", "11")]
    assert check(prompt, targets=["11"]).outputs == ()
    assert check(prompt, targets=["9"]).problems == ()


def test_unknown_classes_are_problems_where_needed_and_warnings_elsewhere() -> None:
    verdict = check({"1": n("Lod"), "2": n("Save", image=["1", 0]), "3": n("Sav"), "4": n("Save", image=1)})
    line = "node 1: unknown class 'Lod'; expected a registered node. Did you mean 'Load'?"
    assert [problem.message for problem in verdict.problems] == [line]
    assert verdict.outputs == ("4",)
    assert verdict.warnings == (
        "node 3: unknown class 'Sav'; expected a registered node. Did you mean 'Save'? No output needs it.",
    )


def test_without_outputs_the_unknown_classes_are_the_likely_reason() -> None:
    verdict = check({"1": n("Sav")})
    assert [problem.type for problem in verdict.problems] == ["prompt_no_outputs", "missing_node_type"]
    assert check({"1": LOAD}).problems[0].message == (
        "prompt: no output node; expected at least one node that saves or shows something."
    )


def test_cycles_are_named_once_and_others_run() -> None:
    prompt = {
        "7": n("Blur", image=["8", 0], n=1),
        "8": n("Blur", image=["9", 0], n=1),
        "9": n("Blur", image=["7", 0], n=1),
        "3": n("Save", image=["7", 0]),
        "4": n("Save", image=["4", 0]),
        "5": n("Save", image=1),
    }
    verdict = check(prompt)
    assert verdict.outputs == ("5",)
    assert [problem.message for problem in verdict.problems if problem.type == "dependency_cycle"] == [
        "node 4 (Save): the links form a cycle, 4 -> 4; expected links in one direction. Remove one of them.",
        "node 7 (Blur): the links form a cycle, 7 -> 9 -> 8 -> 7; expected links in one direction. Remove one of them.",
    ]


def test_a_class_judges_for_itself() -> None:
    Strict.seen.clear()
    good = {"1": LOAD, "2": n("Strict", image=["1", 0], n=100)}
    assert check(good).outputs == ("2",)  # 100 is above max, which the class has taken over
    assert Strict.seen == [(100, None)]
    verdict = check({"1": LOAD, "2": n("Strict", image=["1", 0], n=2)})
    assert [(problem.type, problem.message) for problem in verdict.problems] == [
        ("custom_validation_failed", "node 2 (Strict), input 'image': 2 is not 100"),
        ("custom_validation_failed", "node 2 (Strict), input 'n': 2 is not 100"),
    ]


def test_a_null_is_no_choice_even_where_the_class_judges_for_itself() -> None:
    class Chooser(Save):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"name": (["a"],)}}

        @classmethod
        def VALIDATE_INPUTS(cls, name: Any) -> bool:
            return name is None or bool(name)

    verdicts = [
        validate_prompt({"1": n("Chooser", name=name)}, {"Chooser": Chooser, **CLASSES}) for name in (None, "b")
    ]
    assert [problem.type for problem in verdicts[0].problems] == ["value_not_in_list"]
    assert verdicts[1].problems == ()


def test_wrapped_lists_are_constants_and_never_links() -> None:
    verdict = check({"1": n("Save", image={"__value__": ["1", 0]})})
    assert verdict.problems == ()
    assert verdict.prompt["1"]["inputs"]["image"] == {"__value__": ["1", 0]}


def test_broken_classes_are_named() -> None:
    verdict = check({"1": n("Broken"), "2": n("Save", image=0)})
    assert verdict.problems == ()
    assert "class 'Broken': INPUT_TYPES failed with ValueError('no')" in verdict.warnings[0]


def test_a_missing_class_names_the_pack_that_the_file_tells() -> None:
    meta = {"title": "Blur", "cnr_id": "nice-pack", "ver": "1.2"}
    prompt = {"1": {"class_type": "Nice", "inputs": {}, "_meta": meta}, "2": n("Save", image=["1", 0])}
    problem = check(prompt).problems[0]
    assert (problem.type, problem.title) == ("missing_node_type", "Blur")
    assert problem.message == (
        "node 1 'Blur': unknown class 'Nice' of the pack 'nice-pack' 1.2; expected a registered node. "
        "Load the pack's folder with --nodes."
    )
    prompt["1"]["_meta"] = {"aux_id": "someone/pack"}
    assert "unknown class 'Nice' of the pack 'someone/pack'; expected" in check(prompt).problems[0].message


def test_any_type_tricks_of_packs_fit_everything() -> None:
    class Anything(str):
        def __ne__(self, other: object) -> bool:
            return False

    class Taker(Save):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"x": (Anything("TRICK"),)}}

    verdict = validate_prompt({"1": LOAD, "2": n("Taker", x=["1", 0])}, {"Load": Load, "Taker": Taker})
    assert verdict.outputs == ("2",)


def test_a_chain_of_ten_thousand_nodes_is_no_problem() -> None:
    prompt = {"0": LOAD, **{str(i): n("Blur", image=[str(i - 1), 0], n=1) for i in range(1, 10_000)}}
    prompt["10000"] = n("Save", image=["9999", 0])
    assert check(prompt).outputs == ("10000",)
    prompt["0"] = n("Load", name="cow")
    assert check(prompt).problems[0].dependent_outputs == ("10000",)


def test_a_malformed_prompt_is_a_problem_not_a_crash() -> None:
    assert check({"1": 5}).problems[0].message == "node 1: 5; expected an object with class_type and inputs."
