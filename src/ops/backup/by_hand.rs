//! What an archive says to somebody who does not have pgark: a text, and scripts that need
//! `tar`, `zstd`, `sha256sum` and `psql` alone.

use crate::archive::manifest::{LargeObjects, TableEntry};
use crate::model::copy_format::CopyFormat;
use crate::model::name::shell_quoted;
use crate::model::server::ServerFacts;
use crate::model::table::SequenceState;
use crate::pg::access;
use crate::pg::copy::copy_in_sql;
use crate::pg::ident::{literal, quote, quote_qualified};
use crate::pg::large_objects::label_sql;

/// Member with the positions of all sequences.
pub const SEQUENCES: &str = "schema/sequences.sql";
/// Member that makes and fills the large objects, where there are any.
pub const LARGE_OBJECTS: &str = "schema/large-objects.sql";
/// Member with the script that restores everything.
pub const SCRIPT: &str = "restore-by-hand.sh";

/// `README.txt`.
pub fn readme(name: &str, source: &ServerFacts) -> String {
    format!(
        "\
This is a backup of a PostgreSQL database: {name}
PostgreSQL {version}, encoding {encoding}.

It was written by pgark, and you do not need pgark to get the data back: tar, zstd,
sha256sum and psql are enough. You need a superuser, or the owner of an empty database.

Everything, into a new and empty database:

    tar -xf {name}.tar
    createdb --template=template0 --encoding={encoding} NEW
    PGDATABASE=NEW sh restore-by-hand.sh

One table: its COPY statement is in restore-by-hand.sh, and it is loaded with

    zstd -dcq data/NUMBER-SCHEMA.TABLE/*.zst |
        PGCLIENTENCODING={encoding} psql -X -c 'COPY ... FROM STDIN'

Is it whole?

    sha256sum -c SHA256SUMS

What is where:

    restore-by-hand.sh     all commands, in their order
    schema/pre-data.sql    types, functions, tables, views
    data/                  the rows: a folder for each table that has any, in pieces,
                           each COPY text in one zstd frame, in the database's encoding;
                           the pieces of a folder, joined in any order, are the table
    large-objects/         COPY text of (OID, offset, data), if there are large objects;
                           schema/large-objects.sql loads them
    schema/sequences.sql   positions of the sequences
    schema/post-data.sql   indexes, keys, triggers, privileges
    migrations/            files of the migration project
    manifest.json          what there is to know about the archive, with row counts
    SHA256SUMS             checksums of all members

Relations that lay in a tablespace are made between two lines `SET default_tablespace` in the
schema files: change the name there, or take the lines out, where the tablespace is another one.

Restoring runs functions that the owners of the old database wrote. If you do not trust them,
restore on a server that holds nothing else.
",
        version = source.server_version,
        encoding = source.encoding,
    )
}

/// `schema/sequences.sql`.
pub fn sequences_sql(sequences: &[SequenceState]) -> String {
    let mut sql = String::from("SELECT pg_catalog.set_config('search_path', '', false);\n");
    for sequence in sequences {
        sql.push_str(&format!(
            "SELECT pg_catalog.setval({}, {}, {});\n",
            literal(&quote_qualified(&sequence.name)),
            sequence.last_value,
            sequence.is_called
        ));
    }
    sql
}

/// `restore-by-hand.sh`.
pub fn script(
    name: &str,
    source: &ServerFacts,
    tables: &[TableEntry],
    large_objects: &LargeObjects,
) -> String {
    let mut script = format!(
        "\
#!/bin/sh
# Restores {name} into the empty database that PGDATABASE, PGHOST … name.
# Run it in the folder where the archive was unpacked.
set -eu
# Where the shell can tell that a part of a pipeline failed, it is to.
if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi
sha256sum --quiet -c SHA256SUMS
export PGCLIENTENCODING=UTF8
export PGOPTIONS='-c standard_conforming_strings=on -c datestyle=ISO,YMD -c intervalstyle=postgres -c timezone=UTC -c lc_monetary=C -c array_nulls=on -c xmloption=content -c row_security=off -c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0'
run() {{ psql -X -q -v ON_ERROR_STOP=1 \"$@\"; }}
# The rows are in the encoding of the database that they come from.
load() {{ zstd -dcq \"$1\"/*.zst | env PGCLIENTENCODING={encoding} psql -X -q -v ON_ERROR_STOP=1 -c \"$2\"; }}
run -o /dev/null -f schema/pre-data.sql
",
        encoding = source.encoding
    );
    let utf8 = matches!(source.encoding.as_str(), "UTF8" | "SQL_ASCII");
    for table in tables.iter().filter(|table| !table.chunks.is_empty()) {
        let folder =
            table.chunks[0].member.member.rsplit_once('/').map_or("", |(folder, _)| folder);
        let into = table.load_through.as_ref().unwrap_or(&table.name);
        let copy = copy_in_sql(into, &table.columns, CopyFormat::Text, utf8);
        script.push_str(&format!("load {folder} {}\n", shell_quoted(&copy)));
    }
    if !large_objects.objects.is_empty() {
        script.push_str(&format!("run -o /dev/null -f {LARGE_OBJECTS}\n"));
    }
    script.push_str("run -o /dev/null -f schema/sequences.sql\nrun -o /dev/null -f schema/post-data.sql\npsql -X -q -c ANALYZE || echo 'everything is restored, but ANALYZE failed: see to it by hand' >&2\n");
    script
}

/// `schema/large-objects.sql`. A file of its own: names and comments in a shell's here-document
/// could end it.
pub fn large_objects_sql(large_objects: &LargeObjects) -> String {
    let mut sql = String::new();
    for object in &large_objects.objects {
        let owner = quote(&object.owner);
        sql.push_str(&format!("SELECT pg_catalog.lo_create({});\n", object.oid));
        sql.push_str(&format!("ALTER LARGE OBJECT {} OWNER TO {owner};\n", object.oid));
    }
    sql.push_str("CREATE TEMPORARY TABLE pgark_pieces (loid oid, start bigint, data bytea);\n");
    for chunk in &large_objects.chunks {
        sql.push_str(&format!(
            "\\copy pg_temp.pgark_pieces FROM PROGRAM 'zstd -dcq {}'\n",
            chunk.member.member
        ));
    }
    sql.push_str("SELECT pg_catalog.lo_put(loid, start, data) FROM pg_temp.pgark_pieces;\n");
    for object in &large_objects.objects {
        if let Some(comment) = &object.comment {
            let text = literal(comment);
            sql.push_str(&format!("COMMENT ON LARGE OBJECT {} IS {text};\n", object.oid));
        }
        for label in &object.labels {
            sql.push_str(&format!("{};\n", label_sql(object.oid, label)));
        }
        for grant in object.access.iter().flat_map(access::of_large_object) {
            sql.push_str(&format!("{grant};\n"));
        }
    }
    sql
}
