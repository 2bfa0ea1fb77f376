# cluster.bash is sourced by with-galera and with-group: it runs three database nodes as
# ordinary processes in a temporary folder on free ports of the loopback, and a command
# beside them. The script that sources it sets "name" and "owner" (the user of the
# processes) and defines
#   options N  which prints how node N runs, an option a line
#   write_start N  which makes the executable $dir/N/start: it writes its process id to
#              $dir/N/pid and becomes node N, as a service manager starts it
#   start_all  which starts the nodes and returns when the cluster is whole
# and then calls start_cluster and run_command.

dir=$(mktemp -d "${TMPDIR:-/tmp}/menshen-$name.XXXXXX")
child=''

# pid_of N prints the process of node N if it lives. The path proves that the process
# with this id is ours.
pid_of() {
    local pid
    pid=$(cat "$dir/$1/pid" 2>/dev/null || true)
    if [ -n "$pid" ] && grep -qsF "$dir/" "/proc/$pid/cmdline"; then echo "$pid"; fi
}

# stop_all kills the nodes, whose data are not kept, and waits for each, no longer than
# five seconds.
stop_all() {
    local n pid _
    for n in 1 2 3; do
        pid=$(pid_of "$n")
        [ -z "$pid" ] || kill -KILL -- "-$pid" 2>/dev/null || true
    done
    for n in 1 2 3; do
        for _ in {1..50}; do
            [ -n "$(pid_of "$n")" ] || break
            sleep 0.1
        done
    done
}

# The command is stopped first, so that it does not lose its databases.
finish() {
    trap '' INT TERM
    [ -z "$child" ] || { kill -TERM -- "-$child" && wait "$child"; } 2>/dev/null || true
    stop_all
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "with-$name: $1" >&2
    for log in "$dir"/*/*.log; do echo "== $log" >&2; tail -n 30 "$log" >&2 || true; done
    exit 1
}

# ports sets base: twelve free ports follow it, four for each node.
ports() {
    local try
    for try in {1..50}; do
        base=$((20000 + RANDOM % 12000))
        [ -n "$(ss -Hltn "sport >= :$base and sport <= :$((base + 12))")" ] || return 0
    done
    fail "no free ports ($try tries)"
}
client() { echo $((base + $1)); }
group() { echo $((base + 3 + $1)); }

# start N [OPTION...] starts node N and waits until its process is known.
start() {
    local n=$1 _
    shift
    rm -f "$dir/$n/pid"
    "$dir/$n/start" "$@" & # disowned, or bash reports how it ends
    disown
    for _ in {1..100}; do [ ! -s "$dir/$n/pid" ] || return 0; sleep 0.05; done
    return 1
}

# start_cluster starts all. If another process takes a port, all are chosen again.
start_cluster() {
    local _ n
    set -m # own process groups: Ctrl-C reaches this script, which stops all in order
    for _ in 1 2 3; do
        ports
        for n in 1 2 3; do
            rm -rf "$dir/$n"
            mkdir "$dir/$n"
            write_start "$n"
        done
        chown -R "$owner" "$dir"
        ! start_all || return 0
        stop_all
    done
    fail "the cluster did not start"
}

# run_command COMMAND [ARG...] runs the command and ends with its exit code.
run_command() {
    local status=0
    "$@" <&0 &
    child=$!
    wait "$child" || status=$?
    child=''
    exit "$status"
}
