//! Privileges: what they are, and the `GRANT`s and `REVOKE`s that make them what they should be.
//!
//! The statements are computed against what is there, never replayed blindly: a new object's
//! access list depends on the server's version and on `ALTER DEFAULT PRIVILEGES` of the target
//! (dump-correctness 2.10, P14).

use super::ddl::functions::{SIGNATURE, display_name};
use super::failure::server;
use super::ident;
use crate::error::{Error, Kind, Result};
use crate::model::name::Printable;
use crate::model::schema::{AccessList, Grant};
use postgres::Client;
use std::collections::{BTreeSet, HashMap};

/// The letter of `acldefault` for databases.
pub(crate) const DATABASE: char = 'd';

/// Which objects of the target [`reconcile`] looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those in the list alone.
    Listed,
    /// All: what is not in the list gets back the privileges that it is created with. Right
    /// after a restore into an empty database this undoes the target's default privileges.
    WholeDatabase,
}

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
    let failed = |error| server("cannot read the privileges", error);
    // Names are compared as text, so they must be deparsed alike in every session.
    let before: String = client
        .query_one("SELECT current_setting('quote_all_identifiers')", &[])
        .and_then(|row| row.try_get(0))
        .map_err(failed)?;
    let quote = "SELECT set_config('quote_all_identifiers', $1, false)";
    client.execute(quote, &[&"on"]).map_err(failed)?;
    let rows = client.query(&sql(all), &[]);
    client.execute(quote, &[&before]).map_err(failed)?;
    let mut held = Vec::new();
    for row in rows.map_err(failed)? {
        let text = |column: &str| row.try_get::<_, Option<String>>(column).map_err(failed);
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
            catalog: row.try_get("catalog").map_err(failed)?,
            oid: row.try_get("oid").map_err(failed)?,
            name: match &signature {
                Some(signature) => display_name(&name, signature),
                None => name,
            },
            schema,
            list: AccessList {
                target,
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

fn sql(all: bool) -> String {
    let list = |acl: &str| {
        format!(
            "(SELECT coalesce(json_agg(json_build_array(
                CASE WHEN x.grantee <> 0 THEN pg_get_userbyid(x.grantee) END,
                pg_get_userbyid(x.grantor), x.privilege_type, x.is_grantable)
                ORDER BY x.position), '[]')::text
              FROM aclexplode({acl}) WITH ORDINALITY
                AS x(grantor, grantee, privilege_type, is_grantable, position))"
        )
    };
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
            WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
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
            WHERE t.typtype <> 'm' AND NOT EXISTS (
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
         ORDER BY o.schema NULLS FIRST, o.name, o.signature, o.number, o.kind"
    )
}

