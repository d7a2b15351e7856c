"""Whole lifecycles of each provider by curl and jq: what a shell script, or any language, meets."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Served, served

pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq") and shutil.which("bash")), reason="needs bash, curl and jq"
)

# A script begins with these: $URL is the provider's base URL; `api` is curl with a key, and fails on HTTP errors.
PRELUDE = """
set -euo pipefail
api() { curl -sS --fail --max-time 20 -H "Authorization: Bearer key" -H "Content-Type: application/json" "$@"; }
picture() { curl -sS --fail --max-time 20 -o /dev/null -w '%{http_code} %{content_type}\\n' "$1"; }
"""

KIE = """
task=$(api "$URL/api/v1/jobs/createTask" \
  -d '{"model": "nano-banana-pro", "input": {"prompt": "a lighthouse", "resolution": "2K"}}' | jq -er .data.taskId)
for _ in $(seq 2000); do
  reply=$(api "$URL/api/v1/jobs/recordInfo?taskId=$task")
  state=$(jq -r .data.state <<<"$reply")
  [[ $state == success ]] && break
done
echo "$state"
picture "$(jq -er '.data.resultJson | fromjson | .resultUrls[0]' <<<"$reply")"
api "$URL/api/v1/chat/credit" | jq .data
link=$(api "$URL/api/v1/common/download-url" \
  -d "$(jq '{url: (.data.resultJson | fromjson | .resultUrls[0])}' <<<"$reply")" | jq -er .data)
picture "$link"
upload=$(curl -sS --fail --max-time 20 -H "Authorization: Bearer key" -F file=@"$0" -F uploadPath=scripts \
  "$URL/api/file-stream-upload" | jq -er .data.downloadUrl)
curl -sS --fail --max-time 20 "$upload" | cmp - "$0" && echo "the same"
curl -sS --max-time 20 "$URL/api/v1/jobs/recordInfo?taskId=$task" | jq .code
"""

OXEN = """
events=$(mktemp)
trap 'kill $listener; rm -f "$events"' EXIT
curl -sSN -H "Authorization: Bearer key" "$URL/api/events" -D "$events.head" >"$events" & listener=$!
until grep -q "200 OK" "$events.head" 2>/dev/null; do :; done; rm -f "$events.head"
id=$(api "$URL/api/ai/queue" -d '{"model": "google-nano-banana-pro", "prompt": "a lighthouse"}' \
  | jq -er '.generations[0].generation_id')
until grep -q "^data: " "$events"; do :; done
grep "^event: " "$events"
grep "^data: " "$events" | cut -c7- | jq -r --arg id "$id" 'tostring | contains($id)'
reply=$(api "$URL/api/ai/queue/$id")
jq -r .status <<<"$reply"
picture "$(jq -er .result_url <<<"$reply")"
image=$(api "$URL/api/ai/images/edit" -d '{"model": "google-nano-banana-pro", "prompt": "a lighthouse"}' \
  | jq -er '.images[0].url')
picture "$image"
api "$URL/api/ai/models" | jq -r .object
"""

CANCEL = """
id=$(api "$URL/api/ai/queue" -d '{"model": "google-nano-banana-pro", "prompt": "x", "num_generations": 2}' \
  | jq -er '.generations[1].generation_id')
api -X DELETE "$URL/api/ai/queue/$id" | jq -r .status
api "$URL/api/ai/queue/$id" | jq -r .status
api "$URL/api/ai/queue" | jq .count
"""

SHORTAPI = """
id=$(api "$URL/api/v1/job/create" -d '{"model": "google/nano-banana-2/text-to-image", "args": {"prompt": "a lighthouse",
  "aspect_ratio": "16:9", "num_images": 1, "resolution": "1K"}}' | jq -er .data.job_id)
for _ in $(seq 2000); do
  reply=$(api "$URL/api/v1/job/query?id=$id")
  status=$(jq .data.status <<<"$reply")
  [[ $status == 2 ]] && break
done
echo "$status"
picture "$(jq -er '.data.result.images[0].url' <<<"$reply")"
api "$URL/api/v1/job/query?id=None" | jq -c '[.code, .info]'
"""

REPLICATE = """
made=$(api "$URL/v1/predictions" -H "Prefer: wait=1" \
  -d '{"version": "black-forest-labs/flux-schnell", "input": {"prompt": "a lighthouse", "output_format": "png"}}')
curl -sSN --fail --max-time 20 -H "Authorization: Bearer key" "$(jq -er .urls.stream <<<"$made")" | grep "^event: "
reply=$(api "$(jq -er .urls.get <<<"$made")")
jq -r .status <<<"$reply"
picture "$(jq -er '.output[0]' <<<"$reply")"
api "$URL/v1/predictions?number=[1-100]" \
  -d '{"version": "black-forest-labs/flux-schnell", "input": {"prompt": "a lighthouse"}}' >/dev/null
page=$(api "$URL/v1/predictions")
jq '.results | length' <<<"$page"
api "$(jq -er .next <<<"$page")" | jq -c --argjson made "$made" '[.next, .results[].id == $made.id]'
"""

STORIES = {
    "kie": (KIE, ["success", "200 image/png", "9982", "200 image/png", "the same", "401"]),
    "oxen": (
        OXEN,
        ["event: media_generation_completed", "true", "succeeded", "200 image/png", "200 image/png", "list"],
    ),
    "replicate": (
        REPLICATE,
        ["event: output", "event: done", "succeeded", "200 image/png", "100", "[null,true]"],
    ),
    "shortapi": (SHORTAPI, ["2", "200 image/png", '[404,"job not found"]']),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """All providers, a hundred times as fast as usual, in a process of their own."""
    with served("--speed", "100", "--quiet") as running:
        yield running


def said_by(story: str, url: str, folder: Path) -> list[str]:
    """Run a script and return its lines."""
    script = folder / "story.sh"
    script.write_text(PRELUDE + story, encoding="utf-8")
    environment = {"URL": url, "PATH": os.environ["PATH"]}
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", STORIES)
def test_a_shell_script_gets_through(name: str, server: Served, tmp_path: Path) -> None:
    """A script of curl and jq makes a job, follows it to its end, fetches the picture and uses what else there is."""
    story, said = STORIES[name]
    assert said_by(story, f"{server.url}/{name}", tmp_path) == said


def test_a_shell_script_cancels(tmp_path: Path) -> None:
    """A script cancels a job that is stuck, and its list has one job less."""
    with served("oxen", "--quiet", "--scenario", "stuck-in-queue") as server:
        assert said_by(CANCEL, f"{server.url}/oxen", tmp_path) == ["success", "cancelled", "1"]
