//! Large objects: their owners, privileges and content.

use super::failure::server;
use super::ident::{literal, quote};
use super::session::Session;
use crate::error::Result;
use crate::model::schema::{AccessList, Grant, SecurityLabel};
use crate::pg::client::Client;
use crate::pg::record::{Record, Unread};

/// Owner, comment, privileges and security labels of one large object.
#[derive(Clone, Debug)]
pub struct LargeObjectFacts {
    /// Its OID.
    pub oid: u32,
    /// Its owner.
    pub owner: String,
    /// Its comment.
    pub comment: Option<String>,
    /// Its privileges, where they are not the default.
    pub access: Option<AccessList>,
    /// Its security labels.
    pub labels: Vec<SecurityLabel>,
}

/// Lists all large objects by OID.
pub fn list(client: &mut Client) -> Result<Vec<LargeObjectFacts>> {
    let failed = |error| server("cannot list the large objects", error);
    let mut facts = client
        .query(
            "SELECT m.oid, pg_catalog.pg_get_userbyid(m.lomowner)::text,
                    pg_catalog.obj_description(m.oid, 'pg_largeobject'), m.lomacl IS NOT NULL
             FROM pg_catalog.pg_largeobject_metadata AS m ORDER BY m.oid",
            &[],
            large_object,
        )
        .map_err(failed)?;
    let grants = client
        .query(
            "SELECT m.oid, CASE WHEN a.grantee <> 0 THEN pg_catalog.pg_get_userbyid(a.grantee)::text END,
                    pg_catalog.pg_get_userbyid(a.grantor)::text, a.privilege_type, a.is_grantable
             FROM pg_catalog.pg_largeobject_metadata AS m,
                  pg_catalog.aclexplode(m.lomacl) WITH ORDINALITY AS a
             ORDER BY m.oid, a.ordinality",
            &[],
            |row| {
                let grant = Grant {
                    grantee: row.at(1)?,
                    grantor: row.at(2)?,
                    privilege: row.at(3)?,
                    grantable: row.at(4)?,
                };
                Ok((row.at::<u32>(0)?, grant))
            },
        )
        .map_err(failed)?;
    for (oid, grant) in grants {
        if let Ok(position) = facts.binary_search_by_key(&oid, |object| object.oid)
            && let Some(access) = &mut facts[position].access
        {
            access.grants.push(grant);
        }
    }
    let labels = client
        .query(
            "SELECT objoid, provider, label FROM pg_catalog.pg_seclabel
             WHERE classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass ORDER BY 1, 2",
            &[],
            |row| {
                let label = SecurityLabel { provider: row.at(1)?, label: row.at(2)? };
                Ok((row.at::<u32>(0)?, label))
            },
        )
        .map_err(failed)?;
    for (oid, label) in labels {
        if let Ok(position) = facts.binary_search_by_key(&oid, |object| object.oid) {
            facts[position].labels.push(label);
        }
    }
    Ok(facts)
}

/// A large object, without the grants and labels of it.
fn large_object(row: &Record) -> Result<LargeObjectFacts, Unread> {
    let (oid, owner): (u32, String) = (row.at(0)?, row.at(1)?);
    let access = row.at::<bool>(3)?.then(|| AccessList {
        target: format!("LARGE OBJECT {oid}"),
        in_schema: None,
        column: None,
        kind: 'L',
        owner: owner.clone(),
        grants: Vec::new(),
    });
    Ok(LargeObjectFacts { oid, owner, comment: row.at(2)?, access, labels: Vec::new() })
}

/// The statement that puts a security label on a large object.
pub fn label_sql(oid: u32, label: &SecurityLabel) -> String {
    format!(
        "SECURITY LABEL FOR {} ON LARGE OBJECT {oid} IS {}",
        quote(&label.provider),
        literal(&label.label)
    )
}