fn grants(json: Option<String>) -> Result<Vec<Grant>> {
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

/// The statements that make the privileges on the target equal to `wanted`; none when they are.
/// `source_major` is the version that `wanted` was read from: privileges that it did not know
/// stay with the owner, who has all.
///
/// # Errors
/// [`Kind::NotFound`] when the target lacks an object that `wanted` names.
pub fn reconcile(
    client: &mut Client,
    source_major: u32,
    wanted: &[AccessList],
    scope: Scope,
) -> Result<Vec<String>> {
    let held = read(client, true)?;
    let mut actual: HashMap<(&str, Option<&str>), &Held> =
        held.iter().map(|held| (place(&held.list), held)).collect();
    let mut statements = Vec::new();
    for list in wanted {
        let mut target = list.target.as_str();
        let (present, owner) = match actual.remove(&place(list)) {
            Some(held) => {
                target = &held.list.target;
                (held.list.grants.as_slice(), held.list.owner.as_str())
            }
            // A column has a list only when it has privileges of its own.
            None => match held.iter().find(|held| held.list.target == list.target) {
                Some(table) if list.column.is_some() => (&[][..], table.list.owner.as_str()),
                _ => {
                    return Err(Error::new(
                        Kind::NotFound,
                        format!("{} is not there to grant privileges on", Printable(&list.target)),
                    ));
                }
            },
        };
        let adopted = adopt(list, owner, source_major, present);
        statements.extend(delta(target, list.column.as_deref(), owner, present, &adopted));
    }
    if scope == Scope::WholeDatabase {
        // Who may connect to a database is not made by restoring into it.
        for held in held.iter().filter(|held| held.is_changed() && held.list.kind != DATABASE) {
            if actual.contains_key(&place(&held.list)) {
                let AccessList { target, column, owner, grants, .. } = &held.list;
                statements.extend(delta(target, column.as_deref(), owner, grants, &held.initial));
            }
        }
    }
    Ok(statements)
}

/// What tells access lists apart; the database is the one at hand, whatever its name.
fn place(list: &AccessList) -> (&str, Option<&str>) {
    let target = if list.kind == DATABASE { "DATABASE" } else { list.target.as_str() };
    (target, list.column.as_deref())
}

/// Applies what [`reconcile`] says, and makes sure that nothing is left to say.
///
/// # Errors
/// [`Kind::Differs`] when the privileges are still not equal: a grantor who is a superuser today
/// cannot grant in his own name.
pub fn apply(
    client: &mut Client,
    source_major: u32,
    wanted: &[AccessList],
    scope: Scope,
) -> Result<usize> {
    let statements = reconcile(client, source_major, wanted, scope)?;
    for sql in &statements {
        client.execute(sql.as_str(), &[]).map_err(|error| {
            server(format!("the server refused: {}", super::session::shorten(sql)), error)
        })?;
    }
    match reconcile(client, source_major, wanted, scope)?.first() {
        None => Ok(statements.len()),
        Some(left) => Err(Error::new(
            Kind::Differs,
            format!("the privileges cannot be made equal: {}", Printable(left)),
        )),
    }
}

/// The wanted grants in terms of the target: its owner for the owner (who differs for what an
/// extension made), and the owner's privileges that the source's version did not know.
fn adopt(wanted: &AccessList, owner: &str, source_major: u32, present: &[Grant]) -> Vec<Grant> {
    let rename = |role: &str| if role == wanted.owner { owner.to_owned() } else { role.to_owned() };
    let mut grants: Vec<Grant> = wanted
        .grants
        .iter()
        .map(|grant| Grant {
            grantee: grant.grantee.as_deref().map(rename),
            grantor: rename(&grant.grantor),
            ..grant.clone()
        })
        .collect();
    if source_major < 17 {
        let unknown = |grant: &&Grant| {
            grant.privilege == "MAINTAIN" && grant.grantee.as_deref() == Some(owner)
        };
        grants.extend(present.iter().filter(unknown).cloned());
    }
    grants
}

fn set(grants: &[Grant]) -> BTreeSet<&Grant> {
    grants.iter().collect()
}

/// The statements that turn `present` into `wanted` on one object or column.
///
/// Revokes run backwards and grants forwards, because the catalogs list a grant option before
/// what was granted through it.
pub(crate) fn delta(
    target: &str,
    column: Option<&str>,
    owner: &str,
    present: &[Grant],
    wanted: &[Grant],
) -> Vec<String> {
    let find = |grants: &[Grant], like: &Grant| {
        grants
            .iter()
            .find(|grant| {
                (&grant.grantee, &grant.grantor, &grant.privilege)
                    == (&like.grantee, &like.grantor, &like.privilege)
            })
            .map(|grant| grant.grantable)
    };
    let mut steps: Vec<Step> = Vec::new();
    for grant in present.iter().rev() {
        match find(wanted, grant) {
            None => Step::push(&mut steps, "REVOKE", "FROM", "", grant),
            Some(false) if grant.grantable => {
                Step::push(&mut steps, "REVOKE GRANT OPTION FOR", "FROM", "", grant);
            }
            Some(_) => {}
        }
    }
    for grant in wanted {
        let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
        match find(present, grant) {
            None => Step::push(&mut steps, "GRANT", "TO", option, grant),
            Some(false) if grant.grantable => Step::push(&mut steps, "GRANT", "TO", option, grant),
            Some(_) => {}
        }
    }
    let mut statements = Vec::new();
    for step in &steps {
        let sql = step.sql(target, column);
        // Owners and superusers always grant in the owner's name; another grantor has to do it.
        if step.grantor == owner {
            statements.push(sql);
        } else {
            statements.push(format!("SET ROLE {}", ident::quote(step.grantor)));
            statements.push(sql);
            statements.push(String::from("RESET ROLE"));
        }
    }
    statements
}

/// One statement: privileges that one role gives to, or takes from, another.
struct Step<'a> {
    verb: &'static str,
    preposition: &'static str,
    option: &'static str,
    grantor: &'a str,
    grantee: Option<&'a str>,
    privileges: Vec<&'a str>,
}

