//! Indexes, their attachment to partitioned indexes, and marks that hang on an index.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::relations::{Relation, Relations};
use super::rows;
use crate::error::Result;
use crate::model::catalog::{Address, Property};
use crate::model::name::QualifiedName;
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::client::Client;
use crate::pg::ident;

struct Index<'a> {
    relation: &'a Relation,
    table: &'a Relation,
    definition: String,
    valid: bool,
    usable: bool,
    of_constraint: bool,
    clustered: bool,
    replica_identity: bool,
}

/// Collects indexes; those of constraints have been claimed with their constraints, and only the
/// marks on them are added here.
pub(super) fn collect(
    client: &mut Client,
    out: &mut Collection,
    graph: &Graph,
    relations: &Relations,
) -> Result<()> {
    for index in &read(client, relations)? {
        if !index.usable {
            // No statement makes an index invalid, and it is of no use to anybody.
            let (name, table) = (&index.relation.name, &index.table.name);
            out.set_aside(index.relation.key());
            out.note(
                table,
                ObjectClass::InvalidIndex,
                format!("invalid index {name} on {table}: REINDEX it or drop it"),
            );
            continue;
        }
        let draft = if index.of_constraint {
            let Some(draft) = out.maker(index.relation.key()) else { continue };
            draft
        } else {
            let name = &index.relation.name;
            let draft = Draft::new(ObjectClass::Index, Some(&name.schema), &name.name)
                .part_of(index.table.name.clone())
                .in_tablespace(index.relation.tablespace.as_deref())
                .needs(index.table.key())
                .after_data();
            let draft = match beside_foreign_tables(index, relations) {
                Some((definition, needed)) => {
                    needed.into_iter().fold(draft.define(definition), Draft::needs)
                }
                None => draft.define(index.definition.as_str()),
            };
            let draft = out.add(index.relation.key(), draft)?;
            describe(out, draft, index);
            draft
        };
        if let Some(partition) = relations.attached_to_member(index.table.oid)
            && let Some(attach) = out.maker(Key::attach(partition.oid))
        {
            out.add_need(attach, index.relation.key());
            out.add_need(attach, Key::index_attach(index.relation.oid));
        }
        out.commentable_relation(index.relation.key(), draft, "INDEX", &index.relation.sql());
        describe_settings(out, draft, index, relations);
        for sql in settings(index, relations) {
            out.push(draft, Statement::define(sql));
        }
        for extension in graph.marked_extensions(index.relation.key()) {
            super::extensions::mark(out, draft, extension, "INDEX", &index.relation.sql());
        }
        if index.replica_identity {
            set_replica_identity(out, relations, index, draft)?;
        }
    }
    attach(out, relations)
}

fn read<'a>(client: &mut Client, relations: &'a Relations) -> Result<Vec<Index<'a>>> {
    let sql = "SELECT i.indexrelid AS oid, i.indrelid AS table,
                pg_get_indexdef(i.indexrelid) AS definition,
                i.indisvalid AS valid, i.indisready AND i.indislive AS ready,
                i.indisclustered AS clustered, i.indisreplident AS replica_identity,
                EXISTS (SELECT FROM pg_catalog.pg_constraint AS con
                        WHERE con.conindid = i.indexrelid AND con.conrelid = i.indrelid
                          AND con.contype IN ('p', 'u', 'x')) AS of_constraint
         FROM pg_catalog.pg_index AS i
         WHERE i.indexrelid >= 16384
         ORDER BY i.indexrelid";
    let mut indexes = Vec::new();
    for row in rows::stream(client, "indexes", sql)? {
        let row = row?;
        let (Some(relation), Some(table)) =
            (relations.get(row.get("oid")?), relations.get(row.get("table")?))
        else {
            continue;
        };
        // A partitioned index may lack a partition, and is none the less what it is.
        let valid = row.get("valid")?;
        let usable = row.get("ready")? && (valid || relation.kind == 'I');
        indexes.push(Index {
            relation,
            table,
            definition: row.deparsed("definition")?,
            valid,
            usable,
            of_constraint: row.get("of_constraint")?,
            clustered: row.get("clustered")?,
            replica_identity: row.get("replica_identity")?,
        });
    }
    Ok(indexes)
}

/// Says what an index is, without its name and its table's.
fn describe(out: &mut Collection, draft: usize, index: &Index<'_>) {
    let (unique, rest) = match index.definition.strip_prefix("CREATE UNIQUE INDEX ") {
        Some(rest) => (true, Some(rest)),
        None => (false, index.definition.strip_prefix("CREATE INDEX ")),
    };
    let before = format!("{} ON ", ident::quote(&index.relation.name.name));
    let bare = rest.and_then(|rest| {
        let rest = rest.strip_prefix(&before)?;
        let rest = rest.strip_prefix("ONLY ").unwrap_or(rest);
        rest.strip_prefix(&index.table.sql())?.strip_prefix(" USING ")
    });
    out.described(draft)
        .set(Property::Definition, bare.unwrap_or(&index.definition))
        .set_if(Property::Unique, unique);
}

