//! Operator families and classes with their members.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::rows::{self, Record, USER_SCHEMA};
use crate::error::Result;
use crate::model::catalog::Property;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;
use std::collections::HashMap;

/// An operator or support function of a family.
struct Member {
    /// Its row in `pg_amop` or `pg_amproc`.
    key: Key,
    /// The operator class that it goes with; `None` where it is loose in the family.
    class: Option<Key>,
    family: Key,
    /// The operator or function, and the types it is for.
    about: [Key; 3],
    /// As CREATE OPERATOR CLASS and ALTER OPERATOR FAMILY take it.
    sql: String,
}

/// Collects the operator families and classes that users made, and what users added to others.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let members = read_members(client)?;
    let mut of_class: HashMap<Key, Vec<&Member>> = HashMap::new();
    let mut loose: HashMap<Key, Vec<&Member>> = HashMap::new();
    for member in &members {
        match member.class {
            Some(class) => of_class.entry(class).or_default().push(member),
            None => loose.entry(member.family).or_default().push(member),
        }
    }
    let mut added_to = HashMap::new();
    let sql = format!(
        "SELECT f.oid, n.nspname::text AS schema, f.opfname::text AS name,
                am.amname::text AS method, pg_get_userbyid(f.opfowner)::text AS owner,
                {USER_SCHEMA} AS in_user_schema
         FROM pg_catalog.pg_opfamily AS f
         JOIN pg_catalog.pg_namespace AS n ON n.oid = f.opfnamespace
         JOIN pg_catalog.pg_am AS am ON am.oid = f.opfmethod
         ORDER BY n.nspname, f.opfname, am.amname"
    );
    for row in rows::query(client, "operator families", &sql)? {
        let key = Key::operator_family(row.get("oid")?);
        let loose = loose.remove(&key).unwrap_or_default();
        if row.get("in_user_schema")? && graph.extension_of(key).is_none() {
            collect_family(out, key, &row, &loose)?;
        } else if let Some(draft) = collect_additions(out, graph, key, &row, &loose)? {
            added_to.insert(key, draft);
        }
    }
    let sql = format!(
        "SELECT o.oid, n.nspname::text AS schema, o.opcname::text AS name,
                am.amname::text AS method, pg_get_userbyid(o.opcowner)::text AS owner,
                o.opcdefault AS is_default, format_type(o.opcintype, NULL) AS type,
                CASE WHEN o.opckeytype <> 0 THEN format_type(o.opckeytype, NULL) END AS storage,
                o.opcfamily AS family,
                quote_ident(fn.nspname) || '.' || quote_ident(f.opfname) AS family_name
         FROM pg_catalog.pg_opclass AS o
         JOIN pg_catalog.pg_namespace AS n ON n.oid = o.opcnamespace
         JOIN pg_catalog.pg_am AS am ON am.oid = o.opcmethod
         JOIN pg_catalog.pg_opfamily AS f ON f.oid = o.opcfamily
         JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.opfnamespace
         WHERE {USER_SCHEMA}
         ORDER BY n.nspname, o.opcname, am.amname"
    );
    for row in rows::query(client, "operator classes", &sql)? {
        let key = Key::operator_class(row.get("oid")?);
        if graph.extension_of(key).is_none() {
            let members = of_class.remove(&key).unwrap_or_default();
            let class = collect_class(out, key, &row, &members)?;
            let family = Key::operator_family(row.get("family")?);
            if let Some(additions) = added_to.get(&family) {
                out.add_need_of(class, *additions);
            }
        }
    }
    for member in of_class.into_values().flatten() {
        if member.class.is_some_and(|class| graph.extension_of(class).is_some()) {
            out.imply(member.key);
        }
    }
    Ok(())
}

/// The members of all families that initdb did not make. `pg_depend` ties each to the class it
/// was made with, or to the family where it is loose.
fn read_members(client: &mut Client) -> Result<Vec<Member>> {
    let sql = "SELECT m.catalog, m.oid, m.family, m.left_type, m.right_type, m.about, m.sql,
                (SELECT d.refobjid FROM pg_catalog.pg_depend AS d
                 WHERE d.classid = m.catalog AND d.objid = m.oid AND d.refclassid = 2616) AS class,
                m.about_catalog
         FROM (
            SELECT 2602::oid AS catalog, o.oid, o.amopfamily AS family, o.amopstrategy AS number,
                   o.amoplefttype AS left_type, o.amoprighttype AS right_type,
                   2617::oid AS about_catalog, o.amopopr AS about,
                   'OPERATOR ' || o.amopstrategy || ' '
                     || o.amopopr::pg_catalog.regoperator::text
                     || coalesce(' FOR ORDER BY ' || quote_ident(sn.nspname) || '.'
                          || quote_ident(sf.opfname), '') AS sql
            FROM pg_catalog.pg_amop AS o
            LEFT JOIN pg_catalog.pg_opfamily AS sf ON sf.oid = o.amopsortfamily
            LEFT JOIN pg_catalog.pg_namespace AS sn ON sn.oid = sf.opfnamespace
            WHERE o.oid >= 16384
            UNION ALL
            SELECT 2603, p.oid, p.amprocfamily, p.amprocnum, p.amproclefttype,
                   p.amprocrighttype, 1255, p.amproc::pg_catalog.oid,
                   'FUNCTION ' || p.amprocnum || ' (' || format_type(p.amproclefttype, NULL)
                     || ', ' || format_type(p.amprocrighttype, NULL) || ') '
                     || p.amproc::pg_catalog.regprocedure::text
            FROM pg_catalog.pg_amproc AS p
            WHERE p.oid >= 16384
         ) AS m
         ORDER BY m.family, m.catalog, m.number, m.sql";
    let mut members = Vec::new();
    for row in rows::query(client, "operator family members", sql)? {
        members.push(Member {
            key: Key { catalog: row.get("catalog")?, oid: row.get("oid")? },
            class: row.get::<Option<u32>>("class")?.map(Key::operator_class),
            family: Key::operator_family(row.get("family")?),
            about: [
                Key { catalog: row.get("about_catalog")?, oid: row.get("about")? },
                Key::type_(row.get("left_type")?),
                Key::type_(row.get("right_type")?),
            ],
            sql: row.deparsed("sql")?,
        });
    }
    Ok(members)
}

