//! Access lists as the catalogs have them.

use crate::error::{Error, Result};
use crate::model::schema::{AccessList, Grant};
use crate::pg::client::Client;
use crate::pg::ddl::functions::{SIGNATURE, display_name};
use crate::pg::failure::{Reason, server};
use crate::pg::ident;
use crate::pg::record::Record;
use std::collections::BTreeSet;

/// The access list of one object or column, as it is in the catalogs.
pub(crate) struct Held {
    /// The catalog and row of the object, for its dependencies.
    pub catalog: u32,
    pub oid: u32,
    pub schema: Option<String>,
    /// For people; of the table where it is about a column.
    pub name: String,
    /// What is in force, as [`AccessList::grants`].
    pub list: AccessList,
    /// What the object was created with: by its extension, by initdb, or by its class.
    pub initial: Vec<Grant>,
}

impl Held {
    /// Whether somebody has changed the privileges since the object was created.
    pub fn is_changed(&self) -> bool {
        set(&self.list.grants) != set(&self.initial)
    }

    /// Whether it is about the schema `public`, which every database has from its beginning.
    pub fn is_public_schema(&self) -> bool {
        self.list.kind == 'n' && self.name == "public"
    }

    /// Before 15 everybody may create objects in a new `public`. Where that was taken back, it is
    /// said, so that it holds on such a server too; on a newer one it does nothing.
    pub fn assume_open_schema(&mut self) {
        let open = Grant {
            grantee: None,
            grantor: self.list.owner.clone(),
            privilege: String::from("CREATE"),
            grantable: false,
        };
        if !self.list.grants.contains(&open) {
            self.initial.push(open);
        }
    }
}

/// Reads the access lists of the database's objects; without `all`, only of those that have one.
pub(crate) fn read(client: &mut Client, all: bool) -> Result<Vec<Held>> {
    fn failed(reason: impl Into<Reason>) -> Error {
        server("cannot read the privileges", reason)
    }
    // Names are compared as text, so they must be deparsed alike in every session.
    let before: String = client
        .query_one("SELECT current_setting('quote_all_identifiers')", &[], |row| row.at(0))
        .map_err(failed)?;
    let quote = "SELECT set_config('quote_all_identifiers', $1, false)";
    client.execute(quote, &[&"on"]).map_err(failed)?;
    let rows: std::result::Result<Vec<Record>, _> =
        client.stream(&sql(all)).and_then(Iterator::collect);
    client.execute(quote, &[&before]).map_err(failed)?;
    let mut held = Vec::new();
    for row in rows.map_err(failed)? {
        let text = |column: &str| row.get::<Option<String>>(column).map_err(failed);
        let (schema, name) = (text("schema")?, text("name")?.unwrap_or_default());
        let kind = text("kind")?.and_then(|kind| kind.chars().next()).unwrap_or('r');
        let keyword = text("keyword")?.unwrap_or_default();
        let signature = text("signature")?;
        let target = match (&schema, &signature) {
            (Some(schema), Some(signature)) => {
                format!("{keyword} {}.{}({signature})", ident::quote(schema), ident::quote(&name))
            }
            (Some(schema), None) => {
                format!("{keyword} {}.{}", ident::quote(schema), ident::quote(&name))
            }
            (None, _) => format!("{keyword} {}", ident::quote(&name)),
        };
        let owner = text("owner")?.unwrap_or_default();
        let initial = if kind == 'n' && name == "public" {
            usual_public(&owner)
        } else {
            grants(text("initial")?)?
        };
        held.push(Held {
            catalog: row.get("catalog").map_err(failed)?,
            oid: row.get("oid").map_err(failed)?,
            name: match &signature {
                Some(signature) => display_name(&name, signature),
                None => name,
            },
            schema,
            list: AccessList {
                target,
                in_schema: None,
                column: text("column")?,
                kind,
                owner,
                grants: grants(text("actual")?)?,
            },
            initial,
        });
    }
    Ok(held)
}

/// The privileges on `public` in a new database from 15 on, whatever the source began with:
/// before, everybody could create objects in it, and that must then be said.
fn usual_public(owner: &str) -> Vec<Grant> {
    let grant = |grantee: Option<&str>, privilege: &str| Grant {
        grantee: grantee.map(str::to_owned),
        grantor: owner.to_owned(),
        privilege: privilege.to_owned(),
        grantable: false,
    };
    vec![grant(Some(owner), "USAGE"), grant(Some(owner), "CREATE"), grant(None, "USAGE")]
}

/// A subquery that gives an access list as JSON, for [`grants`].
pub(super) fn list(acl: &str) -> String {
    format!(
        "(SELECT coalesce(json_agg(json_build_array(
                CASE WHEN x.grantee <> 0 THEN pg_get_userbyid(x.grantee) END,
                pg_get_userbyid(x.grantor), x.privilege_type, x.is_grantable)
                ORDER BY x.position), '[]')::text
              FROM aclexplode({acl}) WITH ORDINALITY
                AS x(grantor, grantee, privilege_type, is_grantable, position))"
    )
}

