"""The command line: one function for each command, which imports what it needs when it runs.

Exit codes: 0 fine, 1 the thing tested falls short, 2 the question was wrong (a bad file, name or flag).
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from understudy import __version__
from understudy.errors import UnderstudyError

if TYPE_CHECKING:
    from understudy.record.relay import Relay

# What a command needs is imported when it runs: `--help` has to be quick. So these are those of `outputs`, once more.
_FORMATS = ("text", "json", "junit", "github", "sarif")

# And these are those of `export.run`.
_EXPORTS = ("openapi", "arazzo", "har", "pact", "mermaid")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The arguments, without the program's name; those of the process by default.

    Returns:
        The exit code.
    """
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except UnderstudyError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has seen enough
        sys.stdout = None  # or the interpreter would write the rest at its end
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="understudy",
        description="Contract testing and a stand-in provider for asynchronous job APIs: create, poll, be called back.",
    )
    parser.add_argument("--version", action="version", version=f"understudy {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="play providers on this machine", description="Play providers live.")
    serve.add_argument("providers", nargs="*", metavar="PROVIDER", help="a name, or a contract folder; default: all")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on; default: %(default)s")
    serve.add_argument("--port", type=int, default=4010, metavar="N", help="default: %(default)s; 0: any that is free")
    serve.add_argument("--asset-port", type=int, metavar="N", help="where links to result files lead; default: port+1")
    serve.add_argument("--scenario", metavar="NAME", help="the story that is played by those that have it")
    serve.add_argument("--errors", choices=("body", "http"), help="how errors come from those that can send them so")
    serve.add_argument("--callback-url", metavar="URL", help="where those call back that have no address in the create")
    serve.add_argument("--speed", type=float, default=1.0, metavar="N", help="seconds of theirs in one of yours")
    serve.add_argument(
        "--allow-callback",
        action="append",
        default=[],
        metavar="HOST",
        help="a host that may be called back; loopback always may",
    )
    serve.add_argument("--reload", action="store_true", help="load a provider anew when its files change")
    serve.add_argument("--seed", type=int, default=0, metavar="N", help="from which ids are minted; default: 0")
    serve.add_argument("--proxy", action="store_true", help="stand in for their real hosts, too: a proxy on port+2")
    serve.add_argument("--quiet", action="store_true", help="log nothing but trouble")
    serve.set_defaults(command=_serve)

    run = commands.add_parser(
        "run", help="run any program against the fakes", description="Run any program against the fakes."
    )
    run.add_argument("command_line", nargs="+", metavar="COMMAND", help="the program and its arguments, after --")
    run.add_argument("--provider", action="append", default=[], metavar="NAME", help="who is played; default: all")
    run.add_argument("--scenario", metavar="NAME", help="the story that is played by those that have it")
    run.add_argument("--speed", type=float, default=1.0, metavar="N", help="seconds of theirs in one of yours")
    run.add_argument("--allow", action="append", default=[], metavar="HOST", help="another host that may be reached")
    run.add_argument(
        "--isolated", action="store_true", help="in a network of its own, out of which nothing leads (Linux)"
    )
    run.add_argument("--report", type=Path, metavar="FILE", help="where the report goes as JSON, too")
    run.set_defaults(command=_run)

    env = commands.add_parser(
        "env", help="print what a shell has to set", description="Print the variables of a proxy, for a shell."
    )
    env.add_argument(
        "--proxy", default="http://127.0.0.1:4012", metavar="URL", help="of a serve --proxy; default: %(default)s"
    )
    env.set_defaults(command=_env)

    check = commands.add_parser("check", help="prove contracts usable", description="Prove contracts usable.")
    check.add_argument("providers", nargs="*", metavar="PROVIDER", help="a name, or a contract folder; default: all")
    check.add_argument("--format", default="text", choices=_FORMATS, help="default: %(default)s")
    check.set_defaults(command=_check)

    record = commands.add_parser(
        "record", help="write down what a provider says", description="Write down what a provider says, as recordings."
    )
    record.add_argument("provider", metavar="PROVIDER", help="a name, or a contract folder")
    record.add_argument("command_line", nargs="*", metavar="COMMAND", help="a program to record, after --")
    record.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the recordings go")
    record.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="URL",
        help="the provider, which alone is forwarded to; with a command, also its other hosts",
    )
    record.add_argument("--har", type=Path, metavar="FILE", help="what was seen, in place of a provider")
    record.add_argument("--port", type=int, default=4020, metavar="N", help="default: %(default)s; 0: any that is free")
    record.add_argument(
        "--callback", action="append", type=Path, default=[], metavar="FILE", help="the body of one that came elsewhere"
    )
    record.add_argument("--patch", type=Path, metavar="FILE", help="where the patch goes; default: standard output")
    record.set_defaults(command=_record)

    diff = commands.add_parser(
        "diff", help="say what has changed for a consumer", description="Say what has changed for a consumer."
    )
    diff.add_argument("old", metavar="OLD", help="a contract folder, a provider, a git revision, or REVISION:PATH")
    diff.add_argument("new", metavar="NEW", help="the same, as it is now")
    diff.add_argument("--format", default="text", choices=_FORMATS, help="default: %(default)s")
    diff.add_argument(
        "--fail-on",
        default="breaking",
        choices=("breaking", "risky", "safe", "never"),
        help="the mildest change that fails; default: %(default)s",
    )
    diff.set_defaults(command=_diff)

    export = commands.add_parser(
        "export", help="write a provider for other tools", description="Write a provider in the format of another tool."
    )
    export.add_argument("provider", metavar="PROVIDER", help="a name, or a contract folder")
    export.add_argument("--format", required=True, choices=_EXPORTS, help="of which tool")
    export.add_argument("--out", type=Path, metavar="FILE", help="where it goes; default: standard output")
    export.set_defaults(command=_export)

    coverage = commands.add_parser(
        "coverage", help="say what tests have touched", description="Say what tests have touched of the contracts."
    )
    coverage.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="what pytest has written; default: .understudy-coverage"
    )
    coverage.add_argument("--url", metavar="URL", help="of a live server, which counts too")
    coverage.add_argument("--format", default="text", choices=(*_FORMATS, "html"), help="default: %(default)s")
    coverage.add_argument(
        "--fail-under", type=float, default=0.0, metavar="N", help="the percentage that each provider has to reach"
    )
    coverage.set_defaults(command=_coverage)

    verify = commands.add_parser(
        "verify", help="hold a live provider to its contract", description="Hold a live provider to its contract."
    )
    verify.add_argument("provider", metavar="PROVIDER", help="a name, or a contract folder")
    verify.add_argument("--base-url", required=True, metavar="URL", help="where it is; no other host is called")
    verify.add_argument("--key-env", required=True, metavar="NAME", help="the environment variable that has the key")
    verify.add_argument(
        "--budget", default="0", metavar="USD", help="what may be spent; default: 0, nothing is paid for"
    )
    verify.add_argument("--only", action="append", default=[], metavar="CHECK", help="a check to make; default: all")
    verify.add_argument("--resume", type=Path, metavar="FILE", help="where progress is kept, and taken up from")
    verify.add_argument("--callback-url", metavar="URL", help="an address from which a tunnel leads to --callback-port")
    verify.add_argument("--callback-port", type=int, default=0, metavar="N", help="default: any that is free")
    verify.add_argument("--secret-env", metavar="NAME", help="the variable that has the secret of callbacks")
    verify.add_argument("--format", default="text", choices=_FORMATS, help="default: %(default)s")
    verify.add_argument(
        "--fail-on",
        default="breaking",
        choices=("breaking", "drift", "variable", "never"),
        help="the mildest difference that fails; default: %(default)s",
    )
    verify.set_defaults(command=_verify)

    new = commands.add_parser(
        "new", help="write a provider of your own", description="Write a provider of your own, to start from."
    )
    new.add_argument("name", metavar="NAME", help="what it is called: lower case, digits and hyphens")
    new.add_argument(
        "--folder", type=Path, default=Path(), help="where contracts/ and fakes/ are; default: %(default)s"
    )
    new.set_defaults(command=_new)

    demo = commands.add_parser("demo", help="tell the whole story on one page", description="Tell the whole story.")
    demo.add_argument("providers", nargs="*", metavar="PROVIDER", help="a name; default: all")
    demo.add_argument(
        "--folder", type=Path, default=Path("understudy-demo"), help="where result files go; default: %(default)s"
    )
    demo.set_defaults(command=_demo)
    return parser


