#!/usr/bin/env python3
"""Takes the steps that durability stands on out of the source, one at a time, and sees a named test fail.

    tests/mutations.py             tries all of them, in a copy of the committed tree; takes some minutes
    tests/mutations.py fs          only those whose names begin so
    tests/mutations.py --check     only looks whether each one still finds what it would take out

A mutation that no test notices is a step that nothing holds in place. Those of the bucket need a MinIO (TIDEGATE_MINIO, or
`minio` on the PATH).
"""

import pathlib
import subprocess
import sys
import tempfile
from typing import NamedTuple


class Mutation(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    test: str  # what `cargo test` is given; a part of the name of each test that must fail comes last


MUTATIONS = [
]


def main(arguments):
    root = pathlib.Path(__file__).resolve().parent.parent
    lost = [m for m in MUTATIONS if (root / m.file).read_text().count(m.old) != 1]
    for mutation in lost:
        print(f"lost      {mutation.name}: {mutation.file} does not hold, once, what it takes out")
    if lost or arguments == ["--check"]:
        return 1 if lost else 0
    wanted = [m for m in MUTATIONS if not arguments or any(m.name.startswith(a) for a in arguments)]
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "tidegate"
        subprocess.run(["git", "clone", "--quiet", str(root), str(copy)], check=True)
        survivors = [m.name for m in wanted if not notices(copy, root / "target" / "mutations", m)]
    print(f"{len(wanted) - len(survivors)} of {len(wanted)} noticed")
    return 1 if survivors else 0


def notices(copy, target, mutation):
    """Whether the test fails, and fails for it: it must compile, and pass where nothing is taken out (CI sees to that)."""
    path = copy / mutation.file
    whole = path.read_text()
    path.write_text(whole.replace(mutation.old, mutation.new))
    command = ["cargo", "test", "--quiet", "--target-dir", str(target), *mutation.test.split()]
    try:
        compiled = subprocess.run([*command[:2], "--no-run", *command[2:]], cwd=copy, capture_output=True, text=True)
        if compiled.returncode != 0:
            print(f"broken    {mutation.name}: it does not compile\n{compiled.stderr}")
            return False
        ran = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    finally:
        path.write_text(whole)
    failed = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("test ") and "FAILED" in line]
    named = failed or [line.strip() for line in ran.stdout.splitlines() if line.startswith("    ") and "::" in line]
    print(f"{'noticed ' if ran.returncode else 'SURVIVED'}  {mutation.name}: {', '.join(sorted(set(named))[:4])}", flush=True)
    return ran.returncode != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
