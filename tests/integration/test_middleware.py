"""Every middleware of `langchain.agents.middleware`, with good and with bad completions."""

import asyncio
import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from langchain.agents import create_agent, middleware
from langchain.agents.middleware import (
    AutoModeMiddleware,
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    FilesystemFileSearchMiddleware,
    HostExecutionPolicy,
    HumanInTheLoopMiddleware,
    LLMToolEmulator,
    LLMToolSelectorMiddleware,
    ModelCallLimitMiddleware,
    ModelChoice,
    ModelFallbackMiddleware,
    ModelRefusalMiddleware,
    ModelRetryMiddleware,
    ModelRouterMiddleware,
    PIIDetectionError,
    PIIMiddleware,
    ProviderToolSearchMiddleware,
    ShellToolMiddleware,
    SummarizationMiddleware,
    TodoListMiddleware,
    ToolCallLimitMiddleware,
    ToolErrorMiddleware,
    ToolRetryMiddleware,
    dynamic_prompt,
    wrap_model_call,
)
from langchain.agents.structured_output import ToolStrategy
from langchain_core.decisions import BaseDecisionModel, ClassifierResponse
from langchain_core.exceptions import ModelRefusalError, OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from langchain_cerebras_inference import CerebrasInvalidRequestError, ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator, Refuse, Reply, Request, ToolCall
from tests.integration.helpers import create_model

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)

Agent: TypeAlias = Any
RunAgent: TypeAlias = Callable[..., dict[str, Any]]

QUESTION = {"messages": [("user", "What is the weather in Rome? Write to me@example.com.")]}
CALL_WEATHER = Reply(tool_calls=[ToolCall("get_weather", {"location": "Rome"})])
REFUSAL = Reply(content="First you", finish_reason="content_filter")
DONE = Reply(content="Done.")
THREAD = {"configurable": {"thread_id": "1"}}


@tool
def get_weather(location: str) -> str:
    """Get the weather of a place."""
    return f"Sunny in {location}."


@tool
def get_time(location: str) -> str:
    """Get the time of day at a place."""
    return f"Noon in {location}."


@tool
def fail(location: str) -> str:
    """Fail."""
    message = f"No station in {location}."
    raise ConnectionError(message)


CALL_FAIL = Reply(tool_calls=[ToolCall("fail", {"location": "Rome"})])


def invoke(agent: Agent, input_: Any = QUESTION, **options: Any) -> dict[str, Any]:
    state: dict[str, Any] = agent.invoke(input_, **options)
    return state


def ainvoke(agent: Agent, input_: Any = QUESTION, **options: Any) -> dict[str, Any]:
    async def call() -> dict[str, Any]:
        state: dict[str, Any] = await agent.ainvoke(input_, **options)
        return state

    return asyncio.run(call())


def stream(agent: Agent, input_: Any = QUESTION, **options: Any) -> dict[str, Any]:
    """Stream the messages of an agent; return its last state."""
    modes = ["messages", "values"]
    *_, last = (
        state
        for mode, state in agent.stream(input_, stream_mode=modes, **options)
        if mode == "values"
    )
    state: dict[str, Any] = last
    return state


every_run = pytest.mark.parametrize("run", [invoke, ainvoke, stream])


def get_tool_names(request: Request) -> list[str]:
    return [item["function"]["name"] for item in request.body.get("tools", [])]


def get_texts(state: dict[str, Any], kind: type[Any]) -> list[str]:
    return [message.text for message in state["messages"] if isinstance(message, kind)]


def test_every_middleware_of_langchain_has_a_test() -> None:
    names = [name for name in middleware.__all__ if name.endswith("Middleware")]
    source = Path(__file__).read_text(encoding="utf-8")

    untested = {name for name in [*names, "LLMToolEmulator"] if f"{name}(" not in source}
    assert untested == {"AgentMiddleware"}  # the base class


# --- tools --------------------------------------------------------------------------


@every_run
def test_tool_selector_limits_the_tools_to_the_selected_ones(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content='{"tools": ["get_time"]}'))
    selector = LLMToolSelectorMiddleware(always_include=["fail"])
    agent = create_agent(model, [get_weather, get_time, fail], middleware=[selector])

    run(agent)

    selection, request, *_ = server.requests
    assert selection.body["response_format"]["type"] == "json_schema"
    assert get_tool_names(request) == ["get_time", "fail"]


MALFORMED_SELECTIONS = ["{}", '{"tools": null}', '{"tools": "get_time"}', '{"tool": []}']


