#!/bin/sh
# The plugin beside Debian's own Supervisor and Python: installed by pip into the system, into a
# user's folder, and into a folder on PYTHONPATH; each restarts a group, is installed once more as by
# an upgrade, and is uninstalled without a trace.
#
#     tests/debian.sh dist/supervisor_restarter-*.whl
#
# And README's first restart, with Debian's own configuration file, in its folder, /.
#
# Installs the Debian packages supervisor and python3-pip where they are not there yet, and removes
# them again. Debian's service is not started. Exits with 0, with 1 where something failed, and with
# 77 and a sentence where it cannot run.
set -eu

skip() {
    echo "Debian: skipped: $1"
    exit 77
}

fail() {
    echo "Debian: FAILED: $1"
    [ ! -f "$folder/supervisord.log" ] || tail -n 30 "$folder/supervisord.log"
    exit 1
}

[ $# = 1 ] && [ -f "$1" ] || { echo "usage: $0 WHEEL" >&2; exit 2; }
command -v apt-get >/dev/null || skip 'there is no apt-get here'
[ "$(id -u)" = 0 ] || skip 'only root may install Debian packages'
[ ! -d /run/systemd/system ] || skip 'an init runs here, and would start the service'

wheel=$(realpath "$1")
readme=$(dirname "$(realpath "$0")")/../README.md
export HOME                     # pip's user folder is below it
HOME=$(mktemp -d)
folder=$HOME
installed=
policy=
pid=
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export DEBIAN_FRONTEND=noninteractive PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore

stop() {
    [ -n "$pid" ] || return 0
    kill "$pid"
    wait "$pid" || true
    pid=
}

tidy() {
    stop
    /usr/bin/python3 -m pip uninstall -q -y supervisor-restarter >/dev/null 2>&1 || true
    [ -z "$installed" ] || apt-get purge -qq -y $installed >/dev/null
    [ -z "$policy" ] || rm -f /usr/sbin/policy-rc.d
    rm -rf "$HOME"
}
trap tidy EXIT
trap 'exit 130' INT TERM HUP

# Installing a package starts its service, unless this file says no.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    policy=yes
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
fi
for package in supervisor python3-pip; do
    dpkg-query -W -f '${Status}' $package 2>/dev/null | grep -q 'install ok installed' ||
        installed="$installed $package"
done
if [ -n "$installed" ]; then
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends $installed >/dev/null
    case $installed in *supervisor*)
        [ ! -S /run/supervisor.sock ] || fail 'the service was started'
    esac
fi
echo "Debian: supervisor $(dpkg-query -W -f '${Version}' supervisor)," \
    "$(/usr/bin/python3 --version), $(/usr/bin/python3 -m pip --version | cut -d' ' -f1,2)"

# start FACTORY: run Debian's supervisord with that factory, until its socket is there.
start() {
    cat > "$folder/supervisord.conf" <<END
[supervisord]
nodaemon = true
logfile = $folder/supervisord.log
pidfile = $folder/supervisord.pid
childlogdir = $folder
[unix_http_server]
file = $folder/supervisor.sock
[supervisorctl]
serverurl = unix://$folder/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[rpcinterface:restarter]
supervisor.rpcinterface_factory = $1
[program:web]
command = sleep 100000
numprocs = 3
process_name = %(program_name)s_%(process_num)d
startsecs = 0
END
    await
}

# await: run Debian's supervisord in /, with the file, until it answers.
await() {
    (cd / && exec /usr/bin/supervisord -n -c "$folder/supervisord.conf") > "$folder/output" 2>&1 &
    pid=$!
    tries=0
    until /usr/bin/supervisorctl -c "$folder/supervisord.conf" status >/dev/null 2>&1; do
        tries=$((tries + 1))
        kill -0 $pid 2>/dev/null || { pid=; return 1; }
        [ $tries -lt 100 ] || fail 'supervisord does not answer'
        sleep 0.1
    done
}

pids() {
    /usr/bin/supervisorctl -c "$folder/supervisord.conf" pid all | sort
}