def _serve(arguments: argparse.Namespace) -> int:
    from understudy.foreground import run

    return run(**{name: value for name, value in vars(arguments).items() if name != "command"})


def _run(arguments: argparse.Namespace) -> int:
    try:
        from understudy.run import run

        return run(
            arguments.command_line,
            providers=arguments.provider,
            scenario=arguments.scenario,
            speed=arguments.speed,
            allow=arguments.allow,
            isolated=arguments.isolated,
            file=arguments.report,
        )
    except KeyboardInterrupt:  # before the command has begun
        return 128 + signal.SIGINT


def _env(arguments: argparse.Namespace) -> int:
    from understudy.environment import merged, variables_of

    found = variables_of(arguments.proxy)
    values = merged(found, os.environ)
    print("\n".join(f"export {name}={shlex.quote(values[name])}" for name in found))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from understudy.check import run

    return run(arguments.providers, format=arguments.format)


def _record(arguments: argparse.Namespace) -> int:
    from understudy.foreground import stop_asked, wait

    with stop_asked() as stop:
        from understudy.record.run import record

        def until_stopped(relay: Relay) -> None:
            print(f"in place of the provider: {relay.url}\ncallbacks: {relay.callback_url}", file=sys.stderr)
            print("Ctrl-C ends it, and writes the recordings.", file=sys.stderr, flush=True)
            wait(stop)

        return record(
            arguments.provider,
            arguments.out,
            upstreams=arguments.upstream,
            har=arguments.har,
            port=arguments.port,
            command=arguments.command_line,
            callbacks=arguments.callback,
            patch=arguments.patch,
            until=until_stopped,
        )


def _diff(arguments: argparse.Namespace) -> int:
    from understudy.diff.run import run

    return run(arguments.old, arguments.new, format=arguments.format, fail_on=arguments.fail_on)


def _export(arguments: argparse.Namespace) -> int:
    from understudy.export.run import run

    return run(arguments.provider, format=arguments.format, out=arguments.out)


def _coverage(arguments: argparse.Namespace) -> int:
    from understudy.coverage.run import run

    return run(arguments.files, url=arguments.url, format=arguments.format, fail_under=arguments.fail_under)


def _verify(arguments: argparse.Namespace) -> int:
    from understudy.verify.run import run

    options = {name: value for name, value in vars(arguments).items() if name not in ("command", "provider")}
    return run(arguments.provider, **options)


def _new(arguments: argparse.Namespace) -> int:
    from understudy.new import write_provider

    name, folder = arguments.name, arguments.folder
    print("\n".join(map(str, write_provider(name, folder))))
    where = "" if folder == Path() else f"cd {shlex.quote(str(folder))}; "
    print(f"Next: `{where}understudy check {name}`, and `understudy serve {name}`.")
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from understudy.demo import run

    return run(arguments.folder, providers=arguments.providers or None)
