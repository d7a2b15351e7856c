"""Programs of several kinds that know nothing of us, with the providers' real addresses written into them.

All play the same scenes. Each is started with a folder that it may write to, and prints a line for each scene.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

KIE, SHORT, OXEN = "https://api.kie.ai/api/v1/jobs", "https://api.shortapi.ai/api/v1/job", "https://hub.oxen.ai/api/ai"
REPLICATE = "https://api.replicate.com/v1"
OF_KIE = {"model": "nano-banana-pro", "input": {"prompt": "a lighthouse"}}
OF_SHORT = {"model": "google/nano-banana-2/text-to-image", "args": {"prompt": "x", "aspect_ratio": "1:1"}}
OF_OXEN = {"model": "google-nano-banana-pro", "prompt": "a lighthouse"}
OF_REPLICATE = {"input": {"prompt": "a lighthouse", "output_format": "png"}, "webhook_events_filter": ["completed"]}
FLUX = f"{REPLICATE}/models/black-forest-labs/flux-schnell/predictions"

# What is posted where. Then by which member of the answer the job is known, where it is polled, and what is said when
# it has succeeded; or in which member the address of a receiver goes; or where to listen meanwhile; or nothing, and the
# answer to the post has the result.
SCENES: list[dict[str, Any]] = [
    {"who": "kie", "post": f"{KIE}/createTask", "body": OF_KIE, "id": "taskId",
     "poll": f"{KIE}/recordInfo?taskId=", "done": '"state":"success"'},
    {"who": "shortapi", "post": f"{SHORT}/create", "body": OF_SHORT, "id": "job_id",
     "poll": f"{SHORT}/query?id=", "done": '"status":2'},
    {"who": "oxen", "post": f"{OXEN}/queue", "body": OF_OXEN, "id": "generation_id",
     "poll": f"{OXEN}/queue/", "done": '"status":"succeeded"'},
    {"who": "replicate", "post": FLUX, "body": OF_REPLICATE, "id": "id",
     "poll": f"{REPLICATE}/predictions/", "done": '"status":"succeeded"'},
    {"who": "kie", "post": f"{KIE}/createTask", "body": OF_KIE, "callback": "callBackUrl"},
    {"who": "shortapi", "post": f"{SHORT}/create", "body": OF_SHORT, "callback": "callback_url"},
    {"who": "replicate", "post": FLUX, "body": OF_REPLICATE, "callback": "webhook"},
    {"who": "oxen", "post": f"{OXEN}/images/edit", "body": OF_OXEN},
    {"who": "replicate", "post": FLUX, "body": OF_REPLICATE},
    {"who": "oxen", "post": f"{OXEN}/queue", "body": OF_OXEN, "listen": "https://hub.oxen.ai/api/events"},
]  # fmt: skip

#: What each of the programs prints.
SAID = [
    *(f"{who} polled image/png" for who in ("kie", "shortapi", "oxen", "replicate")),
    *(f"{who} called back" for who in ("kie", "shortapi", "replicate")),
    *(f"{who} blocked image/png" for who in ("oxen", "replicate")),
    "oxen event: media_generation_completed",
]

_BASH = r"""
set -euo pipefail
api() { curl -sS --fail --max-time 20 -H "Authorization: Bearer key" -H "Content-Type: application/json" "$@"; }
fetched() {
  link=$(grep -oE 'https://[^"\\]+\.png' <<<"$2" | head -n 1)
  curl -sS --fail -o /dev/null -w "$who $1 %{content_type}\n" "$link"
}
while IFS=$'\x1f' read -r who post body id poll done callback listen <&3; do
  if [[ -n $poll ]]; then
    job=$(api "$post" -d "$body" | jq -er "first(.. | .$id? | strings)")
    reply=
    until grep -qF "$done" <<<"$reply"; do reply=$(api "$poll$job"); done
    fetched polled "$reply"
  elif [[ -n $callback ]]; then
    rm -f "$1/url"
    python3 "$1/receiver.py" "$1/url" & receiver=$!
    until [[ -s $1/url ]]; do :; done
    api "$post" -d "${body%\}}, \"$callback\": \"$(<"$1/url")\"}" >/dev/null
    wait $receiver && echo "$who called back"
  elif [[ -n $listen ]]; then
    curl -sSN -H "Authorization: Bearer key" "$listen" -D "$1/head" >"$1/events" & listener=$!
    until grep -q "content-type: text/event-stream" "$1/head" 2>/dev/null; do :; done
    api "$post" -d "$body" >/dev/null
    until grep -q "^event: " "$1/events"; do :; done
    echo "$who $(grep "^event: " "$1/events")"
    kill $listener
  else
    fetched blocked "$(api "$post" -d "$body" -H "Prefer: wait")"
  fi
