#!/bin/sh
# For images that bring new revisions: start.sh python run.py
#
# Every line must succeed before the next one runs: no archive, no migration; no agreement of files
# and database, no application.
set -eu

repo="${RAILWAY_VOLUME_MOUNT_PATH:?attach a volume}/pgark"
mkdir -p "$repo"

# What is there before anything changes it.
pgark backup --repo "$repo"
alembic upgrade head
# What the application is about to work on.
pgark migrations status

exec "$@"
