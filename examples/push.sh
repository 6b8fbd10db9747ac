#!/bin/sh
# Sends files to tidegate by the plain protocol, with nc and a POSIX shell:
#
#     push.sh HOST PORT FILE...
#
# Each file goes by its own name with its size in front, so that one that is cut off is refused, and not taken for a shorter
# file. Prints the answers; exits with 0 if every file was committed, else with 1.
set -eu

[ $# -ge 3 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
host=$1 port=$2
shift 2

failed=0
for file in "$@"; do
    size=$(wc -c <"$file" | tr -d ' ')
    answer=$({ printf '%s %s\n' "$(basename "$file")" "$size"; cat "$file"; } | nc "$host" "$port") || true
    printf '%s\n' "${answer:-ERR no answer for $file}"
    case $answer in
        "OK "*) ;;
        *) failed=1 ;;
    esac
done
exit $failed
