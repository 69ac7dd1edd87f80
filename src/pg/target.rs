//! The database that a restore goes into: is it empty, is it marked as half restored, and how to
//! empty it again.

use super::access;
use super::catalog;
use super::database;
use super::failure::server;
use super::ident::{literal, quote};
use super::record::{Record, Unread};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::model::name::counted;
use crate::model::schema::AccessList;
use crate::pg::client::Client;

/// While a restore is under way, the database has a schema of this name.
pub const MARK: &str = "pgark_restore_unfinished";

/// Whether a restore into this database was begun and has not ended.
pub fn is_marked(client: &mut Client) -> Result<bool> {
    client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)",
            &[&MARK],
            |row| row.at(0),
        )
        .map_err(|error| server("cannot look for an unfinished restore", error))
}

/// Fails for a database in which a restore has not ended.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused).
pub fn check_unmarked(session: &mut Session) -> Result<()> {
    if !is_marked(&mut session.client)? {
        return Ok(());
    }
    let to_take_it = match lent(&mut session.client) {
        Some((_, lent)) if lent.is_empty() => {
            format!("to take it as it is, DROP SCHEMA {MARK} CASCADE")
        }
        Some((role, lent)) if lent.len() <= SHOWN => format!(
            "to take it as it is, and take back what owners were lent, as role {}: {}; DROP SCHEMA {MARK} CASCADE",
            quote(&role),
            lent.join("; ")
        ),
        _ => format!(
            "to take it as it is, run as its owner what SELECT statement FROM {MARK}.lent shows, which takes back what owners were lent, then DROP SCHEMA {MARK} CASCADE"
        ),
    };
    Err(Error::refused(format!(
        "database \"{}\" is half restored: a restore into it has not ended",
        session.facts.database
    ))
    .hint(format!("restore into it again; or, {to_take_it}")))
}

/// So many statements a hint holds.
const SHOWN: usize = 10;

/// The role that restores, and the statements that take back what it has lent to owners; `None` if this
/// session may not see them.
fn lent(client: &mut Client) -> Option<(String, Vec<String>)> {
    let sql = format!(
        "SELECT pg_catalog.pg_get_userbyid(nspowner)::text,
           ARRAY(SELECT statement FROM {MARK}.lent ORDER BY statement)
         FROM pg_catalog.pg_namespace WHERE nspname = $1"
    );
    client.query_one(&sql, &[&MARK], |row| Ok((row.at(0)?, row.at(1)?))).ok()
}