fn sql(all: bool) -> String {
    let actual = list("coalesce(o.acl, o.usual)");
    let initial = list("coalesce(init.initprivs, o.usual)");
    let wanted = if all {
        "true"
    } else {
        "o.acl IS NOT NULL OR init.initprivs IS NOT NULL OR (o.kind = 'n' AND o.name = 'public')"
    };
    format!(
        "SELECT o.catalog, o.oid, o.schema, o.name, o.\"column\", o.signature, o.keyword, o.kind,
                pg_get_userbyid(o.owner)::text AS owner, {actual} AS actual, {initial} AS initial
         FROM (
            SELECT 2615::oid AS catalog, n.oid, 0 AS number, NULL::text AS schema,
                   n.nspname::text AS name, NULL::text AS \"column\", NULL::text AS signature,
                   'SCHEMA' AS keyword, 'n' AS kind, n.nspowner AS owner, n.nspacl AS acl,
                   acldefault('n', n.nspowner) AS usual
            FROM pg_catalog.pg_namespace AS n
            UNION ALL
            SELECT 1259::oid, c.oid, 0, n.nspname::text, c.relname::text, NULL, NULL,
                   CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                   CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END, c.relowner, c.relacl,
                   acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner)
            FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
            UNION ALL
            SELECT 1259::oid, c.oid, a.attnum, n.nspname::text, c.relname::text,
                   a.attname::text, NULL, 'TABLE', 'c', c.relowner, a.attacl,
                   acldefault('c', c.relowner)
            FROM pg_catalog.pg_attribute AS a
            JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            -- What it was created with may have been taken away until nothing was left.
            WHERE NOT a.attisdropped AND (a.attacl IS NOT NULL OR (a.attrelid, a.attnum::int) IN (
                    SELECT i.objoid, i.objsubid FROM pg_catalog.pg_init_privs AS i
                    WHERE i.classoid = 1259 AND i.objsubid > 0))
            UNION ALL
            SELECT 1255::oid, p.oid, 0, n.nspname::text, p.proname::text, NULL, {SIGNATURE},
                   CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, 'f',
                   p.proowner, p.proacl, acldefault('f', p.proowner)
            FROM pg_catalog.pg_proc AS p
            JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
            UNION ALL
            SELECT 1247::oid, t.oid, 0, n.nspname::text, t.typname::text, NULL, NULL, 'TYPE',
                   'T', t.typowner, t.typacl, acldefault('T', t.typowner)
            FROM pg_catalog.pg_type AS t
            JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
            -- Before 18 there is no GRANT on a type that is a name alone.
            WHERE t.typtype <> 'm'
              AND (t.typisdefined OR current_setting('server_version_num')::int >= 180000)
              AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_type AS e WHERE e.typarray = t.oid)
              AND (t.typrelid = 0 OR EXISTS (
                    SELECT FROM pg_catalog.pg_class AS c
                    WHERE c.oid = t.typrelid AND c.relkind = 'c'))
            UNION ALL
            SELECT 2612::oid, l.oid, 0, NULL, l.lanname::text, NULL, NULL, 'LANGUAGE', 'l',
                   l.lanowner, l.lanacl, acldefault('l', l.lanowner)
            FROM pg_catalog.pg_language AS l WHERE l.lanpltrusted
            UNION ALL
            SELECT 2328::oid, w.oid, 0, NULL, w.fdwname::text, NULL, NULL,
                   'FOREIGN DATA WRAPPER', 'F', w.fdwowner, w.fdwacl,
                   acldefault('F', w.fdwowner)
            FROM pg_catalog.pg_foreign_data_wrapper AS w
            UNION ALL
            SELECT 1417::oid, s.oid, 0, NULL, s.srvname::text, NULL, NULL, 'FOREIGN SERVER', 'S',
                   s.srvowner, s.srvacl, acldefault('S', s.srvowner)
            FROM pg_catalog.pg_foreign_server AS s
            UNION ALL
            SELECT 1262::oid, d.oid, 0, NULL, d.datname::text, NULL, NULL, 'DATABASE', 'd',
                   d.datdba, d.datacl, acldefault('d', d.datdba)
            FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()
         ) AS o
         LEFT JOIN pg_catalog.pg_init_privs AS init
           ON init.classoid = o.catalog AND init.objoid = o.oid AND init.objsubid = o.number
         WHERE ({wanted}) AND (o.schema IS NULL OR o.schema !~ '^pg_(toast|temp)')
           AND o.name !~ '^pg_(toast|temp)'
           -- As for pg_dump, nothing in there is anybody's; initdb does not note its privileges.
           AND coalesce(o.schema, CASE o.kind WHEN 'n' THEN o.name END, '') <> 'information_schema'
         ORDER BY o.schema NULLS FIRST, o.name, o.signature, o.number, o.kind"
    )
}

/// The grants that [`list`] gave.
pub(super) fn grants(json: Option<String>) -> Result<Vec<Grant>> {
    type Item = (Option<String>, String, String, bool);
    let items: Vec<Item> = serde_json::from_str(json.as_deref().unwrap_or("[]"))
        .map_err(|error| Error::failed("cannot read an access list").caused_by(error))?;
    Ok(items
        .into_iter()
        .map(|(grantee, grantor, privilege, grantable)| Grant {
            grantee,
            grantor,
            privilege,
            grantable,
        })
        .collect())
}

fn set(grants: &[Grant]) -> BTreeSet<&Grant> {
    grants.iter().collect()
}
