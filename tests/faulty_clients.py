"""A plain client of one provider, and what people get wrong in one: each is caught by the property meant for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from typing import Any, ClassVar

import httpx

from understudy.testing import Callback, ClientSuite, Endpoint

CREATE = "/api/v1/jobs/createTask"
RECORD = "/api/v1/jobs/recordInfo"


class GenerationError(Exception):
    """What the client raises."""


class Plain(ClientSuite):
    """A client that gets everything right; those below change one thing."""

    provider = "kie"
    models: ClassVar[tuple[str, ...]] = ("nano-banana-pro",)

    #: The property that a client breaks; the plain one breaks none.
    caught_by: ClassVar[str] = ""

    #: How many bad polls in a row it bears.
    most_bad = 5

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        self.endpoint = endpoint
        self.told: set[str] = set()
        task = self.create(request)
        return self.finish(self.wait(task))

    # --- the steps of a job ---

    def create(self, request: dict[str, Any]) -> str:
        body = {**request, "callBackUrl": self.endpoint.callback_url}
        for _ in range(5):
            answer = self.ask("POST", CREATE, json=body)
            if answer is None:
                raise GenerationError("nobody knows whether a job was made")
            code, data, pause = answer
            if code == 429:
                self.rest(pause)
                continue
            if code != 200:
                raise GenerationError(f"refused: {code}")
            return str(data["taskId"])
        raise GenerationError("too many requests")

    def wait(self, task: str) -> dict[str, Any]:
        began = time.monotonic()
        bad = 0
        while time.monotonic() - began < self.patience():
            answer = self.ask("GET", RECORD, params={"taskId": task})
            seconds = self.pace(time.monotonic() - began)
            if answer is None or answer[0] != 200:
                bad += 1
                if bad > self.most_bad:
                    raise GenerationError("the job cannot be read")
                seconds = max(seconds, (answer[2] or 0.0) if answer is not None else 0.0)
            elif self.is_done(answer[1]):
                return dict(answer[1])
            else:
                bad = 0
            self.nap(seconds)
        raise GenerationError("the job did not end")

    def is_done(self, data: dict[str, Any]) -> bool:
        if data["state"] == "fail":
            raise GenerationError(f"failed: {data['failMsg']}")
        return bool(data["state"] == "success")

    def finish(self, data: dict[str, Any]) -> Any:
        return json.loads(data["resultJson"])["resultUrls"]

    # --- how it asks ---

    def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, float | None] | None:
        """Return the code, the data and the pause that is asked for; None where the answer says nothing."""
        headers = {"authorization": f"Bearer {self.endpoint.api_key}"}
        try:
            reply = self.endpoint.http.request(method, self.endpoint.base_url + path, headers=headers, **options)
            answer = reply.json()
            code = answer["code"] if reply.status_code == 200 else reply.status_code
            data = answer.get("data")
        except (httpx.HTTPError, ValueError, KeyError, AttributeError, TypeError):
            return None
        if code == 200 and not isinstance(data, dict):
            return None
        return code, data, self.pause_of(reply.headers.get("retry-after"))

    def pause_of(self, text: str | None) -> float | None:
        if text is None:
            return None
        return float(text) if text.isdecimal() else 30.0

    def rest(self, seconds: float | None) -> None:
        self.nap(seconds if seconds is not None else 5.0)

    def nap(self, seconds: float) -> None:
        time.sleep(seconds)

    def pace(self, elapsed: float) -> float:
        return 3.0 if elapsed < 30 else 10.0 if elapsed < 120 else 30.0

    def patience(self) -> float:
        return 900.0

    # --- what it is told ---

    def receive(self, callback: Callback) -> Any:
        headers = {name.lower(): value for name, value in callback.headers.items()}
        data = json.loads(callback.body)["data"]
        stamp = headers["x-webhook-timestamp"]
        if not self.is_fresh(float(stamp)) or not self.is_signed(data["taskId"], stamp, headers["x-webhook-signature"]):
            return 401
        return self.take(data)

    def is_fresh(self, stamp: float) -> bool:
        return abs(time.time() - stamp) <= 300

    def is_signed(self, task: str, stamp: str, signature: str) -> bool:
        secret = (self.endpoint.webhook_secret or "").encode()
        digest = hmac.new(secret, f"{task}.{stamp}".encode(), hashlib.sha256).digest()
        return hmac.compare_digest(base64.b64encode(digest).decode(), signature)

    def take(self, data: dict[str, Any]) -> Any:
        self.told.add(data["taskId"])
        return 200


# --- what people get wrong --------------------------------------------------------------------------------------------


class ReturnsTheThumbnail(Plain):
    caught_by = "a_success_returns_what_the_provider_made"

    def finish(self, data: dict[str, Any]) -> Any:
        return [url + "?thumbnail" for url in json.loads(data["resultJson"])["resultUrls"]]


class ReturnsTheJsonText(Plain):
    caught_by = "a_success_returns_what_the_provider_made"

    def finish(self, data: dict[str, Any]) -> Any:
        return data["resultJson"]


class LooksAtTheHttpStatusAlone(Plain):
    caught_by = "an_error_in_the_body_is_noticed"

    def create(self, request: dict[str, Any]) -> str:
        headers = {"authorization": f"Bearer {self.endpoint.api_key}"}
        reply = self.endpoint.http.post(self.endpoint.base_url + CREATE, json=request, headers=headers)
        reply.raise_for_status()
        return str((reply.json()["data"] or {}).get("taskId"))

    def wait(self, task: str) -> dict[str, Any]:
        try:
            return super().wait(task)
        except GenerationError:
            return {"resultJson": '{"resultUrls": []}'}


class TakesFailureForAnEnd(Plain):
    caught_by = "a_failed_job_is_not_a_success"

    def is_done(self, data: dict[str, Any]) -> bool:
        return data["state"] in ("success", "fail")

    def finish(self, data: dict[str, Any]) -> Any:
        return json.loads(data["resultJson"] or '{"resultUrls": []}')["resultUrls"]


class Repeats(Plain):
    """Makes its create again after an error that says a certain thing."""

    says: ClassVar[str] = ""
    tries: ClassVar[int] = 3

    def create(self, request: dict[str, Any]) -> str:
        for _ in range(self.tries - 1):
            try:
                return super().create(request)
            except GenerationError as error:
                if self.says not in str(error):
                    raise
                self.nap(2)
        return super().create(request)


class RepeatsRefusals(Repeats):
    caught_by, says, tries = "a_refused_create_is_not_repeated", "refused", 2


class RepeatsLostCreates(Repeats):
    caught_by, says = "a_create_whose_answer_was_lost_is_not_repeated", "nobody knows"


class RepeatsServerErrors(Repeats):
    caught_by, says = "a_create_whose_answer_was_lost_is_not_repeated", "refused: 500"


class MakesAnotherJobForABadPoll(Plain):
    caught_by = "one_call_makes_one_job"

    def generate(self, endpoint: Endpoint, request: dict[str, Any]) -> Any:
        for _ in range(2):
            try:
                return super().generate(endpoint, request)
            except GenerationError as error:
                if "failed" not in str(error):
                    raise
        raise GenerationError("failed twice")


class WarmsUp(Plain):
    caught_by = "one_call_makes_one_job"

    def create(self, request: dict[str, Any]) -> str:
        super().create(request)
        return super().create(request)


class RepeatsA429AtOnce(Plain):
    caught_by = "a_rate_limit_is_waited_out"

    def rest(self, seconds: float | None) -> None:
        pass


class WaitsAFixedTimeAfterA429(Plain):
    caught_by = "a_rate_limit_is_waited_out"

    def pause_of(self, text: str | None) -> float | None:
        return 2.0


class ReadsNoDates(Plain):
    caught_by = "a_rate_limit_is_waited_out"

    def pause_of(self, text: str | None) -> float | None:
        return float(text) if text and text.isdecimal() else None


class PollsTenTimesASecond(Plain):
    caught_by = "polls_keep_to_the_documented_pace"

    def pace(self, elapsed: float) -> float:
        return 0.1


class NeverSlowsDown(Plain):
    caught_by = "polls_keep_to_the_documented_pace"

    def pace(self, elapsed: float) -> float:
        return 3.0


class PollsWithoutAPause(Plain):
    caught_by = "polls_keep_to_the_documented_pace"

    def nap(self, seconds: float) -> None:
        pass


class GivesUpAtABadPoll(Plain):
    caught_by = "one_bad_poll_does_not_lose_a_job"
    most_bad = 0


class TakesUnknownStatesForTheEnd(Plain):
    caught_by = "what_nobody_knows_ends_in_an_error"

    def is_done(self, data: dict[str, Any]) -> bool:
        return super().is_done(data) or data["state"] not in ("waiting", "queuing", "generating")

    def finish(self, data: dict[str, Any]) -> Any:
        return json.loads(data["resultJson"] or '{"resultUrls": []}')["resultUrls"]


class SwallowsWhateverIsBroken(Plain):
    caught_by = "what_nobody_knows_ends_in_an_error"

    def wait(self, task: str) -> dict[str, Any]:
        while True:
            try:
                return super().wait(task)
            except GenerationError as error:
                if "cannot be read" not in str(error):
                    raise


class SwallowsItWithoutAPause(SwallowsWhateverIsBroken):
    def nap(self, seconds: float) -> None:
        pass


class WantsToKnowAllMembers(Plain):
    caught_by = "new_members_change_nothing"

    def is_done(self, data: dict[str, Any]) -> bool:
        known = "taskId model state param resultJson failCode failMsg costTime createTime updateTime completeTime"
        if set(data) - set(known.split()) - {"progress", "creditsConsumed"}:
            raise GenerationError("what is this?")
        return super().is_done(data)


class HasNoDeadline(Plain):
    caught_by = "a_stuck_job_ends_by_a_deadline"

    def patience(self) -> float:
        return float("inf")


class ComesBackAfterLunch(Plain):
    caught_by = "the_result_is_there_before_its_link_dies"

    def finish(self, data: dict[str, Any]) -> Any:
        self.nap(1800)
        return super().finish(data)


class SendsTheKeyToTheFiles(Plain):
    caught_by = "the_key_stays_with_the_provider"

    def finish(self, data: dict[str, Any]) -> Any:
        headers = {"authorization": f"Bearer {self.endpoint.api_key}"}
        return [self.endpoint.http.get(url, headers=headers).content for url in super().finish(data)]


class TellsTheKeyInItsErrors(Plain):
    caught_by = "the_key_stays_with_the_provider"

    def create(self, request: dict[str, Any]) -> str:
        try:
            return super().create(request)
        except GenerationError as error:
            raise GenerationError(f"{error}, with the key {self.endpoint.api_key}") from error


class LogsTheKey(Plain):
    caught_by = "the_key_stays_with_the_provider"

    def create(self, request: dict[str, Any]) -> str:
        logging.getLogger("client").debug("asking with %s", {"authorization": self.endpoint.api_key})
        return super().create(request)


class LooksAtNoSignature(Plain):
    caught_by = "a_forged_callback_is_refused"

    def is_signed(self, task: str, stamp: str, signature: str) -> bool:
        return True


class TakesOldCallbacks(Plain):
    caught_by = "a_forged_callback_is_refused"

    def is_fresh(self, stamp: float) -> bool:
        return True


class ChokesOnTheSecondCallback(Plain):
    caught_by = "odd_callbacks_change_nothing"

    def take(self, data: dict[str, Any]) -> Any:
        if data["taskId"] in self.told:
            raise KeyError(data["taskId"])
        return super().take(data)


class WaitsForTheCallbackAlone(Plain):
    caught_by = "odd_callbacks_change_nothing"

    def wait(self, task: str) -> dict[str, Any]:
        for _ in range(900):
            if task in self.told:
                return super().wait(task)
            self.nap(1)
        raise GenerationError("no callback came")


class SendsAMemberTooMany(Plain):
    caught_by = "nothing_is_sent_that_the_contract_forbids"

    def create(self, request: dict[str, Any]) -> str:
        return super().create({**request, "input": {**request["input"], "aspect_ratio": "17:9"}})


class AsksAtAnotherPath(Plain):
    caught_by = "nothing_is_sent_that_the_contract_forbids"

    def wait(self, task: str) -> dict[str, Any]:
        self.ask("GET", "/api/v1/jobs/status", params={"taskId": task})
        return super().wait(task)


def faulty() -> list[type[Plain]]:
    """Return all that get something wrong."""
    found, waiting = [], Plain.__subclasses__()
    while waiting:
        one = waiting.pop(0)
        found.append(one)
        waiting += one.__subclasses__()
    return [one for one in found if one.caught_by]  # one that others are made of gets nothing wrong itself
