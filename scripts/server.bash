# server.bash is sourced by with-mariadb and with-mysql: it runs a database server as an
# ordinary process in a temporary folder on a free port of the loopback, and a command
# beside it. The script that sources it sets "name" and defines
#   configure   which sets what depends on $dir and on $durable, 0 or 1
#   install     which makes the data folder $dir/data
#   server PORT which becomes the server, by exec
#   ping        which succeeds when the server on $dir/sock answers
# and then calls become_server, start_server and run_command.

# become_server ARG... is for tests that kill, restart or misuse a server, which must be
# their own: "--server FOLDER PORT" as arguments of the script becomes a durable server
# on FOLDER, which is filled first if it is empty. Tests find the script through
# MENSHEN_TEST_SERVER.
become_server() {
    [ "$1" = --server ] || return 0
    dir=$2 durable=1
    configure
    [ -d "$dir/data" ] || install >"$dir/install.log" 2>&1
    server "$3"
}

dir='' server='' child=''

# The command is stopped first, so that it does not lose its database.
finish() {
    trap '' INT TERM
    [ -z "$child" ] || { kill -TERM -- "-$child" && wait "$child"; } 2>/dev/null || true
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        for _ in {1..50}; do kill -0 "$server" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$dir"
}

fail() {
    echo "with-$name: $1" >&2
    tail -n 30 "$dir"/*.log >&2 || true
    exit 1
}

# start_server sets port. Another process may take a free port: if the server does not
# start, another is tried. The ping goes through the server's own socket, so that no
# other server answers.
start_server() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/menshen-$name.XXXXXX")
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    configure
    install >"$dir/install.log" 2>&1 || fail "the data folder could not be made"
    set -m # own process groups: Ctrl-C reaches this script, which stops all in order
    for _ in {1..5}; do
        port=$((20000 + RANDOM % 12000))
        (server "$port") </dev/null >"$dir/start.log" 2>&1 &
        server=$!
        for _ in {1..300}; do
            ! ping >/dev/null 2>&1 || return 0
            kill -0 "$server" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=''
    done
    fail "the server did not start"
}

# run_command COMMAND [ARG...] runs the command and ends with its exit code.
run_command() {
    local status=0
    MENSHEN_TEST_SERVER=$(realpath "$0") "$@" <&0 &
    child=$!
    wait "$child" || status=$?
    child=''
    exit "$status"
}
