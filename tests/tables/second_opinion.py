#!/usr/bin/env python3
"""Holds frictionless-py against tests/tables/cells.json, and fails where a difference is not listed there.

Needs: pip install frictionless==5.21.0
`--write` lists the differences that were found, for whoever then has to explain each in docs/table-schema.md.
"""

import json
import pathlib
import re
import sys

from frictionless import FrictionlessException, Schema

CELLS = pathlib.Path(__file__).parent / "cells.json"
VERSION = "https://datapackage.org/profiles/2.0/tableschema.json"


def accepts(reader, cell):
    value, notes = reader(cell)
    return not notes


def differences(case):
    """The cells of which frictionless-py thinks otherwise: all of them where it refuses the schema."""
    try:
        schema = Schema.from_descriptor({"$schema": VERSION, "fields": [{"name": "cell", **case["field"]}]})
        reader = schema.fields[0].create_cell_reader()
    except (FrictionlessException, TypeError, ValueError, re.error):
        return case["good"] + case["bad"]
    found = []
    for wanted, cells in ((True, case["good"]), (False, case["bad"])):
        for cell in cells:
            try:
                verdict = accepts(reader, cell)
            except Exception:  # it falls over the cell, which is no verdict
                verdict = None
            if verdict != wanted:
                found.append(cell)
    return found


def main():
    cases = json.loads(CELLS.read_text(encoding="utf-8"))
    unlisted = 0
    for case in cases:
        found = differences(case)
        for cell in found:
            if cell not in case.get("differs", []):
                unlisted += 1
                print(f"frictionless-py differs on {cell!r} of {json.dumps(case['field'])}")
        for cell in case.get("differs", []):
            if cell not in found:
                unlisted += 1
                print(f"frictionless-py agrees by now on {cell!r} of {json.dumps(case['field'])}")
        case.pop("differs", None)
        if found:
            case["differs"] = found
        else:
            case.pop("why", None)
    cells = sum(len(case["good"]) + len(case["bad"]) for case in cases)
    differing = sum(len(case.get("differs", [])) for case in cases)
    print(f"{cells} cells, {differing} on which frictionless-py differs, {unlisted} that are not as listed")
    if "--write" in sys.argv:
        lines = ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in cases)
        CELLS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    elif unlisted:
        sys.exit(1)


if __name__ == "__main__":
    main()
