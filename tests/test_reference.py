"""The reference is complete: each name, flag, scenario, address and bound that there is stands in it."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

import understudy
from understudy import cli
from understudy.contract.catalogue import ENGINE_ERRORS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "understudy"
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
SCENARIOS = sorted(ROOT.glob("fakes/*/scenarios/*.yaml"))
BOUND = re.compile(r"^(MAX_\w+)", re.MULTILINE)
ROUTE = re.compile(r'\bRoute\("(/[^"]*)"')


def section(heading: str) -> str:
    """Return what stands below a heading, up to the next one."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,6}} |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the reference has no heading {heading!r}"
    return found[2]


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the commands, by the heading that each has in the reference."""
    parser = cli._parser()
    found = {"Commands": parser}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {f"understudy {name}": command for name, command in action.choices.items()}
    return found


def rows() -> list[tuple[str, str, str]]:
    """Return for each argument of each command its heading, how it is written, and its help."""
    found = []
    for heading, parser in commands().items():
        formatter = parser._get_formatter()
        for action in parser._actions:
            if not isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
                found.append((heading, formatter._format_action_invocation(action), formatter._expand_help(action)))
    return found


def parameters() -> list[tuple[str, str]]:
    """Return each public callable that is no error with each of its parameters."""
    values = [(name, getattr(understudy, name)) for name in understudy.__all__ if name != "State"]
    callables = [(name, value) for name, value in values if value.__module__ != "understudy.errors"]
    return [(name, parameter) for name, value in callables for parameter in inspect.signature(value).parameters]


@pytest.mark.parametrize("name", understudy.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each public name has a heading or a row of a table."""
    heading, row = rf"^#+ {name}$", rf"^\|[ │├└─]*(?:&nbsp;)?[ ├└]*`{name}[`(]"

    assert re.search(f"{heading}|{row}", REFERENCE, re.MULTILINE)


@pytest.mark.parametrize(("heading", "written", "text"), rows())
def test_every_flag_is_there(heading: str, written: str, text: str) -> None:
    """Each argument of each command stands in the command's table, in the words of its help."""
    assert f"| `{written}` | {text} |" in section(heading)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_scenario_is_there(path: Path) -> None:
    """Each scenario that comes with the package stands below its provider, in the words of its file."""
    description = yaml.safe_load(path.read_text(encoding="utf-8"))["description"]

    assert f"| `{path.stem}` | {description} |" in section(path.parts[-3])


def test_every_admin_address_is_there() -> None:
    """Each route of the admin API stands in the table of addresses."""
    routes = ROUTE.findall((SOURCE / "admin.py").read_text(encoding="utf-8"))

    assert "/health" in routes
    assert [route for route in routes if f" /__admin{route}`" not in section("Admin addresses")] == []


def test_every_bound_is_there() -> None:
    """Each constant that bounds something stands in the table of bounds, with its module, and no other does."""
    there = {
        f"{path.stem}.{name}"
        for path in SOURCE.rglob("*.py")
        for name in BOUND.findall(path.read_text(encoding="utf-8"))
    }

    assert set(re.findall(r"^\| `(\w+\.MAX_\w+)`", section("Bounds"), re.MULTILINE)) == there


def test_every_error_of_the_engine_is_there() -> None:
    """Each named error of the engine has a row, with what stands in for it."""
    table = re.findall(r"^\| `(\w+)` \|[^|]+\| (?:`(\w+)` )?\|", section("Named errors"), re.MULTILINE)

    assert dict(table) == {name: fallback or "" for name, fallback in ENGINE_ERRORS.items()}


@pytest.mark.parametrize("provider", sorted(path.name for path in (ROOT / "contracts").iterdir()))
def test_every_failure_and_error_is_there(provider: str) -> None:
    """Each failure and named error of a bundled contract stands in its row, or is one of the engine's."""
    job_type = understudy.Fake(provider).contract.job_type
    row = next(line for line in REFERENCE.splitlines() if line.startswith(f"| {provider} |"))
    names = [*job_type.failures, *(name for name in job_type.errors.rules if name not in ENGINE_ERRORS)]

    assert [name for name in names if f"`{name}`" not in row] == []


@pytest.mark.parametrize("provider", sorted(path.name for path in (ROOT / "contracts").iterdir()))
def test_every_error_that_a_contract_lacks_is_there(provider: str) -> None:
    """The row of a provider ends with those of the engine's errors that no plan can name there."""
    rules = understudy.Fake(provider).contract.job_type.errors.rules
    row = next(line for line in REFERENCE.splitlines() if line.startswith(f"| {provider} |"))

    assert re.findall(r"`(\w+)`", row.split("|")[4]) == [name for name in ENGINE_ERRORS if name not in rules]


