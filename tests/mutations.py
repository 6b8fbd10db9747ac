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
    Mutation(
        "bucket: a file that fits one request replaces nothing",
        "src/sink/object/commit.rs",
        "PutMode::Overwrite } else { PutMode::Create };",
        "PutMode::Overwrite } else { PutMode::Overwrite };",
        "--test contract s3_minio::reject_keeps_what_stands",
    ),
    Mutation(
        "bucket: a multipart upload replaces nothing",
        "src/sink/object/parts.rs",
        "            Completion::Create => creating,",
        "            Completion::Create => [creating, plain][1],",
        "--test contract s3_minio::large_files_conflict_too",
    ),
    Mutation(
        "bucket: what is written down is written once",
        "src/sink/object/manifest.rs",
        "Attributes::new(), PutMode::Create).await else {",
        "Attributes::new(), PutMode::Overwrite).await else {",
        "--lib of_two_nodes_that_begin_one_upload_the_second_is_told",
    ),
    Mutation(
        "bucket: of two nodes with other bytes one stops",
        "src/sink/object/manifest.rs",
        "        if standing.saved.tally != record.saved.tally {",
        "        if false {",
        "--lib a_node_that_was_overtaken_with_other_bytes_stops_and_removes_nothing",
    ),
    Mutation(
        "bucket: who was overtaken removes nothing",
        "src/sink/object/parts.rs",
        "        if self.fate == Fate::Ceded {",
        "        if false {",
        "--lib a_node_that_was_overtaken_with_other_bytes_stops_and_removes_nothing",
    ),
    Mutation(
        "bucket: a receipt for other bytes is not completed",
        "src/sink/object/large.rs",
        "        if (standing.size, standing.digest) == (receipt.size, receipt.digest) {",
        "        if true {",
        "--lib a_receipt_noted_for_other_bytes_is_not_completed",
    ),
    Mutation(
        "bucket: the record of what stands stays",
        "src/sink/object/large.rs",
        "            Ok(true) => {}\n            Ok(false) => self.remote.remove_record(&self.record).await,",
        "            Ok(_) => self.remote.remove_record(&self.record).await,",
        "--lib who_has_other_bytes_leaves_the_record_of_what_stands",
    ),
    Mutation(
        "bucket: a multipart upload that is gone is told from one that failed",
        "src/sink/object/sending.rs",
        "let fate = if is_gone(&error) {",
        "let fate = if is_gone(&error) && false {",
        "--lib a_node_that_comes_too_late_with_the_same_bytes_has_the_same_receipt",
    ),
    Mutation(
        "bucket: who goes on with an upload keeps it young",
        "src/sink/object/resume.rs",
        "    journal.touch().await?;",
        "",
        "--lib an_upload_that_somebody_went_on_with_is_young",
    ),
    Mutation(
        "bucket: what lies behind a gap is removed",
        "src/sink/object/resume.rs",
        "    remote.remove_all(beyond(&names, run.parts.len())).await?;",
        "    drop(beyond(&names, run.parts.len()));",
        "--lib what_lies_behind_a_gap_is_not_in_the_way_of_other_bytes",
    ),
    Mutation(
        "bucket: a tail goes on where the parts end",
        "src/sink/object/resume.rs",
        "        if tally == saved.tally {",
        "        if true {",
        "--lib a_tail_that_does_not_belong_to_the_parts_is_passed_over",
    ),
    Mutation(
        "bucket: the sweep leaves the records of living uploads",
        "src/sink/object/sweep.rs",
        "!uploads.contains_key(&record.id) && !self.writers.holds(&record.id)",
        "!self.writers.holds(&record.id)",
        "--lib the_record_of_an_upload_that_is_alive_stays",
    ),
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