@every_run
@pytest.mark.parametrize("text", MALFORMED_SELECTIONS)
def test_tool_selector_retries_malformed_selections(
    text: str, run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    malformed = Reply(content=text)
    server.script(malformed, malformed, malformed, Reply(content='{"tools": ["get_time"]}'))
    selector = LLMToolSelectorMiddleware(max_retries=3)
    agent = create_agent(model, [get_weather, get_time], middleware=[selector])

    run(agent)

    assert get_tool_names(server.requests[4]) == ["get_time"]


@every_run
@pytest.mark.parametrize("text", MALFORMED_SELECTIONS)
def test_tool_selector_uses_its_fallback_after_the_last_retry(
    text: str, run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content=text), Reply(content=text), DONE)
    selector = LLMToolSelectorMiddleware(max_retries=1, on_parsing_failure="all")
    agent = create_agent(model, [get_weather, get_time], middleware=[selector])

    run(agent)

    assert get_tool_names(server.requests[2]) == ["get_weather", "get_time"]


@every_run
def test_tool_selector_gets_the_error_of_a_selection_that_is_no_object(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content="The second one."))
    agent = create_agent(model, [get_weather], middleware=[LLMToolSelectorMiddleware()])

    with pytest.raises(OutputParserException, match="not a complete JSON object"):
        run(agent)


