#!/bin/sh
# Installs the DeployX agent from the files beside this script, or replaces an older one: sh install.sh [FOLDER]
# FOLDER gets an environment of its own (/opt/deployx-agent if none is named); root also gets /usr/local/bin/deployx-agent.
set -eu

from=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
folder=${1:-/opt/deployx-agent}
python=${PYTHON:-python3}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "There is no $python. Install Python 3.11 or newer, or name one: PYTHON=python3.12 sh install.sh"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "The agent needs Python 3.11 or newer; name one: PYTHON=python3.12 sh install.sh"
"$python" -m venv --help >/dev/null 2>&1 || fail "$python cannot make environments. On Debian or Ubuntu: apt-get install python3-venv"
mkdir -p -- "$folder" 2>/dev/null && [ -w "$folder" ] || fail "$folder cannot be written. Run this as root, or name a folder: sh install.sh ~/deployx-agent"

"$python" -m venv -- "$folder" || fail "No environment could be made in $folder. On Debian or Ubuntu: apt-get install python3-venv"
pip="$folder/bin/python -m pip --disable-pip-version-check --quiet"
$pip install --require-hashes -r "$from/agent.txt" || fail "The packages that the agent needs could not be fetched; pip says why above."
$pip install --no-deps --force-reinstall "$from"/deployx_protocol-*.whl "$from"/deployx_agent-*.whl

program=$folder/bin/deployx-agent
if [ "$(id -u)" = 0 ] && [ "$#" = 0 ]; then
    ln -sf -- "$program" /usr/local/bin/deployx-agent
    program=deployx-agent
    if [ -f "$from/update-root.json" ]; then # whose signatures count for updates of the agent: `deployx agent-update root`
        mkdir -p -m 755 /etc/deployx-agent
        install -m 644 -- "$from/update-root.json" /etc/deployx-agent/update-root.json
    fi
fi
echo "Installed: $("$folder/bin/deployx-agent" --version)"
echo "Next, run the line that Add device shows in the dashboard; or, after an upgrade: systemctl restart deployx-agent"
echo "At every boot it starts with: $program install-service"
