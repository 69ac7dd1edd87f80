//! CHECKs that hold for a row today and not tomorrow: by the clock, or by rows of other tables that a function
//! reads, or by the path along which it looks for what it names. PostgreSQL asks for conditions that never
//! change and does not enforce it. Rows are loaded in an order that nobody knows, on another day: such a
//! CHECK comes after them, and may fail without them.

use super::constraints::Constraint;
use super::rows;
use crate::error::Result;
use crate::pg::client::Client;
use std::collections::HashSet;

/// Which CHECKs of `all` call what is not immutable, or what a user has written in a language.
pub(super) fn read(client: &mut Client, all: &[Constraint]) -> Result<HashSet<u32>> {
    let may_be = |check: &&Constraint| check.kind == 'c' && may_call(&check.definition);
    let candidates: Vec<String> =
        all.iter().filter(may_be).map(|check| check.oid.to_string()).collect();
    if candidates.is_empty() {
        return Ok(HashSet::new());
    }
    // The stored tree says which functions are called, the system's included, and by which operators.
    let sql = format!(
        "SELECT con.oid FROM pg_catalog.pg_constraint AS con
         WHERE con.oid = ANY ('{{{}}}'::pg_catalog.oid[])
           AND (con.conbin::text LIKE '%{{SQLVALUEFUNCTION %' OR EXISTS (
             SELECT FROM regexp_matches(con.conbin::text, ':(?:funcid|opfuncid) (\\d+)', 'g') AS called
             JOIN pg_catalog.pg_proc AS p ON p.oid = called[1]::pg_catalog.oid
             JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
             WHERE p.provolatile <> 'i'
                OR p.oid >= 16384 AND l.lanname NOT IN ('internal', 'c')))",
        candidates.join(",")
    );
    let mut late = HashSet::new();
    for row in rows::query(client, "volatile checks", &sql)? {
        late.insert(row.get("oid")?);
    }
    Ok(late)
}

/// Whether there is a call in the text at all: of a quoted name, a user's operator, or the clock.
fn may_call(definition: &str) -> bool {
    ["\"(", "OPERATOR(", "CURRENT_", "LOCALTIME"].iter().any(|sign| definition.contains(sign))
}
