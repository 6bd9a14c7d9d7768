"""Generate `services/common/pb` from `protos/`: `python -m services.common.generate [--check]`.

protoc names a module by its file's path under `protos/`; here that module lives below `services.common.pb`, so the
imports between generated modules are moved there. The result depends on the protos and on grpcio-tools' version alone.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROTOS = ROOT / "protos"
GENERATED = Path(__file__).parent / "pb"
PACKAGE = "services.common.pb"


def generate(protos: Path) -> dict[Path, str]:
    """Every generated file's text by its path below the package. Exits where protoc refuses a proto."""
    sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{protos}", *outputs, *sources]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 - fixed arguments
            sys.exit("protoc failed")
        made = {path.relative_to(folder): path.read_text("utf-8") for path in Path(folder).rglob("*.py*")}
    tops = {path.parts[0] for path in made}
    packages = {parent / "__init__.py" for path in made for parent in path.parents}
    return {path: _below_package(text, tops) for path, text in made.items()} | dict.fromkeys(packages, "")


def _below_package(text: str, tops: set[str]) -> str:
    names = "|".join(map(re.escape, sorted(tops)))
    return re.sub(rf"^from ({names})(?=[. ])", rf"from {PACKAGE}.\1", text, flags=re.MULTILINE)


def committed(folder: Path) -> dict[Path, str]:
    return {path.relative_to(folder): path.read_text("utf-8") for path in folder.rglob("*.py*") if _is_source(path)}


def _is_source(path: Path) -> bool:
    return path.suffix in (".py", ".pyi")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.common.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a file is out of date")
    check = parser.parse_args().check
    old, new = committed(GENERATED), generate(PROTOS)
    stale = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    if check and stale:
        sys.exit(f"{', '.join(map(str, stale))}: out of date; run python -m services.common.generate")
    for path in stale:
        target = GENERATED / path
        if path in new:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(new[path], encoding="utf-8")
        else:
            target.unlink()
    sys.stdout.write(f"{len(stale)} files written\n" if stale else "the generated code is up to date\n")


if __name__ == "__main__":
    main()