/// Streams large objects, all or those with these OIDs, as COPY text of (OID, offset, data), in order of OID and offset.
/// Bytes that no piece covers are zero.
///
/// Whoever may read `pg_largeobject` reads its pages, a quarter of a block each; a role that
/// only owns the objects reads through `lo_get`, which `pg_read_all_data` does not allow
/// (dump-correctness 1.4, 2.9).
pub fn copy_out(
    session: &mut Session,
    oids: Option<&[u32]>,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let among = |column: &str| match oids {
        None => String::new(),
        Some(oids) => {
            let list: Vec<String> = oids.iter().map(u32::to_string).collect();
            format!("WHERE {column} = ANY ('{{{}}}')", list.join(","))
        }
    };
    let doing = "cannot read the large objects";
    let may_read_pages = session
        .client
        .query_one(
            "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')",
            &[],
            |row| row.at(0),
        )
        .map_err(|error| server(doing, error))?;
    let sql = if may_read_pages {
        format!("COPY (SELECT loid, pageno::bigint * (pg_catalog.current_setting('block_size')::bigint / 4), data
               FROM pg_catalog.pg_largeobject {} ORDER BY loid, pageno) TO STDOUT", among("loid"))
    } else {
        // 262144 is INV_READ, 2 is SEEK_END.
        format!("COPY (SELECT o.oid, p.start, pg_catalog.lo_get(o.oid, p.start, 262144)
               FROM (SELECT m.oid, pg_catalog.lo_lseek64(pg_catalog.lo_open(m.oid, 262144), 0, 2) AS size
                     FROM pg_catalog.pg_largeobject_metadata AS m {} ORDER BY m.oid OFFSET 0) AS o
               CROSS JOIN LATERAL pg_catalog.generate_series(0::bigint, o.size - 1, 262144::bigint) AS p(start)
               ORDER BY o.oid, p.start) TO STDOUT", among("m.oid"))
    };
    session.copy_out(&sql, doing, &mut take)
}

/// Creates an empty large object with a given OID.
pub fn create_all(session: &mut Session, oids: &[u32]) -> Result<()> {
    session
        .client
        .execute(
            "SELECT pg_catalog.lo_create(o) FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS o",
            &[&oids],
        )
        .map(drop)
        .map_err(|error| server("cannot create the large objects", error))
}

/// Makes the temporary table that pieces pass through on their way into large objects.
pub fn prepare_pieces(session: &mut Session) -> Result<()> {
    session.execute(
        "CREATE TEMPORARY TABLE pgark_pieces (loid pg_catalog.oid, start bigint, data bytea)",
    )
}

/// Where [`prepare_pieces`] wants the pieces: COPY text as [`copy_out`] gives it.
pub const PIECES_COPY: &str = "COPY pg_temp.pgark_pieces FROM STDIN";

/// Takes back the pieces of these large objects.
pub fn drop_pieces(session: &mut Session, oids: &[u32]) -> Result<()> {
    session
        .client
        .execute("DELETE FROM pg_temp.pgark_pieces WHERE loid = ANY ($1)", &[&oids])
        .map(drop)
        .map_err(|error| server("cannot leave out large objects", error))
}

/// Removes large objects.
pub fn remove(session: &mut Session, oids: &[u32]) -> Result<()> {
    session
        .client
        .execute(
            "SELECT pg_catalog.lo_unlink(o) FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS o",
            &[&oids],
        )
        .map(drop)
        .map_err(|error| server("cannot remove large objects", error))
}

/// Puts the pieces into their large objects and empties the temporary table.
pub fn put_pieces(session: &mut Session) -> Result<()> {
    session.execute(
        "SELECT pg_catalog.count(pg_catalog.lo_put(p.loid, p.start, p.data))
         FROM (SELECT * FROM pg_temp.pgark_pieces ORDER BY loid, start) AS p",
    )?;
    session.execute("TRUNCATE pg_temp.pgark_pieces")
}

/// Which of `oids` the database has already.
pub fn existing(session: &mut Session, oids: &[u32]) -> Result<Vec<u32>> {
    session
        .client
        .query(
            "SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE oid = ANY ($1) ORDER BY oid",
            &[&oids],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot list the large objects", error))
}
