#!/bin/sh
# Sends files to tidegate by the plain protocol, with nc and a POSIX shell:
#
#     push.sh HOST PORT FILE...
#
# Each file goes by its own name with its size in front, so that one that is cut off is refused, and not taken for a shorter
# file. Prints the answers; exits with 0 if every file was committed, 1 if one was not, 2 for a wrong command line.
set -eu

[ $# -ge 3 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
host=$1 port=$2
shift 2

# OpenBSD's nc ends its side with -N; others wait until the server closes (plain.linger, 5 s).
end=
nc -h 2>&1 | grep -q -e '-N' && end=-N

failed=0
refuse() {
    printf 'ERR %s: %s\n' "$1" "$2" >&2
    failed=1
}

for file in "$@"; do
    name=$(basename "$file")
    if ! [ -f "$file" ] || ! [ -r "$file" ]; then
        refuse "$file" "not a file that can be read"
        continue
    fi
    case $name in
        *[[:space:]]*) refuse "$file" "the plain protocol takes no name with a space"; continue ;;
    esac
    size=$(wc -c <"$file" | tr -d ' ')
    # shellcheck disable=SC2086 # one option, or none
    answer=$({ printf '%s %s\n' "$name" "$size"; cat "$file"; } | nc $end "$host" "$port") || true
    case $answer in
        "OK "*) printf '%s\n' "$answer" ;;
        "") refuse "$file" "no answer" ;;
        *) refuse "$file" "${answer#ERR }" ;;
    esac
done
exit $failed