/// Keeps every other restore out of the database for as long as the session lasts.
///
/// # Errors
/// [`Kind::Locked`] when another restore is under way there.
pub fn lock(session: &mut Session) -> Result<()> {
    let sql = "SELECT pg_catalog.pg_try_advisory_lock($1)";
    // After a crash or a cut connection the server needs a moment to notice that the holder is gone.
    for attempt in 0..50 {
        let locked = session
            .client
            .query_one(sql, &[&ADVISORY_KEY], |row| row.at(0))
            .map_err(|error| server("cannot lock the database against other restores", error))?;
        if locked {
            return Ok(());
        }
        if attempt < 49 {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
    Err(Error::new(
        Kind::Locked,
        format!("another restore into database \"{}\" is under way", session.facts.database),
    )
    .hint("wait until it has ended"))
}

/// `pgark` in ASCII.
const ADVISORY_KEY: i64 = 0x70_67_61_72_6b;

/// Marks the database, durably, with what a new database has and a restore changes: its
/// extensions, owner, comment and privileges of `public` and of itself, its settings, and the
/// privileges of foreign-data wrappers and of future objects.
pub fn mark(session: &mut Session, archive: &str) -> Result<()> {
    let failed = |error| server("cannot mark the database as half restored", error);
    let written = |error| Error::failed("cannot write down the privileges").caused_by(error);
    let access = serde_json::to_string(&access::of_containers(&mut session.client)?);
    let access = access.map_err(written)?;
    let defaults = serde_json::to_string(&access::read_defaults(&mut session.client)?);
    let defaults = defaults.map_err(written)?;
    let settings = database::settings(&mut session.client, &session.facts.database)?;
    let settings = serde_json::to_string(&settings).map_err(written)?;
    let statements = format!(
        "SET LOCAL synchronous_commit = on;
         CREATE SCHEMA {MARK};
         CREATE TABLE {MARK}.restore (archive text, begun timestamptz DEFAULT pg_catalog.now(),
           extensions text[], public_owner text, public_comment text, database_comment text, access text,
           default_access text, settings text);
         CREATE TABLE {MARK}.lent (statement text)"
    );
    let insert = format!(
        "INSERT INTO {MARK}.restore (archive, extensions, public_owner, public_comment, database_comment, access,
           default_access, settings)
         SELECT $1, (SELECT pg_catalog.array_agg(extname::text) FROM pg_catalog.pg_extension),
           (SELECT pg_catalog.pg_get_userbyid(nspowner)::text FROM pg_catalog.pg_namespace WHERE nspname = 'public'),
           (SELECT pg_catalog.obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace WHERE nspname = 'public'),
           (SELECT pg_catalog.shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database
            WHERE datname = pg_catalog.current_database()), $2, $3, $4"
    );
    let marked = session.client.transaction(|client| {
        client.batch_execute(&statements)?;
        client.execute(&insert, &[&archive, &access, &defaults, &settings])
    });
    marked.map(drop).map_err(failed)
}

/// What the mark says of `public` and the database.
struct Before {
    public_owner: Option<String>,
    public_comment: Option<String>,
    database_comment: Option<String>,
    access: String,
    public_is_there: bool,
    defaults: String,
    settings: String,
}

impl Before {
    fn read(row: &Record) -> Result<Self, Unread> {
        Ok(Self {
            public_owner: row.at(0)?,
            public_comment: row.at(1)?,
            database_comment: row.at(2)?,
            access: row.at(3)?,
            public_is_there: row.at(4)?,
            defaults: row.at(5)?,
            settings: row.at(6)?,
        })
    }
}

/// Gives `public` and the database what the mark says that they had.
fn put_back(session: &mut Session) -> Result<()> {
    let failed = |error| server("cannot read the mark of the restore", error);
    let sql = format!(
        "SELECT public_owner, public_comment, database_comment, access,
           pg_catalog.to_regnamespace('public') IS NOT NULL, default_access, settings FROM {MARK}.restore"
    );
    let before = session.client.query_one(&sql, &[], Before::read).map_err(failed)?;
    let comment = |text: &Option<String>| text.as_deref().map_or(String::from("NULL"), literal);
    let database = quote(&session.facts.database);
    if let Some(owner) = &before.public_owner {
        if !before.public_is_there {
            session.execute("CREATE SCHEMA public")?;
        }
        // A role that could not have changed them cannot set them either, and need not.
        let statements = [
            format!("ALTER SCHEMA public OWNER TO {}", quote(owner)),
            format!("COMMENT ON SCHEMA public IS {}", comment(&before.public_comment)),
            format!("COMMENT ON DATABASE {database} IS {}", comment(&before.database_comment)),
        ];
        for statement in statements {
            drop(session.execute(&statement));
        }
    }
    let read = |error| Error::failed("cannot read the mark of the restore").caused_by(error);
    let access: Vec<AccessList> = serde_json::from_str(&before.access).map_err(read)?;
    let defaults: Vec<AccessList> = serde_json::from_str(&before.defaults).map_err(read)?;
    let settings: database::Settings = serde_json::from_str(&before.settings).map_err(read)?;
    let major = session.facts.major();
    access::put_back_containers(&mut session.client, major, &access)?;
    access::apply_defaults(&mut session.client, major, &defaults)?;
    database::put_back_settings(session, &settings)
}

/// Takes the mark away, durably: from here on the database is ready for use. `last` runs after
/// that in the same transaction, for what would act on it, as event triggers do.
///
/// # Errors
/// The mark is there as before, or it is not known what became of it.
pub fn unmark(session: &mut Session, last: impl FnOnce(&mut Session) -> Result<()>) -> Result<()> {
    session.execute("SET synchronous_commit = on")?;
    session.execute("BEGIN")?;
    let done = session.execute(&format!("DROP SCHEMA {MARK} CASCADE")).and_then(|()| last(session));
    match done {
        Ok(()) => session.execute("COMMIT"),
        Err(error) => {
            drop(session.execute("ROLLBACK"));
            Err(error)
        }
    }
}

/// Names of what a user has put into the database, a few of them. Extensions and what they own
/// do not count.
pub fn user_objects(session: &mut Session) -> Result<Vec<String>> {
    let sql = format!(
        "{USER_OBJECTS} SELECT kind || ' ' || name FROM found ORDER BY rank, name LIMIT 10"
    );
    let mut found = session
        .client
        .query(&sql, &[], |row| row.at(0))
        .map_err(|error| server("cannot look whether the database is empty", error))?;
    if let count @ 1.. = catalog::count_large_objects(&mut session.client)? {
        found.push(counted(usize::try_from(count).unwrap_or(usize::MAX), "large object"));
    }
    Ok(found)
}

/// Empties a marked database: drops everything that the restore has made. The mark goes last, so
/// that a run that is killed meanwhile leaves it.
pub fn empty(session: &mut Session) -> Result<()> {
    let failed = |error| server("cannot empty the database", error);
    if !is_marked(&mut session.client)? {
        return Err(Error::refused("the database has no mark of a restore, and is not emptied"));
    }
    // One statement at a time: dropping thousands of tables at once needs more locks than
    // servers have room for.
    let sql = format!("{USER_OBJECTS} SELECT kind, name FROM found ORDER BY rank, name");
    let objects: Vec<(String, String)> =
        session.client.query(&sql, &[], |row| Ok((row.at(0)?, row.at(1)?))).map_err(failed)?;
    for (kind, name) in objects {
        if kind == "SUBSCRIPTION" {
            // Else the slot would be dropped at the publisher, where another database uses it.
            session.execute(&format!("ALTER SUBSCRIPTION {name} DISABLE"))?;
            session.execute(&format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"))?;
        }
        session.execute(&format!("DROP {kind} IF EXISTS {name} CASCADE"))?;
    }
    let extensions = format!(
        "SELECT 'DROP EXTENSION IF EXISTS ' || pg_catalog.quote_ident(x.extname) || ' CASCADE'
         FROM pg_catalog.pg_extension AS x, {MARK}.restore AS r
         WHERE x.extname::text <> ALL (r.extensions)"
    );
    let drops: Vec<String> =
        session.client.query(&extensions, &[], |row| row.at(0)).map_err(failed)?;
    for sql in drops {
        session.execute(&sql)?;
    }
    loop {
        let removed: i64 = session
            .client
            .query_one(
                "SELECT pg_catalog.count(pg_catalog.lo_unlink(oid)) FROM
                 (SELECT oid FROM pg_catalog.pg_largeobject_metadata LIMIT 1000) AS batch",
                &[],
                |row| row.at(0),
            )
            .map_err(failed)?;
        if removed == 0 {
            break;
        }
    }
    put_back(session)?;
    unmark(session, |_| Ok(()))
}

/// What users made, in the order in which it is dropped; the mark is not among it.
const USER_OBJECTS: &str = "
WITH member AS (
  SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'),
theirs AS (
  SELECT oid, nspname FROM pg_catalog.pg_namespace
  WHERE nspname NOT IN ('information_schema', 'pgark_restore_unfinished') AND nspname !~ '^pg_'),
found AS (
  SELECT 0 AS rank, 'EVENT TRIGGER' AS kind, pg_catalog.quote_ident(e.evtname) AS name
  FROM pg_catalog.pg_event_trigger AS e
  WHERE NOT EXISTS (SELECT FROM member AS m
      WHERE m.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass AND m.objid = e.oid)
  UNION ALL
  SELECT 1, 'SUBSCRIPTION', pg_catalog.quote_ident(s.subname)
  FROM pg_catalog.pg_subscription AS s JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
  WHERE d.datname = pg_catalog.current_database()
  UNION ALL
  SELECT 1,
    CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
      WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
    pg_catalog.format('%I.%I', n.nspname, c.relname)
  FROM pg_catalog.pg_class AS c JOIN theirs AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND NOT EXISTS (SELECT FROM member AS m
      WHERE m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = c.oid)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
        AND c.relkind = 'S' AND d.deptype = 'i')
  UNION ALL
  -- Before functions and access methods: without these they could no longer be named.
  SELECT 2, o.kind, pg_catalog.format('%I.%I USING %I', n.nspname, o.name, a.amname)
  FROM (SELECT 'OPERATOR FAMILY' AS kind, opfnamespace AS namespace, opfname AS name, opfmethod AS method,
          oid, 'pg_catalog.pg_opfamily'::pg_catalog.regclass AS class FROM pg_catalog.pg_opfamily
        UNION ALL SELECT 'OPERATOR CLASS', opcnamespace, opcname, opcmethod, oid,
          'pg_catalog.pg_opclass'::pg_catalog.regclass FROM pg_catalog.pg_opclass) AS o
  JOIN theirs AS n ON n.oid = o.namespace
  JOIN pg_catalog.pg_am AS a ON a.oid = o.method
  WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = o.class AND m.objid = o.oid)
  UNION ALL
  SELECT 2, pg_catalog.upper(i.type), i.identity
  FROM (SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass AS class, oid, oprnamespace AS namespace
          FROM pg_catalog.pg_operator
        UNION ALL SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, oid, prsnamespace
          FROM pg_catalog.pg_ts_parser
        UNION ALL SELECT 'pg_catalog.pg_ts_template'::pg_catalog.regclass, oid, tmplnamespace
          FROM pg_catalog.pg_ts_template) AS o
  JOIN theirs AS n ON n.oid = o.namespace
  CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) AS i
  WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = o.class AND m.objid = o.oid)
  UNION ALL
  SELECT 2, 'TRANSFORM', pg_catalog.format('FOR %s LANGUAGE %I',
    pg_catalog.format_type(t.trftype, NULL), l.lanname)
  FROM pg_catalog.pg_transform AS t JOIN pg_catalog.pg_language AS l ON l.oid = t.trflang
  WHERE t.oid >= 16384 AND NOT EXISTS (SELECT FROM member AS m
      WHERE m.classid = 'pg_catalog.pg_transform'::pg_catalog.regclass AND m.objid = t.oid)
  UNION ALL
  SELECT 3, pg_catalog.upper(i.type), i.identity
  FROM (SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass AS class, oid FROM pg_catalog.pg_cast
        UNION ALL SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid FROM pg_catalog.pg_language
        UNION ALL SELECT 'pg_catalog.pg_am'::pg_catalog.regclass, oid FROM pg_catalog.pg_am) AS o
  CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) AS i
  WHERE o.oid >= 16384
    AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = o.class AND m.objid = o.oid)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
      WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'i')
  UNION ALL
  SELECT 4, CASE p.prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'ROUTINE' END,
    pg_catalog.format('%I.%I(%s)', n.nspname, p.proname,
      CASE WHEN p.prokind = 'a' AND p.pronargs = 0 THEN '*'
        ELSE pg_catalog.pg_get_function_identity_arguments(p.oid) END)
  FROM pg_catalog.pg_proc AS p JOIN theirs AS n ON n.oid = p.pronamespace
  WHERE NOT EXISTS (SELECT FROM member AS m
      WHERE m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND m.objid = p.oid)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'i')
  UNION ALL
  SELECT 5, 'TYPE', pg_catalog.format('%I.%I', n.nspname, t.typname)
  FROM pg_catalog.pg_type AS t JOIN theirs AS n ON n.oid = t.typnamespace
  WHERE (t.typtype IN ('e', 'd', 'r', 'b', 'p') OR t.typtype = 'c' AND EXISTS (
      SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.typarray = t.oid)
    AND NOT EXISTS (SELECT FROM member AS m
      WHERE m.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND m.objid = t.oid)
  UNION ALL
  SELECT 6, o.kind, pg_catalog.format('%I.%I', n.nspname, o.name)
  FROM (SELECT 'COLLATION' AS kind, collnamespace AS namespace, collname AS name, oid,
          'pg_catalog.pg_collation'::pg_catalog.regclass AS class FROM pg_catalog.pg_collation
        UNION ALL SELECT 'CONVERSION', connamespace, conname, oid,
          'pg_catalog.pg_conversion'::pg_catalog.regclass FROM pg_catalog.pg_conversion
        UNION ALL SELECT 'TEXT SEARCH CONFIGURATION', cfgnamespace, cfgname, oid,
          'pg_catalog.pg_ts_config'::pg_catalog.regclass FROM pg_catalog.pg_ts_config
        UNION ALL SELECT 'TEXT SEARCH DICTIONARY', dictnamespace, dictname, oid,
          'pg_catalog.pg_ts_dict'::pg_catalog.regclass FROM pg_catalog.pg_ts_dict) AS o
  JOIN theirs AS n ON n.oid = o.namespace
  WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = o.class AND m.objid = o.oid)
  UNION ALL
  SELECT 7, o.kind, pg_catalog.quote_ident(o.name)
  FROM (SELECT 'PUBLICATION' AS kind, pubname AS name, oid,
          'pg_catalog.pg_publication'::pg_catalog.regclass AS class FROM pg_catalog.pg_publication
        UNION ALL SELECT 'SERVER', srvname, oid,
          'pg_catalog.pg_foreign_server'::pg_catalog.regclass FROM pg_catalog.pg_foreign_server) AS o
  WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = o.class AND m.objid = o.oid)
  UNION ALL
  SELECT 7, 'FOREIGN DATA WRAPPER', pg_catalog.quote_ident(w.fdwname)
  FROM pg_catalog.pg_foreign_data_wrapper AS w
  WHERE NOT EXISTS (SELECT FROM member AS m
      WHERE m.classid = 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass AND m.objid = w.oid)
  UNION ALL
  SELECT 8, 'SCHEMA', pg_catalog.quote_ident(n.nspname)
  FROM theirs AS n
  WHERE n.nspname <> 'public' AND NOT EXISTS (SELECT FROM member AS m
      WHERE m.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND m.objid = n.oid))
";