/// The parts of a name: its schema, itself, and `"schema"."name" USING "method"`.
struct Name {
    schema: String,
    shown: String,
    quoted: String,
    method: String,
}

impl Name {
    fn of(row: &Record) -> Result<Self> {
        let (schema, name): (&str, &str) = (row.get("schema")?, row.get("name")?);
        let method: &str = row.get("method")?;
        Ok(Self {
            schema: schema.to_owned(),
            shown: format!("{name} using {method}"),
            quoted: format!("{}.{}", ident::quote(schema), ident::quote(name)),
            method: ident::quote(method),
        })
    }
}

fn additions(name: &Name, members: &[&Member]) -> String {
    let Name { quoted, method, .. } = name;
    format!(
        "ALTER OPERATOR FAMILY {quoted} USING {method} ADD\n    {}",
        definition(members).join(",\n    ")
    )
}

fn definition(members: &[&Member]) -> Vec<String> {
    members.iter().map(|member| member.sql.clone()).collect()
}

fn collect_family(out: &mut Collection, key: Key, row: &Record, members: &[&Member]) -> Result<()> {
    let name = Name::of(row)?;
    let target = format!("OPERATOR FAMILY {} USING {}", name.quoted, name.method);
    let mut draft =
        Draft::new(ObjectClass::OperatorFamily, Some(&name.schema), name.shown.as_str())
            .define(format!("CREATE {target}"));
    if !members.is_empty() {
        draft = draft.define(additions(&name, members));
    }
    let definition = definition(members);
    let index = out.add_named(key, draft, Some(row.get("owner")?), &target, definition)?;
    for member in members {
        out.claim(member.key, index)?;
    }
    Ok(())
}

/// Loose members of a family that is the system's or an extension's. The catalogs do not say who
/// added them: what is about something of an extension comes with that, or else with the
/// extension of the family, unless it is about something that users made.
fn collect_additions(
    out: &mut Collection,
    graph: &Graph,
    family: Key,
    row: &Record,
    members: &[&Member],
) -> Result<Option<usize>> {
    let mut additions_of_users = Vec::new();
    for member in members {
        let about = &member.about;
        let by_user = about.iter().any(|key| {
            out.resolve(graph, *key)
                .is_some_and(|maker| out.object(maker).class != ObjectClass::Extension)
        });
        let by_extension = graph.extension_of(family).is_some()
            || about.iter().any(|key| graph.extension_of(*key).is_some());
        if by_user || !by_extension {
            additions_of_users.push(*member);
        } else {
            out.imply(member.key);
        }
    }
    if additions_of_users.is_empty() {
        return Ok(None);
    }
    let name = Name::of(row)?;
    let draft =
        Draft::new(ObjectClass::OperatorFamilyMember, Some(&name.schema), name.shown.as_str())
            .define(additions(&name, &additions_of_users))
            .needs(family);
    let index = out.add_without_row(draft);
    out.described(index).set(Property::Definition, definition(&additions_of_users));
    for member in additions_of_users {
        out.claim(member.key, index)?;
    }
    Ok(Some(index))
}

fn collect_class(
    out: &mut Collection,
    key: Key,
    row: &Record,
    members: &[&Member],
) -> Result<usize> {
    let name = Name::of(row)?;
    let type_name = row.deparsed("type")?;
    let mut items: Vec<String> = row
        .get::<Option<&str>>("storage")?
        .map(|storage| format!("STORAGE {storage}"))
        .into_iter()
        .collect();
    items.extend(definition(members));
    if items.is_empty() {
        // Something must stand there; storing the type itself is no storage of its own.
        items.push(format!("STORAGE {type_name}"));
    }
    let default = if row.get("is_default")? { " DEFAULT" } else { "" };
    let family_name = row.deparsed("family_name")?;
    let sql = format!(
        "CREATE OPERATOR CLASS {}{default} FOR TYPE {type_name} USING {} FAMILY {family_name} AS\n    {}",
        name.quoted,
        name.method,
        items.join(",\n    ")
    );
    items.insert(0, format!("of type {type_name} in family {family_name}{default}"));
    let family = Key::operator_family(row.get("family")?);
    let draft = Draft::new(ObjectClass::OperatorClass, Some(&name.schema), name.shown.as_str())
        .define(sql)
        .needs(family);
    let target = format!("OPERATOR CLASS {} USING {}", name.quoted, name.method);
    let index = out.add_named(key, draft, Some(row.get("owner")?), &target, items)?;
    for member in members {
        out.claim(member.key, index)?;
        out.accompany(member.about[0], index);
    }
    Ok(index)
}