impl<'a> Step<'a> {
    fn push(
        steps: &mut Vec<Step<'a>>,
        verb: &'static str,
        preposition: &'static str,
        option: &'static str,
        grant: &'a Grant,
    ) {
        let (grantor, grantee) = (grant.grantor.as_str(), grant.grantee.as_deref());
        match steps.last_mut() {
            Some(last)
                if (last.verb, last.option, last.grantor, last.grantee)
                    == (verb, option, grantor, grantee) =>
            {
                last.privileges.push(&grant.privilege);
            }
            _ => steps.push(Step {
                verb,
                preposition,
                option,
                grantor,
                grantee,
                privileges: vec![&grant.privilege],
            }),
        }
    }

    fn sql(&self, target: &str, column: Option<&str>) -> String {
        let column = column.map(|name| format!(" ({})", ident::quote(name))).unwrap_or_default();
        let privileges: Vec<String> =
            self.privileges.iter().map(|privilege| format!("{privilege}{column}")).collect();
        let grantee = self.grantee.map_or_else(|| String::from("PUBLIC"), ident::quote);
        format!(
            "{} {} ON {target} {} {grantee}{}",
            self.verb,
            privileges.join(", "),
            self.preposition,
            self.option
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(grantee: &str, grantor: &str, privilege: &str, grantable: bool) -> Grant {
        Grant {
            grantee: (!grantee.is_empty()).then(|| grantee.to_owned()),
            grantor: grantor.to_owned(),
            privilege: privilege.to_owned(),
            grantable,
        }
    }

    #[test]
    fn equal_lists_need_nothing_whatever_their_order() {
        let one = [grant("o", "o", "SELECT", false), grant("", "o", "SELECT", false)];
        let other = [one[1].clone(), one[0].clone()];
        assert!(delta("TABLE t", None, "o", &one, &other).is_empty());
    }

    #[test]
    fn what_is_too_much_is_revoked_before_the_rest_is_granted() {
        let present = [grant("", "o", "EXECUTE", false), grant("o", "o", "EXECUTE", false)];
        let wanted = [grant("o", "o", "EXECUTE", false), grant("a", "o", "EXECUTE", true)];
        assert_eq!(
            delta("FUNCTION f()", None, "o", &present, &wanted),
            [
                "REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC",
                "GRANT EXECUTE ON FUNCTION f() TO \"a\" WITH GRANT OPTION",
            ]
        );
    }

    #[test]
    fn another_grantor_grants_in_his_own_name() {
        let wanted = [grant("a", "o", "SELECT", true), grant("b", "a", "SELECT", false)];
        assert_eq!(
            delta("TABLE t", Some("c"), "o", &[], &wanted),
            [
                "GRANT SELECT (\"c\") ON TABLE t TO \"a\" WITH GRANT OPTION",
                "SET ROLE \"a\"",
                "GRANT SELECT (\"c\") ON TABLE t TO \"b\"",
                "RESET ROLE",
            ]
        );
        let back = delta("TABLE t", None, "o", &wanted, &[]);
        assert_eq!(back.last().map(String::as_str), Some("REVOKE SELECT ON TABLE t FROM \"a\""));
    }

    #[test]
    fn an_older_source_leaves_the_owner_what_it_did_not_know() {
        let list = AccessList {
            target: String::from("TABLE t"),
            column: None,
            kind: 'r',
            owner: String::from("old"),
            grants: vec![grant("old", "old", "SELECT", false)],
        };
        let present =
            [grant("new", "new", "SELECT", false), grant("new", "new", "MAINTAIN", false)];
        assert_eq!(set(&adopt(&list, "new", 15, &present)), set(&present));
        assert_eq!(adopt(&list, "new", 17, &present), [present[0].clone()]);
    }
}
