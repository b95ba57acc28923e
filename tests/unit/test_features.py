"""The features README promises, and the tests that prove them.

The table there is made of the one here; run with `-vv` to see what is to be pasted.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
README = (TESTS.parent / "README.md").read_text("utf-8")

FEATURES = {
    "tool calling": (
        "yes",
        "integration/test_langgraph.py::test_an_agent_calls_its_tool_and_answers",
    ),
    "parallel tool calls": (
        "if the model makes them",
        "integration/test_langgraph.py::test_an_agent_calls_two_tools_at_once",
    ),
    "structured output": (
        "three methods",
        "integration/test_structured_output.py::test_an_object_of_any_kind_comes_by_any_method",
    ),
    "JSON mode": (
        "yes",
        "integration/test_structured_output.py::test_an_object_grows_while_it_arrives",
    ),
    "image input": (
        "for models with vision, as base64 data",
        "integration/test_wire.py::test_a_model_that_sees_gets_an_image_of_any_form",
    ),
    "audio, video, PDF input": (
        "no: refused in words",
        "unit/test_content.py::test_what_is_no_text_is_refused_by_its_type",
    ),
    "token streaming": (
        "yes",
        "integration/test_parity.py::test_every_style_gives_the_same_answer",
    ),
    "native async": (
        "yes",
        "integration/test_parity.py::test_every_style_sends_the_same_body",
    ),
    "v3 stream events": (
        "native",
        "integration/test_langgraph.py::test_events_of_version_3_come_as_they_are_said",
    ),
    "reasoning": (
        "as content blocks, and back",
        "integration/test_parity.py::test_an_answer_goes_back_to_the_server_as_it_came",
    ),
    "other providers' histories": (
        "yes",
        "unit/test_message_history.py::test_a_turn_another_class_wrote_is_said_in_cerebras_words",
    ),
    "token usage": (
        "with cached and reasoning tokens",
        "unit/test_completion.py::test_usage_is_langchains_with_cached_and_reasoning_as_parts",
    ),
    "logprobs": ("yes", "integration/test_wire.py::test_whatever_may_be_set_is_taken"),
    "predicted outputs": (
        "yes",
        "integration/test_retries.py::test_a_refused_prediction_is_left_out",
    ),
    "several answers (`n`)": (
        "not streamed",
        "integration/test_wire.py::test_several_answers_are_the_generations_of_one_result",
    ),
    "prompt caching": (
        "equal prompts are equal bytes",
        "unit/test_message_history.py::test_a_conversation_that_goes_on_begins_with_the_same_bytes",
    ),
    "LangChain's cache": (
        "yes",
        "unit/test_chat_models.py::test_the_cache_tells_apart_all_that_decides_the_answer",
    ),
    "token counting": (
        "an estimate, offline",
        "unit/test_chat_models.py::test_tokens_are_estimated_without_a_network",
    ),
    "serializable": (
        "yes, without its secrets",
        "unit/test_standard.py::test_what_is_dumped_loads_again_without_its_secrets",
    ),
    "`init_chat_model`": (
        "after `enable_init_chat_model()`",
        "integration/test_wire.py::test_init_chat_model_knows_the_provider_once_it_is_enabled",
    ),
    "embeddings": ("no: Cerebras has none", ""),
}


def row(feature: str, word: str, test: str) -> str:
    path, _, name = test.partition("::")
    proved_by = f"[`{name}`](tests/{path})" if test else ""
    return f"| {feature} | {word} | {proved_by} |".replace("|  |", "| |")


@pytest.mark.parametrize("test", [test for _, test in FEATURES.values() if test])
def test_a_feature_has_a_test(test: str) -> None:
    path, _, name = test.partition("::")
    tree = ast.parse((TESTS / path).read_bytes())

    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_readme_promises_what_is_tested() -> None:
    rows = [row(feature, *held) for feature, held in FEATURES.items()]

    table = "\n".join(["| feature | here | proved by |", "|---|---|---|", *rows])
    assert table in README
