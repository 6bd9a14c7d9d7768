"""`helm` for a machine that has none: the calls that a rollout makes, carried out by Helm's own library.

KUBECONFIG=… python -m tests.rollout.helm upgrade RELEASE CHART --reuse-values --values FILE --namespace NAME
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart, HelmError
from helm_python.config import Config


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="helm")
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--namespace", default="default")
    place.add_argument("--kube-context")
    place.add_argument("--output", choices=["json"])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("history", parents=[place]).add_argument("release")
    get = commands.add_parser("get").add_subparsers(required=True).add_parser("values", parents=[place])
    get.add_argument("release")
    get.add_argument("--all", action="store_true")
    shown = commands.add_parser("show").add_subparsers(required=True).add_parser("chart", parents=[place])
    shown.add_argument("chart")
    for name in ("install", "upgrade"):
        command = commands.add_parser(name, parents=[place])
        command.add_argument("release")
        command.add_argument("chart")
        command.add_argument("--values")
        command.add_argument("--reuse-values", action="store_true")
        command.add_argument("--description")
    return parser


def _revision(config: Config, release: str, listed: dict[str, Any]) -> dict[str, Any]:
    """As `helm history --output json` has it."""
    info = config.get_all(release, revision=listed["revision"])["info"]
    chart = f"{listed['chart_name']}-{listed['chart_version']}"
    return {
        **{name: listed[name] for name in ("revision", "status")},
        "chart": chart,
        "description": info["description"],
    }


def run(asked: argparse.Namespace) -> Any:
    """What is printed. Raises HelmError."""
    if asked.command == "show":
        return yaml.safe_dump(Chart.load(asked.chart).metadata)
    with Config(namespace=asked.namespace, kube_context=asked.kube_context) as config:
        if asked.command == "history":
            return [_revision(config, asked.release, each) for each in config.history(asked.release)]
        if asked.command == "get":
            return config.get_values(asked.release, all_values=asked.all)
        values = yaml.safe_load(Path(asked.values).read_text())
        if asked.command == "install":
            config.install(asked.chart, asked.release, values)
            return "installed"
        config.upgrade(
            asked.chart, asked.release, values, reuse_values=asked.reuse_values, description=asked.description
        )
        return "upgraded"


def main() -> None:
    options = _parser().parse_args()
    try:
        found = run(options)
    except HelmError as error:
        sys.exit(f"Error: {error}")
    print(json.dumps(found) if options.output else found)


if __name__ == "__main__":
    main()
