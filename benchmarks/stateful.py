"""A stateful property test whose rules make and poll jobs, against one whose rules do nothing."""

from __future__ import annotations

import time
from functools import partial

import httpx
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

import understudy
from benchmarks import by_hand, played
from benchmarks.figures import Found, Scale, in_turn, ratios
from benchmarks.in_process import HEADERS, fake

STEPS = 50


class Trivial(RuleBasedStateMachine):
    """Has the same rules, which do nothing."""

    steps = 0
    jobs = Bundle("jobs")

    @rule(target=jobs)
    def create(self) -> str:
        """Count."""
        type(self).steps += 1
        return played.TASK_ID

    @rule(job=jobs)
    def poll(self, job: str) -> None:
        """Count."""
        type(self).steps += 1


class Jobs(RuleBasedStateMachine):
    """Makes jobs and polls them, through the transport."""

    steps = 0
    client: httpx.Client
    fake: understudy.Fake
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.fake.reset()

    @rule(target=jobs)
    def create(self) -> str:
        """Make a job."""
        type(self).steps += 1
        return str(self.client.post(played.CREATE_PATH, json=played.BODY).json()["data"]["taskId"])

    @rule(job=jobs)
    def poll(self, job: str) -> None:
        """Ask for one."""
        type(self).steps += 1
        assert self.client.get(played.POLL_PATH, params={"taskId": job}, headers=HEADERS).json()["code"] == 200


class Constant(Jobs):
    """Does the same with a client to which the same is always answered: what httpx takes."""


def steps_per_second(machine: type[Trivial] | type[Jobs], examples: int) -> float:
    """Run a machine for so many examples, the same ones each time, and return its steps in a second."""
    machine.steps = 0
    quiet = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    began = time.process_time()
    run_state_machine_as_test(seed(0)(machine), settings=quiet)
    return machine.steps / (time.process_time() - began)


def steps(scale: Scale) -> Found:
    """Steps in a second, in turn."""
    examples = scale.size(20, 2)
    with fake() as Jobs.fake, Jobs.fake.client() as Jobs.client:
        Constant.client = httpx.Client(transport=httpx.MockTransport(by_hand.constant), base_url=played.SERVER)
        sides = [partial(steps_per_second, machine, examples) for machine in (Jobs, Constant, Trivial)]
        rounds = in_turn(scale.rounds(15), *sides)
    return {
        "steps": ratios("Understudy", "nothing", [(ours, nothing) for ours, _, nothing in rounds], "/s"),
        "constant": ratios(
            "constant answers", "nothing", [(constant, nothing) for _, constant, nothing in rounds], "/s"
        ),
    }