fn describe_settings(out: &mut Collection, draft: usize, index: &Index<'_>, relations: &Relations) {
    let targets = relations
        .columns(index.relation.oid)
        .iter()
        .filter_map(|column| Some(format!("column {}: {}", column.number, column.statistics?)));
    let targets: Vec<String> = targets.collect();
    out.described(draft)
        .set_some(Property::Statistics, (!targets.is_empty()).then_some(targets))
        .set_some(Property::Tablespace, index.relation.tablespace.as_deref())
        .set_if(Property::Clustered, index.clustered);
    if index.replica_identity {
        let of = Address::within(ObjectClass::Table, &index.table.name);
        let identity = format!("index {}", index.relation.name.name);
        out.describe(draft, of).set(Property::ReplicaIdentity, identity);
    }
}

/// `CREATE INDEX … ON ONLY` makes an index that is valid when one has been attached for every
/// partition. Foreign tables have none, so that moment never comes: such an index is created last,
/// without ONLY, finds those of the other partitions, and is valid at once. Gives the definition,
/// and what must be there before.
fn beside_foreign_tables(index: &Index<'_>, relations: &Relations) -> Option<(String, Vec<Key>)> {
    let is_foreign = |table: &Relation| table.foreign.is_some();
    if !(index.relation.kind == 'I'
        && index.valid
        && relations.children(index.table.oid).any(is_foreign))
    {
        return None;
    }
    let (only, table) = (format!(" ON ONLY {}", index.table.sql()), index.table.sql());
    let definition = index.definition.replacen(&only, &format!(" ON {table}"), 1);
    let mut needed = Vec::new();
    for child in relations.children(index.relation.oid) {
        needed.push(child.key());
        let below = relations.descendants(child.oid);
        needed.extend(below.iter().map(|below| Key::index_attach(below.oid)));
    }
    Some((definition, needed))
}

fn settings(index: &Index<'_>, relations: &Relations) -> Vec<String> {
    let mut statements = Vec::new();
    for column in relations.columns(index.relation.oid) {
        if let Some(target) = column.statistics {
            // ALTER INDEX knows no ONLY, and would reach the indexes of partitions that are attached.
            statements.push(format!(
                "ALTER TABLE ONLY {} ALTER COLUMN {} SET STATISTICS {target}",
                index.relation.sql(),
                column.number
            ));
        }
    }
    if index.clustered {
        statements.push(format!(
            "ALTER TABLE ONLY {} CLUSTER ON {}",
            index.table.sql(),
            ident::quote(&index.relation.name.name)
        ));
    }
    statements
}

/// The mark needs a valid index, and a partitioned one becomes valid with its last attachment.
fn set_replica_identity(
    out: &mut Collection,
    relations: &Relations,
    index: &Index<'_>,
    draft: usize,
) -> Result<()> {
    let sql = format!(
        "ALTER TABLE ONLY {} REPLICA IDENTITY USING INDEX {}",
        index.table.sql(),
        ident::quote(&index.relation.name.name)
    );
    let below = relations.descendants(index.relation.oid);
    if below.is_empty() {
        out.push(draft, Statement::define(sql));
        return Ok(());
    }
    let name = &index.table.name;
    let mut setting = Draft::new(ObjectClass::TableSetting, Some(&name.schema), "replica identity")
        .part_of(name.clone())
        .define(sql)
        .needs(index.relation.key())
        .after_data();
    for below in below {
        setting = setting.needs(Key::index_attach(below.oid));
    }
    let setting = out.add(Key::table_setting(index.relation.oid), setting)?;
    // What it sets is said with the index.
    out.describe(setting, Address::within(ObjectClass::Table, name));
    Ok(())
}

/// `ALTER INDEX … ATTACH PARTITION`, so that the indexes of partitions keep their own names.
fn attach(out: &mut Collection, relations: &Relations) -> Result<()> {
    for child in relations.of_kind(&['i', 'I']) {
        for parent in relations.parents(child.oid) {
            // What is implied is made by the parent's own statement.
            if out.maker(child.key()).is_none()
                || out.maker(parent.key()).is_none()
                || out.is_implied(child.key())
            {
                continue;
            }
            let QualifiedName { schema, name } = &child.name;
            let draft = Draft::new(ObjectClass::IndexAttach, Some(schema), name)
                .part_of(parent.name.clone())
                .define(format!("ALTER INDEX {} ATTACH PARTITION {}", parent.sql(), child.sql()))
                .needs(parent.key())
                .needs(child.key())
                .after_data();
            let draft = out.add(Key::index_attach(child.oid), draft)?;
            if let Some(of) = out.address(child.key()) {
                out.describe(draft, of).set(Property::AttachedTo, parent.name.to_string());
            }
        }
    }
    Ok(())
}