# check WHERE SCRIPT: a restart replaces every process.
check() {
    start supervisor_restarter:make_rpcinterface || fail "$1: $(cat "$folder/output")"
    before=$(pids)
    said=$("$2" -c "$folder/supervisord.conf" web 2>&1) || fail "$1: $said"
    [ "$said" = 'web: restarted' ] || fail "$1: $said"
    after=$(pids)
    [ "$(echo "$after" | wc -l)" = 3 ] || fail "$1: not all are RUNNING: $after"
    [ -z "$(printf '%s\n%s\n' "$before" "$after" | sort | uniq -d)" ] ||
        fail "$1: a process was not replaced"
    stop
    echo "Debian: $1: restarted"
    passed=$((passed + 1))
}

# first: what README says of the first restart, as it stands there.
first() {
    { cat /etc/supervisor/supervisord.conf
      sed -n '/^```ini$/,/^```$/p' "$readme" | grep -v '^```'; } > "$folder/supervisord.conf"
    await || fail "README: $(cat "$folder/output")"
    tries=0
    until [ "$(/usr/bin/supervisorctl -c "$folder/supervisord.conf" status |
               grep -c ' RUNNING ')" = 4 ]; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || fail "README: $(cat "$folder/output")"
        sleep 0.1
    done
    said=$(/usr/bin/supervisorctl -c "$folder/supervisord.conf" restartgroup web 2>&1) ||
        fail "README: $said"
    [ "$said" = 'web: restarted' ] || fail "README: $said"
    stop
    echo "Debian: README: restarted"
    passed=$((passed + 1))
}

# upgraded WHERE SCRIPT OPTION...: what an upgrade leaves is a plugin that works, and no more.
upgraded() {
    where=$1
    script=$2
    shift 2
    $pip install "$@" --no-deps --force-reinstall "$wheel"
    left=$(find "$(location)" -name '~*')
    [ -z "$left" ] || fail "$where: after an upgrade there is $left"
    check "$where, upgraded" "$script"
}

# location: the folder that pip has installed the plugin into.
location() {
    /usr/bin/python3 -m pip show supervisor-restarter 2>/dev/null | sed -n 's/^Location: //p'
}

# uninstall WHERE: pip removes it. pip 23 leaves an empty folder, in which supervisor/plugins was;
# that goes too.
uninstall() {
    site=$(location)
    $pip uninstall -y supervisor-restarter
    uninstalled "$1"
    if [ -e "$site/supervisor" ]; then
        rmdir "$site/supervisor" || fail "$1: pip has left $(find "$site/supervisor")"
        echo "Debian: $1: pip has left the empty folder $site/supervisor; it is removed"
    fi
}

# uninstalled WHERE: Debian's Supervisor is as it was.
uninstalled() {
    ! /usr/bin/python3 -c 'import supervisor_restarter' 2>/dev/null || fail "$1: still there"
    /usr/bin/python3 -c 'import supervisor.rpcinterface' || fail "$1: Supervisor does not import"
    echo "Debian: $1: uninstalled"
    passed=$((passed + 1))
}

cd "$folder"
passed=0
pip="/usr/bin/python3 -m pip -q --disable-pip-version-check --no-cache-dir"

$pip install "$wheel"
check 'the system' /usr/local/bin/supervisorctl_restart_group
first
# Debian's Supervisor is in another directory than what pip installs, and Python looks for
# supervisor.plugins in Supervisor's own only.
if start supervisor.plugins.restarter:make_rpcinterface; then
    fail 'the factory of 1.1.0 works here; then say so in CHANGES.md'
fi
grep -q 'supervisor.plugins.restarter:make_rpcinterface cannot be resolved' "$folder/output" ||
    fail "the factory of 1.1.0: $(cat "$folder/output")"
echo 'Debian: the factory of 1.1.0 is refused, with a sentence'
passed=$((passed + 1))
upgraded 'the system' /usr/local/bin/supervisorctl_restart_group
uninstall 'the system'

$pip install --user "$wheel"
check 'a user folder' "$HOME/.local/bin/supervisorctl_restart_group"
upgraded 'a user folder' "$HOME/.local/bin/supervisorctl_restart_group" --user
uninstall 'a user folder'

$pip install --no-deps --target "$folder/plugins" "$wheel"
export PYTHONPATH="$folder/plugins"
check 'a folder on PYTHONPATH' "$folder/plugins/bin/supervisorctl_restart_group"
unset PYTHONPATH
rm -r "$folder/plugins"
uninstalled 'a folder on PYTHONPATH'

echo "Debian: $passed passed, 0 failed"
