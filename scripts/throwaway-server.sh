# Sourced by ./quickstart and ./test: finds or installs what they need, and runs a throw-away
# PostgreSQL server. Works as root, who cannot run postgres, and as an ordinary user.

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# as_root CMD…: through sudo where one is not root.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "need root to run: $*"; fi
}

need_cargo() {
  command -v cargo >/dev/null && return
  [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env" && return
  fail "no Rust toolchain: see https://rustup.rs"
}

# install PACKAGE…, with the system's package manager.
install() {
  if command -v apt-get >/dev/null; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null
  else
    fail "please install: $*"
  fi
}

# need_packages PROGRAM:PACKAGE…: installs the packages whose programs are missing.
need_packages() {
  local pair missing=()
  for pair; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} = 0 ] || install "${missing[@]}"
}

# Sets PGBIN to the newest server's folder of programs.
find_postgres() {
  local bin
  PGBIN=
  for bin in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n); do
    [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] && PGBIN=$bin
  done
  if [ -z "$PGBIN" ] && command -v pg_config >/dev/null; then
    bin=$(pg_config --bindir)
    [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] && PGBIN=$bin
  fi
  [ -n "$PGBIN" ]
}

need_postgres() {
  find_postgres && return
  echo "no PostgreSQL server on this machine: installing one"
  # Debian would start a server of the system's otherwise.
  if [ -d /etc ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    as_root mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  install postgresql postgresql-client
  find_postgres || fail "the package manager installed no PostgreSQL server"
}

# PgBouncer, whose package would start a pooler of the system's, and again at every start.
need_pgbouncer() {
  PATH=$PATH:/usr/sbin command -v pgbouncer >/dev/null && return
  local policy=/usr/sbin/policy-rc.d made=
  if [ -d /usr/sbin ] && [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    made=yes
  fi
  install pgbouncer
  [ -z "$made" ] || as_root rm "$policy"
  if command -v systemctl >/dev/null; then as_root systemctl disable -q pgbouncer 2>/dev/null || true; fi
}

# Alembic and drivers, in a virtual environment outside the project: ALEMBIC_PYTHON is its interpreter.
need_alembic() {
  local venv=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/pgark/alembic
  if ! "$venv/bin/python" -c 'import alembic, psycopg, psycopg2, asyncpg, greenlet' 2>/dev/null; then
    python3 -c 'import venv, ensurepip' 2>/dev/null || install python3-venv
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r tests/requirements.txt
  fi
  export ALEMBIC_PYTHON=$venv/bin/python
}

# as_server CMD…: as the user who runs the server.
as_server() {
  if [ "$(id -u)" != 0 ]; then "$@"; else setpriv --reuid="$SERVER_USER" --regid="$SERVER_USER" --clear-groups -- "$@"; fi
}

# Starts a server in a new folder, SERVER, on a unix socket there; PGHOST, PGPORT and PGUSER lead
# to it.
start_server() {
  SERVER=$(mktemp -d "${TMPDIR:-/tmp}/pgark-server.XXXXXX")
  chmod 755 "$SERVER"
  if [ "$(id -u)" = 0 ]; then
    SERVER_USER=postgres
    id -u postgres >/dev/null 2>&1 || useradd --system postgres
    chown "$SERVER_USER" "$SERVER"
  fi
  (cd "$SERVER" && as_server "$PGBIN/initdb" -D "$SERVER/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$SERVER/initdb.log") ||
    fail "initdb failed: $(cat "$SERVER/initdb.log")"
  (cd "$SERVER" && as_server "$PGBIN/pg_ctl" -D "$SERVER/data" -w -s -l "$SERVER/log" \
    -o "-k '$SERVER' -p 5432 -c listen_addresses='' -c fsync=off" start) ||
    fail "the server does not start: $(cat "$SERVER/log")"
  SERVER_PID=$(head -n 1 "$SERVER/data/postmaster.pid")
  export PGHOST=$SERVER PGPORT=5432 PGUSER=postgres
  unset PGDATABASE PGPASSWORD PGOPTIONS PGSERVICE DATABASE_URL
}

# Ends the server that start_server started, by its process id, and removes its folder.
stop_server() {
  [ -n "${SERVER_PID:-}" ] || return 0
  kill -INT "$SERVER_PID" 2>/dev/null || true
  while kill -0 "$SERVER_PID" 2>/dev/null; do sleep 0.1; done
  rm -rf "$SERVER"
  SERVER_PID=
}
