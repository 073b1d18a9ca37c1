#!/bin/sh
# Print the first Python from 3.11 that can make an environment. $PYTHON, when set, is the only candidate;
# the one behind an existing .venv is the last.
tried=
behind=$(.venv/bin/python -c 'import sys; print(sys._base_executable)' 2>/dev/null)
for python in ${PYTHON:-python3.13 python3.12 python3.11 python3 python $behind}; do
    path=$(command -v "$python") || continue
    version=$("$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if ! "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        tried="$tried
  $path is Python $version"
    elif ! command -v uv >/dev/null && ! "$path" -c 'import venv, ensurepip' 2>/dev/null; then
        tried="$tried
  $path is Python $version but cannot make environments (Debian, Ubuntu: apt install python$version-venv)"
    else
        echo "$path"
        exit 0
    fi
done
{
    echo "mlnb needs Python 3.11 or newer, and none was found.${tried:+ What is here:$tried}"
    echo "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.13; with uv: uv python install 3.13),"
    echo "or name yours: make demo PYTHON=/path/to/python3"
} >&2
exit 1
