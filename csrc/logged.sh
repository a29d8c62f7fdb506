#!/bin/sh
# Runs one compile command; where it fails, its messages are also appended to the build log.
#   logged.sh LOG command...
log=$1
shift
messages=$("$@" 2>&1)
status=$?
if [ -n "$messages" ]; then printf '%s\n' "$messages" >&2; fi
if [ $status -ne 0 ]; then printf '%s\n%s\n' "$*" "$messages" >>"$log"; fi
exit $status
