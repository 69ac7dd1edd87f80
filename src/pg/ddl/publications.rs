//! Publications and what they publish. They come after the rows, or loading these would be
//! published too.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::rows::{self, since};
use crate::error::Result;
use crate::model::name::QualifiedName;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;

/// Collects publications, their tables and their schemas.
pub(super) fn collect(
    client: &mut Client,
    major: u32,
    out: &mut Collection,
    graph: &Graph,
) -> Result<()> {
    let generated = since(major, 18, "p.pubgencols::text", "'n'");
    let sql = format!(
        "SELECT p.oid, p.pubname::text AS name, pg_get_userbyid(p.pubowner)::text AS owner,
                p.puballtables AS all_tables, p.pubinsert AS insert, p.pubupdate AS update,
                p.pubdelete AS delete, p.pubtruncate AS truncate, p.pubviaroot AS via_root,
                {generated} AS generated
         FROM pg_catalog.pg_publication AS p ORDER BY p.pubname"
    );
    for row in rows::query(client, "publications", &sql)? {
        let (key, name): (Key, &str) = (Key::publication(row.get("oid")?), row.get("name")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let mut published = Vec::new();
        for operation in ["insert", "update", "delete", "truncate"] {
            if row.get(operation)? {
                published.push(operation);
            }
        }
        let mut settings = format!("publish = '{}'", published.join(", "));
        if row.get("via_root")? {
            settings.push_str(", publish_via_partition_root = true");
        }
        match row.letter("generated")? {
            'n' => {}
            's' => settings.push_str(", publish_generated_columns = stored"),
            letter => {
                let text = format!("generated columns of publication {name} ({letter})");
                out.leave_out(ObjectClass::Unknown, None, text);
            }
        }
        let target = format!("PUBLICATION {}", ident::quote(name));
        let all = if row.get("all_tables")? { " FOR ALL TABLES" } else { "" };
        let draft = Draft::new(ObjectClass::Publication, None, name)
            .define(format!("CREATE {target}{all} WITH ({settings})"))
            .owned_by(row.get("owner")?, &target)
            .after_data();
        let draft = out.add(key, draft)?;
        out.commentable(key, draft, target);
    }
    collect_tables(client, major, out, graph)?;
    if major >= 15 {
        collect_schemas(client, out, graph)?;
    }
    Ok(())
}

fn collect_tables(
    client: &mut Client,
    major: u32,
    out: &mut Collection,
    graph: &Graph,
) -> Result<()> {
    let filter = since(major, 15, "pg_get_expr(m.prqual, m.prrelid)", "NULL::text");
    let filtered = since(major, 15, "m.prqual IS NOT NULL", "false");
    let columns = since(
        major,
        15,
        "CASE WHEN m.prattrs IS NOT NULL THEN ARRAY(
           SELECT a.attname::text
           FROM unnest(m.prattrs::int2[]) WITH ORDINALITY AS k(number, position)
           JOIN pg_catalog.pg_attribute AS a ON a.attrelid = m.prrelid AND a.attnum = k.number
           ORDER BY k.position) END",
        "NULL::text[]",
    );
    let sql = format!(
        "SELECT m.oid, m.prpubid AS publication_oid, p.pubname::text AS publication,
                n.nspname::text AS schema, c.relname::text AS table, m.prrelid AS relation,
                {filtered} AS filtered, {filter} AS filter, {columns} AS columns
         FROM pg_catalog.pg_publication_rel AS m
         JOIN pg_catalog.pg_publication AS p ON p.oid = m.prpubid
         JOIN pg_catalog.pg_class AS c ON c.oid = m.prrelid
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
         ORDER BY m.oid"
    );
    for row in rows::query(client, "published tables", &sql)? {
        let key = Key::publication_relation(row.get("oid")?);
        let whole = Key::publication(row.get("publication_oid")?);
        if graph.extension_of(key).or(graph.extension_of(whole)).is_some() {
            continue;
        }
        let publication: &str = row.get("publication")?;
        let table = QualifiedName::new(row.get::<&str>("schema")?, row.get::<&str>("table")?);
        let mut sql = format!(
            "ALTER PUBLICATION {} ADD TABLE ONLY {}",
            ident::quote(publication),
            ident::quote_qualified(&table)
        );
        if let Some(columns) = row.get::<Option<Vec<String>>>("columns")? {
            let columns: Vec<String> = columns.iter().map(|column| ident::quote(column)).collect();
            sql.push_str(&format!(" ({})", columns.join(", ")));
        }
        if row.get("filtered")? {
            sql.push_str(&format!(" WHERE ({})", row.deparsed("filter")?));
        }
        let draft = Draft::new(ObjectClass::PublicationTable, None, publication)
            .part_of(table)
            .define(sql)
            .needs(whole)
            .needs(Key::relation(row.get("relation")?))
            .after_data();
        out.add(key, draft)?;
    }
    Ok(())
}

fn collect_schemas(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = "SELECT m.oid, m.pnpubid AS publication_oid, p.pubname::text AS publication,
                n.nspname::text AS schema, n.oid AS schema_oid
         FROM pg_catalog.pg_publication_namespace AS m
         JOIN pg_catalog.pg_publication AS p ON p.oid = m.pnpubid
         JOIN pg_catalog.pg_namespace AS n ON n.oid = m.pnnspid
         ORDER BY m.oid";
    for row in rows::query(client, "published schemas", sql)? {
        let key = Key::publication_schema(row.get("oid")?);
        let whole = Key::publication(row.get("publication_oid")?);
        if graph.extension_of(key).or(graph.extension_of(whole)).is_some() {
            continue;
        }
        let (publication, schema): (&str, &str) = (row.get("publication")?, row.get("schema")?);
        let name = format!("{publication} for {schema}");
        let draft = Draft::new(ObjectClass::PublicationSchema, None, name)
            .define(format!(
                "ALTER PUBLICATION {} ADD TABLES IN SCHEMA {}",
                ident::quote(publication),
                ident::quote(schema)
            ))
            .needs(whole)
            .needs(Key::schema(row.get("schema_oid")?))
            .after_data();
        out.add(key, draft)?;
    }
    Ok(())
}