def held(page: Path, heading: str, rows: list[str]) -> None:
    """See that the first table below a heading of a page has these rows; UNDERSTUDY_REFRESH=1 writes it."""
    text = page.read_text(encoding="utf-8")
    start = text.index("\n|", text.index(f"\n## {heading}\n")) + 1
    end = text.index("\n\n", start)
    if os.environ.get("UNDERSTUDY_REFRESH") == "1":
        page.write_text(text[:start] + "\n".join(rows) + text[end:], encoding="utf-8")
    else:
        assert text[start:end].splitlines() == rows


# For each provider the model and the input of a create, and the operation where it is not the usual one.
CREATES: dict[str, list[tuple[str, dict[str, str], str | None]]] = {
    "fal": [("fal-ai/flux/schnell", {"prompt": "a lighthouse"}, None)],
    "kie": [("nano-banana-pro", {"prompt": "a lighthouse"}, None)],
    "oxen": [
        ("google-nano-banana-pro", {"prompt": "a lighthouse"}, None),
        ("google-nano-banana-pro", {"prompt": "a gull", "input_image": "https://shop.example/a.png"}, "editImage"),
    ],
    "replicate": [("black-forest-labs/flux-schnell", {"prompt": "a lighthouse"}, None)],
    "shortapi": [("google/nano-banana-pro/text-to-image", {"prompt": "a lighthouse", "aspect_ratio": "1:1"}, None)],
}


def answered(provider: str, name: str) -> str | None:
    """Return the row of an error that `next_job` names; None where the contract has none of it for a create."""
    for model, given, operation in CREATES[provider]:
        statuses, body = list[str](), ""
        for errors in understudy.Fake(provider).contract.job_type.errors.transports:
            fake = understudy.Fake(provider, errors=errors)
            fake.next_job(error=name)
            client = understudy.Client(provider, api_key="id:secret", http=fake.client(), clock=fake.clock)
            with suppress(understudy.ClientError):
                client.submit(given, model=model, operation=operation)
            exchange = fake.journal.exchanges[0]
            statuses.append(str(exchange.status))
            body = (exchange.reply_body or b"").decode()
        if "The contract has no rule" not in body:
            shown = f"`{json.dumps(json.loads(body), ensure_ascii=False)}`" if body else "nothing"
            at = f" at `{operation}`" if operation is not None else ""
            return f"| `{name}`{at} | {' | '.join(statuses)} | {shown} |"
    return None


@pytest.mark.parametrize("provider", sorted(path.name for path in (ROOT / "contracts").iterdir()))
def test_what_every_error_answers_is_there(provider: str) -> None:
    """The page of a provider has what a create gets by each error; UNDERSTUDY_REFRESH=1 writes it."""
    errors = understudy.Fake(provider).contract.job_type.errors
    heads = ["HTTP", *(f'HTTP with `errors="{transport}"`' for transport in errors.transports[1:])]
    rows = [f"| `error` | {' | '.join(heads)} | answer |", "|---" * (len(heads) + 2) + "|"]
    rows += [row for name in sorted(errors.rules) if (row := answered(provider, name)) is not None]
    held(ROOT / "docs" / "providers" / f"{provider}.md", "Errors by name", rows)


def price(model: str, given: dict[str, Any]) -> str:
    """Return what a task of Kie's costs."""
    fake = understudy.Fake("kie")
    understudy.Client("kie", api_key="key", http=fake.client(), clock=fake.clock).submit(given, model=model)
    return f"{fake.ledger_of('key').spent:g}"


def prices(model: str, schema: dict[str, Any]) -> str:
    """Return what a task of a model costs, and what it costs with which input that is not the usual one."""
    members = {name: member for name, member in schema["properties"].items() if "enum" in member}
    usual = {name: member["default"] for name, member in members.items()}
    usual |= {name: ["https://shop.example/a.png"] for name in schema["required"] if name.endswith("_urls")}
    usual["prompt"] = "a lighthouse"
    found = [price(model, usual)]
    for name, member in members.items():
        others = {value: price(model, {**usual, name: value}) for value in member["enum"]}
        found += [f"{other} with `{name}` {value}" for value, other in others.items() if other != found[0]]
    return ", ".join(found)


def test_every_model_of_kie_is_there() -> None:
    """The page on Kie has each model with its input and its prices; UNDERSTUDY_REFRESH=1 writes it."""
    schemas = understudy.Fake("kie").contract.document.data["components"]["schemas"]
    rows = ["| model | input | credits |", "|---|---|---|"]
    for model, path in schemas["CreateTask"]["discriminator"]["mapping"].items():
        schema = schemas[path.rpartition("/")[2]]["properties"]["input"]
        schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        needed = [f"**`{name}`**" if name in schema["required"] else f"`{name}`" for name in schema["properties"]]
        rows.append(f"| `{model}` | {', '.join(needed)} | {prices(model, schema)} |")
    held(ROOT / "docs" / "providers" / "kie.md", "Models", rows)


def test_every_parameter_is_there() -> None:
    """Each parameter of each public callable stands in the reference."""
    words = set(re.findall(r"\w+", REFERENCE))

    assert [f"{name}({parameter})" for name, parameter in parameters() if parameter not in words] == []