@every_run
@pytest.mark.parametrize(
    "emulated", [Reply(content="Rain.", reasoning="Let me make it up."), Reply(content="")]
)
def test_tool_emulator_returns_the_completion_as_the_result(
    emulated: Reply, run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(CALL_WEATHER, emulated, DONE)
    agent = create_agent(model, [get_weather], middleware=[LLMToolEmulator(model=model)])

    state = run(agent)

    assert get_texts(state, ToolMessage) == [emulated.content]
    assert state["messages"][-1].text == "Done."


@every_run
def test_tool_retry_repeats_a_tool_and_then_reports_its_error(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(CALL_FAIL, DONE)
    retry = ToolRetryMiddleware(max_retries=1, initial_delay=0)
    agent = create_agent(model, [fail], middleware=[retry])

    state = run(agent)

    [text] = get_texts(state, ToolMessage)
    assert "No station in Rome." in text
    assert server.requests[1].body["messages"][-1]["content"] == text


@every_run
def test_tool_error_becomes_a_message_that_the_model_sees(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(CALL_FAIL, DONE)
    handler = ToolErrorMiddleware(lambda error, _: f"It failed: {error}")
    agent = create_agent(model, [fail], middleware=[handler])

    run(agent)

    sent = server.requests[1].body["messages"][-1]
    assert (sent["role"], sent["content"]) == ("tool", "It failed: No station in Rome.")


@every_run
def test_tool_call_limit_blocks_further_calls(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    calls = [ToolCall("get_weather", {"location": place}) for place in ("Rome", "Oslo")]
    server.script(Reply(tool_calls=calls), DONE)
    limit = ToolCallLimitMiddleware(run_limit=1)
    agent = create_agent(model, [get_weather], middleware=[limit])

    state = run(agent)

    texts = get_texts(state, ToolMessage)
    assert len(texts) == 2
    assert len([text for text in texts if "Sunny" in text]) == 1
    assert state["messages"][-1].text == "Done."


@every_run
def test_file_search_finds_files(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "tides.txt").write_text("High tide at noon.", encoding="utf-8")
    calls = [
        ToolCall("glob_search", {"pattern": "*.txt"}),
        ToolCall("grep_search", {"pattern": "noon"}),
    ]
    server.script(Reply(tool_calls=calls), DONE)
    search = FilesystemFileSearchMiddleware(root_path=str(tmp_path), use_ripgrep=False)
    agent = create_agent(model, [], middleware=[search])

    state = run(agent)

    assert [("tides.txt" in text) for text in get_texts(state, ToolMessage)] == [True, True]


# The middleware does not close the pipes of the shell.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@every_run
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({"command": "echo $((6 * 7))"}, "42"), ({"command": "false"}, "Exit code: 1"), ({}, "")],
)
def test_shell_tool_runs_the_command_of_the_model(
    arguments: dict[str, Any],
    expected: str,
    run: RunAgent,
    model: ChatCerebrasInference,
    server: Emulator,
    tmp_path: Path,
) -> None:
    server.script(Reply(tool_calls=[ToolCall("shell", arguments)]), DONE)
    shell = ShellToolMiddleware(tmp_path, execution_policy=HostExecutionPolicy())
    agent = create_agent(model, [], middleware=[shell])

    state = run(agent)

    [text] = get_texts(state, ToolMessage)
    assert expected in text
    assert state["messages"][-1].text == "Done."
    del agent, shell, state
    gc.collect()


@every_run
def test_todo_list_is_written_by_the_model(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    todos = [{"content": "Look outside", "status": "in_progress"}]
    server.script(Reply(tool_calls=[ToolCall("write_todos", {"todos": todos})]), DONE)
    agent = create_agent(model, [], middleware=[TodoListMiddleware()])

    assert run(agent)["todos"] == todos


@every_run
@pytest.mark.parametrize("todos", ['"all"', '[{"content": "Look outside"}]', "[1]"])
def test_todo_list_of_the_wrong_form_is_reported_to_the_model(
    todos: str, run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    arguments = f'{{"todos": {todos}}}'
    server.script(Reply(tool_calls=[ToolCall("write_todos", arguments)]), DONE)
    agent = create_agent(model, [], middleware=[TodoListMiddleware()])

    state = run(agent)

    assert [message.status for message in state["messages"][2:3]] == ["error"]
    assert state["messages"][-1].text == "Done."


@every_run
@pytest.mark.parametrize(
    ("decision", "result"),
    [
        ({"type": "approve"}, "Sunny in Rome."),
        (
            {
                "type": "edit",
                "edited_action": {"name": "get_weather", "args": {"location": "Oslo"}},
            },
            "Sunny in Oslo.",
        ),
        ({"type": "reject", "message": "Look outside."}, "Look outside."),
    ],
)
def test_person_decides_about_a_tool_call(
    decision: dict[str, Any],
    result: str,
    run: RunAgent,
    model: ChatCerebrasInference,
    server: Emulator,
) -> None:
    server.script(CALL_WEATHER, DONE)
    agent: Agent = create_agent(
        model,
        [get_weather],
        middleware=[HumanInTheLoopMiddleware({"get_weather": True})],
        checkpointer=InMemorySaver(),
    )

    run(agent, config=THREAD)
    assert len(server.requests) == 1
    state = run(agent, Command(resume={"decisions": [decision]}), config=THREAD)

    [text] = get_texts(state, ToolMessage)
    assert result in text
    assert state["messages"][-1].text == "Done."


@every_run
def test_provider_tool_search_names_cerebras_in_its_error(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    search = ProviderToolSearchMiddleware(searchable_tools=[get_weather])
    agent = create_agent(model, [get_weather], middleware=[search])

    with pytest.raises(ValueError, match="'cerebras'"):
        run(agent)

    run(create_agent(model, [get_weather], middleware=[ProviderToolSearchMiddleware()]))
    assert get_tool_names(server.requests[0]) == ["get_weather"]


# --- models -------------------------------------------------------------------------


@every_run
def test_model_fallback_calls_the_next_model(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Refuse(400), DONE)
    fallback = ModelFallbackMiddleware(create_model(server, model="qwen-3.8-27b"))
    agent = create_agent(model, [get_weather], middleware=[fallback])

    message = run(agent)["messages"][-1]

    assert message.response_metadata["model_name"] == "qwen-3.8-27b"


@every_run
def test_model_retry_repeats_temporary_errors_only(run: RunAgent, server: Emulator) -> None:
    model = create_model(server, max_retries=0)
    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0)
    agent = create_agent(model, [get_weather], middleware=[retry])

    server.script(Refuse(503), Refuse(429), DONE)
    assert run(agent)["messages"][-1].text == "Done."

    server.script(Refuse(400))
    with pytest.raises(CerebrasInvalidRequestError):
        run(agent)
    assert len(server.requests) == 4


@every_run
def test_model_call_limit_ends_a_loop_of_tool_calls(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(*[CALL_WEATHER] * 5)
    limit = ModelCallLimitMiddleware(run_limit=2)
    agent = create_agent(model, [get_weather], middleware=[limit])

    run(agent)

    assert len(server.requests) == 2


@every_run
@pytest.mark.parametrize(
    "refusal",
    [
        REFUSAL,
        Reply(content="", finish_reason="content_filter"),
        Reply(reasoning="It is not allowed.", content="", finish_reason="content_filter"),
    ],
)
def test_model_refusal_is_an_error(
    refusal: Reply, run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    agent = create_agent(model, [get_weather], middleware=[ModelRefusalMiddleware()])
    server.script(CALL_WEATHER, refusal)

    with pytest.raises(ModelRefusalError) as caught:
        run(agent)

    message = caught.value.raw_message
    assert message is not None
    assert message.text == refusal.content


@every_run
def test_completion_that_is_no_refusal_is_no_error(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    agent = create_agent(model, [get_weather], middleware=[ModelRefusalMiddleware()])
    server.script(CALL_WEATHER, Reply(content="I refuse.", finish_reason="length"))

    assert run(agent)["messages"][-1].text == "I refuse."


@every_run
def test_model_refusal_leads_to_the_fallback_model(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(REFUSAL, DONE)
    fallback = ModelFallbackMiddleware(create_model(server, model="qwen-3.8-27b"))
    agent = create_agent(model, [], middleware=[fallback, ModelRefusalMiddleware()])

    message = run(agent)["messages"][-1]

    assert message.response_metadata["model_name"] == "qwen-3.8-27b"


@every_run
@pytest.mark.parametrize("output_version", ["v0", "v1"])
@pytest.mark.parametrize("text", ["First you", ""])
def test_conversation_continues_after_a_refusal(
    text: str, output_version: str, run: RunAgent, server: Emulator
) -> None:
    server.script(Reply(content=text, finish_reason="content_filter"), DONE)
    model = create_model(server, output_version=output_version)
    agent: Agent = create_agent(model, [], checkpointer=InMemorySaver())

    run(agent, config=THREAD)
    state = run(agent, config=THREAD)

    assert state["messages"][-1].text == "Done."


class StructuredDecisionModel(BaseDecisionModel):
    """Answers questions with the structured output of a chat model."""

    chat_model: BaseChatModel

    @property
    def _provider(self) -> str:
        return "test"

    def _classify(self, state: Any, questions: Any) -> ClassifierResponse:
        chain = self.chat_model.with_structured_output(
            {"title": "Answers", "type": "object", "properties": {"answers": {}}},
            method="json_mode",
        )
        answers: Any = chain.invoke(f"Answer {questions} about {state} in JSON.")
        return ClassifierResponse(model=self.model, **answers)


def create_decision(**answer: Any) -> Reply:
    """Reply with the answer to the only question of a decision."""
    [(question, fields)] = answer.items()
    return Reply(content=json.dumps({"answers": {question: fields}}))


@pytest.fixture
def classifier(model: ChatCerebrasInference) -> StructuredDecisionModel:
    return StructuredDecisionModel(model="gpt-oss-120b", chat_model=model)


@every_run
@pytest.mark.parametrize(("risk", "result"), [(0.1, "Sunny in Rome."), (0.9, "was blocked")])
def test_auto_mode_runs_only_tool_calls_without_risk(
    risk: float,
    result: str,
    run: RunAgent,
    model: ChatCerebrasInference,
    server: Emulator,
    classifier: StructuredDecisionModel,
) -> None:
    decision = create_decision(is_risky={"type": "noul", "noul": risk})
    server.script(CALL_WEATHER, decision, DONE)
    auto_mode = AutoModeMiddleware(tools=[get_weather], classifier=classifier)
    agent = create_agent(model, [get_weather], middleware=[auto_mode])

    state = run(agent)

    [text] = get_texts(state, ToolMessage)
    assert result in text


@every_run
def test_auto_mode_runs_no_tool_without_a_decision(
    run: RunAgent,
    model: ChatCerebrasInference,
    server: Emulator,
    classifier: StructuredDecisionModel,
) -> None:
    server.script(CALL_WEATHER, Reply(content='{"answers":', finish_reason="length"))
    auto_mode = AutoModeMiddleware(tools=[get_weather], classifier=classifier)
    agent = create_agent(model, [get_weather], middleware=[auto_mode])

    with pytest.raises(OutputParserException, match="token limit"):
        run(agent)


@every_run
def test_model_router_calls_the_chosen_model(
    run: RunAgent,
    model: ChatCerebrasInference,
    server: Emulator,
    classifier: StructuredDecisionModel,
) -> None:
    answer = {"type": "choice", "choice": "fast", "probabilities": {"fast": 1.0}}
    server.script(create_decision(model_route={**answer, "confidence": 1.0}), DONE)
    router = ModelRouterMiddleware(
        choices={
            "fast": ModelChoice(create_model(server, model="qwen-3.8-27b"), "Short."),
            "slow": ModelChoice(model, "Long."),
        },
        instructions="Choose a model.",
        classifier=classifier,
    )
    agent = create_agent(model, [get_weather], middleware=[router])

    run(agent)

    assert [request.body["model"] for request in server.requests] == [
        "gpt-oss-120b",
        "qwen-3.8-27b",
    ]


# --- messages -----------------------------------------------------------------------


def create_long_conversation() -> dict[str, Any]:
    messages: list[AnyMessage] = [HumanMessage("word " * 50)]
    for number in range(4):
        call = {"name": "get_weather", "args": {"location": "Rome"}, "id": f"call_{number}"}
        messages += [
            AIMessage("", tool_calls=[call]),
            ToolMessage("Sunny. " * 50, tool_call_id=f"call_{number}"),
        ]
    return {"messages": [*messages, AIMessage("Sunny."), HumanMessage("And now?")]}


@every_run
@pytest.mark.parametrize(
    "trigger", [("messages", 5), ("tokens", 100), ("fraction", 0.001)], ids=str
)
def test_summary_replaces_old_messages(
    trigger: Any, run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content="It was sunny.", reasoning="Let me sum up."), DONE)
    summarization = SummarizationMiddleware(model, trigger=trigger, keep=("messages", 2))
    agent = create_agent(model, [get_weather], middleware=[summarization])

    run(agent, create_long_conversation())

    sent = server.requests[1].body["messages"]
    assert len(sent) <= 3
    assert "It was sunny." in json.dumps(sent[0])


@every_run
def test_summary_that_overflows_the_context_is_made_of_less(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    overflow = Refuse(400, "context_length_exceeded", "Please reduce the length.")
    server.script(overflow, Reply(content="It was sunny."), DONE)
    summarization = SummarizationMiddleware(
        model, trigger=("messages", 5), keep=("messages", 2)
    )
    agent = create_agent(model, [get_weather], middleware=[summarization])

    run(agent, create_long_conversation())

    first, second, third = (json.dumps(request.body) for request in server.requests)
    assert len(second) < len(first)
    assert "It was sunny." in third


@every_run
@pytest.mark.parametrize("method", ["approximate", "model"])
def test_old_tool_results_are_cleared(
    method: Any, run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    editing = ContextEditingMiddleware(
        edits=[ClearToolUsesEdit(trigger=100, keep=1)], token_count_method=method
    )
    agent = create_agent(model, [get_weather], middleware=[editing])

    run(agent, create_long_conversation())

    sent = server.requests[0].body["messages"]
    results = [message["content"] for message in sent if message["role"] == "tool"]
    assert [result == "[cleared]" for result in results] == [True, True, True, False]


@every_run
def test_personal_data_is_redacted_in_prompts_and_completions(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    server.script(Reply(content="I wrote to me@example.com."))
    redaction = PIIMiddleware("email", apply_to_output=True)
    agent = create_agent(model, [], middleware=[redaction])

    state = run(agent)

    assert "me@example.com" not in json.dumps(server.requests[0].body)
    assert state["messages"][-1].text == "I wrote to [REDACTED_EMAIL]."


@every_run
def test_personal_data_can_block_a_call(
    run: RunAgent, model: ChatCerebrasInference, server: Emulator
) -> None:
    agent = create_agent(model, [], middleware=[PIIMiddleware("email", strategy="block")])

    with pytest.raises(PIIDetectionError):
        run(agent)

    assert not server.requests


class Weather(BaseModel):
    """The weather of a place."""

    location: str
    is_sunny: bool


def test_model_refusal_is_an_error_of_an_agent_with_structured_output(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    call = ToolCall("Weather", {"location": "Rome"})
    server.script(Reply(tool_calls=[call], finish_reason="content_filter"))
    agent: Agent = create_agent(
        model,
        [],
        response_format=ToolStrategy(Weather, handle_errors=False),
        middleware=[ModelRefusalMiddleware()],
    )

    with pytest.raises(ModelRefusalError):
        invoke(agent)


def test_decorated_functions_can_change_prompt_and_call_options(
    model: ChatCerebrasInference, server: Emulator
) -> None:
    @dynamic_prompt
    def answer_in_latin(_: Any) -> str:
        return "Answer in Latin."

    @wrap_model_call
    def choose_tool(request: Any, handler: Any) -> Any:
        return handler(
            request.override(tool_choice="get_time", model_settings={"temperature": 0})
        )

    server.script(DONE)
    agent: Agent = create_agent(
        model, [get_weather, get_time], middleware=[answer_in_latin, choose_tool]
    )

    invoke(agent)

    body = server.requests[0].body
    assert body["messages"][0]["content"] == "Answer in Latin."
    assert body["tool_choice"]["function"]["name"] == "get_time"
    assert body["temperature"] == 0