done 3< <(jq -r '.[] | [.who, .post, (.body | tojson), .id, .poll, .done, .callback, .listen] | join("\u001f")' <<'END'
SCENES
END
)
"""

_RECEIVER = r"""
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
server.timeout = 20
CALLBACK = f"http://127.0.0.1:{server.server_address[1]}/"
"""

# As a file that is moved there whole, so that nobody reads the half of it.
_BEFORE_BASH = f"""
import os, sys
{_RECEIVER}
with open(sys.argv[1] + ".new", "w") as file: print(CALLBACK, file=file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.handle_request()
"""

_PYTHON = r"""
import json, re

def link(text): return re.search(r'https://[^"\\]+\.png', text)[0]
def fetched(how, text): print(scene["who"], how, http.get(link(text)).headers["content-type"])

for scene in json.loads(r'''SCENES'''):
    post, body = scene["post"], scene["body"]
    if "poll" in scene:
        job = re.search(f'"{scene["id"]}":"([^"]+)', http.post(post, json=body).text)[1]
        while scene["done"] not in (text := http.get(scene["poll"] + job).text): pass
        fetched("polled", text)
    elif "callback" in scene:
        http.post(post, json={**body, scene["callback"]: CALLBACK})
        server.handle_request()
        print(scene["who"], "called back")
    elif "listen" in scene:
        with listening(scene["listen"]) as events:
            http.post(post, json=body)
            print(scene["who"], next(line for line in events.iter_lines(**how) if line.startswith("event: ")))
    else:
        fetched("blocked", http.post(post, json=body, headers={"Prefer": "wait"}).text)
server.server_close()
"""

_REQUESTS = f"""
import requests
{_RECEIVER}
http, how = requests.Session(), {{"decode_unicode": True}}
http.headers["Authorization"] = "Bearer key"
def listening(url):
    events = http.get(url, stream=True)
    events.encoding = "utf-8"
    return events
{_PYTHON}
"""

_HTTPX = f"""
import httpx
{_RECEIVER}
http, how = httpx.Client(headers={{"Authorization": "Bearer key"}}, timeout=20), {{}}
def listening(url): return http.stream("GET", url)
{_PYTHON}
"""

_NODE = r"""
import http from "node:http";
import https from "node:https";
const headers = { authorization: "Bearer key", "content-type": "application/json" };
const sent = (body, more) => ({ method: "POST", headers: { ...headers, ...more }, body: JSON.stringify(body) });
const post = async (url, body, more) => (await fetch(url, sent(body, more))).text();
const link = (text) => text.match(/https:\/\/[^"\\]+\.png/)[0];
const type = async (text) => (await fetch(link(text))).headers.get("content-type");
const status = (text) => new Promise((done) => https.get(link(text), (answer) => done(answer.resume().statusCode)));

for (const scene of JSON.parse(String.raw`SCENES`)) {
  const say = (...what) => console.log(scene.who, ...what);
  if (scene.poll) {
    const job = (await post(scene.post, scene.body)).match(new RegExp(`"${scene.id}":"([^"]+)`))[1];
    let text;
    do text = await (await fetch(scene.poll + job, { headers })).text();
    while (!text.includes(scene.done));
    say("polled", (await status(text)) === 200 && (await type(text)));
  } else if (scene.callback) {
    await new Promise((done) => {
      const server = http.createServer((request, answer) => {
        request.resume();
        answer.end(done);
        server.close();
      });
      server.listen(0, "127.0.0.1", () =>
        post(scene.post, { ...scene.body, [scene.callback]: `http://127.0.0.1:${server.address().port}/` }));
    });
    say("called back");
  } else if (scene.listen) {
    const stop = new AbortController();
    const events = await fetch(scene.listen, { headers, signal: stop.signal });
    await post(scene.post, scene.body);
    let text = "";
    for await (const piece of events.body) if (/^event: .*\n/m.test((text += new TextDecoder().decode(piece)))) break;
    say(text.match(/^event: .*/m)[0]);
    stop.abort();
  } else {
    say("blocked", await type(await post(scene.post, scene.body, { prefer: "wait" })));
  }
}
"""

_AIOHTTP = r"""
import asyncio, json, re
import aiohttp
from aiohttp import web

async def main():
    called = asyncio.Event()
    async def receive(request):
        called.set()
        return web.Response()
    app = web.Application()
    app.router.add_post("/", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    callback = f"http://localhost:{runner.addresses[0][1]}/"
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as http:
        async def text_of(method, url, **more):
            async with http.request(method, url, **more) as reply: return await reply.text()
        async def fetched(how, text):
            async with http.get(re.search(r'https://[^"\\]+\.png', text)[0]) as reply:
                print(scene["who"], how, reply.headers["content-type"])
        for scene in json.loads(r'''SCENES'''):
            post, body = scene["post"], scene["body"]
            if "poll" in scene:
                job = re.search(f'"{scene["id"]}":"([^"]+)', await text_of("POST", post, json=body))[1]
                while scene["done"] not in (text := await text_of("GET", scene["poll"] + job)): pass
                await fetched("polled", text)
            elif "callback" in scene:
                await text_of("POST", post, json={**body, scene["callback"]: callback})
                await asyncio.wait_for(called.wait(), 20)
                called.clear()
                print(scene["who"], "called back")
            elif "listen" in scene:
                async with http.get(scene["listen"]) as events:
                    await text_of("POST", post, json=body)
                    async for line in events.content:
                        if line.startswith(b"event: "): break
                    print(scene["who"], line.decode().strip())
            else:
                await fetched("blocked", await text_of("POST", post, json=body, headers={"Prefer": "wait"}))
    await runner.cleanup()

asyncio.run(main())
"""

#: By name: what runs it, what it is called, its text, and what has to be installed.
SCRIPTS = {
    "curl": (["bash"], "script.sh", _BASH, ("bash", "curl", "jq", "python3")),
    "requests": ([sys.executable], "script.py", _REQUESTS, ()),
    "httpx": ([sys.executable], "script.py", _HTTPX, ()),
    "node": (["node"], "script.mjs", _NODE, ("node",)),
    "aiohttp": ([sys.executable], "script.py", _AIOHTTP, ()),
}


def written(name: str, folder: Path) -> list[str]:
    """Write a program, and return the command that runs it; without what it needs the test is skipped."""
    command, file, code, needs = SCRIPTS[name]
    for program in needs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    script = folder / file
    script.write_text(code.replace("SCENES", json.dumps(SCENES)), encoding="utf-8")
    (folder / "receiver.py").write_text(_BEFORE_BASH, encoding="utf-8")
    return [*command, str(script), str(folder)]
