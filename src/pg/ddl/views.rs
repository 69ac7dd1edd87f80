//! Views and materialized views.

use super::collection::{Collection, Draft, Key, reachable_through};
use super::columns::{self, Column};
use super::constraints::Constraints;
use super::deparsed;
use super::dependencies::Graph;
use super::extensions;
use super::late_storage;
use super::relations::{Relation, Relations};
use super::rows;
use super::tables;
use crate::error::{Error, Result};
use crate::model::catalog::{Address, Property};
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::client::Client;
use crate::pg::ident;
use std::borrow::Cow;
use std::collections::HashMap;

/// Collects views, materialized views, and what fills the latter.
pub(super) fn collect(
    client: &mut Client,
    out: &mut Collection,
    graph: &Graph,
    relations: &Relations,
    constraints: &Constraints,
) -> Result<()> {
    let mut queries = read(client, relations)?;
    for view in relations.of_kind(&['v', 'm']) {
        let (rule, query) = queries.remove(&view.oid).ok_or_else(|| {
            Error::failed(format!("the definition of view {} is missing", view.name))
        })?;
        let index = if view.kind == 'v' {
            collect_view(out, graph, relations, constraints, view, &query)?
        } else {
            collect_materialized(out, graph, relations, constraints, view, &query)?
        };
        // What the query reads, the catalogs note for its rule.
        out.claim(rule, index)?;
    }
    Ok(())
}

fn read(client: &mut Client, relations: &Relations) -> Result<HashMap<u32, (Key, String)>> {
    let sql = "SELECT r.oid, r.ev_class AS view, pg_get_viewdef(r.ev_class) AS query
         FROM pg_catalog.pg_rewrite AS r
         WHERE r.ev_type = '1' AND r.oid >= 16384";
    let mut queries = HashMap::new();
    for row in rows::query(client, "views", sql)? {
        let view = row.get("view")?;
        if relations.get(view).is_some() {
            let query = row.deparsed("query")?;
            let query = query.trim().trim_end_matches(';').to_owned();
            queries.insert(view, (Key::rule(row.get("oid")?), query));
        }
    }
    Ok(queries)
}

fn collect_view(
    out: &mut Collection,
    graph: &Graph,
    relations: &Relations,
    constraints: &Constraints,
    view: &Relation,
    query: &str,
) -> Result<usize> {
    let name = view.sql();
    let (check, options): (Vec<String>, Vec<String>) =
        view.options.iter().cloned().partition(|option| option.starts_with("check_option="));
    let with = match columns::option_list(&options) {
        list if list.is_empty() => String::new(),
        list => format!(" WITH ({list})"),
    };
    let check_option = check.first().and_then(|option| option.split_once('='));
    let check_option = check_option.map(|(_, level)| level);
    let check = match check_option {
        Some("local") => "\n  WITH LOCAL CHECK OPTION",
        Some(_) => "\n  WITH CASCADED CHECK OPTION",
        None => "",
    };
    let (names, selected) = query_with_names(query, relations.columns(view.oid));
    let draft = Draft::new(ObjectClass::View, Some(&view.name.schema), &view.name.name)
        .define(format!("CREATE OR REPLACE VIEW {name}{names}{with} AS\n{selected}{check}"))
        .owned_by(&view.owner, &format!("VIEW {name}"))
        .placeholder(placeholder(relations, view));
    let index = out.add(view.key(), draft)?;
    let description = out.described(index);
    description
        .set(Property::Query, query)
        .set_some(Property::Options, columns::sorted(&options))
        .set_some(Property::CheckOption, check_option);
    columns::describe(description, view, relations.columns(view.oid).iter(), constraints);
    out.commentable_relation(view.key(), index, "VIEW", &name);
    for column in relations.columns(view.oid) {
        let Some((key, expression)) = &column.default else { continue };
        let sql = columns::set_default(&name, &column.name, expression);
        let described = |out: &mut Collection, draft| {
            let of = Address::within(ObjectClass::View, &view.name);
            let said = out.describe(draft, of).column(&column.name);
            columns::describe_default(said, column, expression);
        };
        // Needs the real view, so never its placeholder: it comes after the rows with it.
        if graph.is_self_contained(*key, view.key()) {
            out.claim(*key, index)?;
            out.push(index, Statement::define(sql));
            described(out, index);
        } else {
            let draft = Draft::new(ObjectClass::Default, Some(&view.name.schema), &column.name)
                .part_of(view.name.clone())
                .define(sql)
                .needs(view.key());
            let default = out.add(*key, draft)?;
            described(out, default);
        }
    }
    Ok(index)
}

/// What is written for a query, and the list of the view's columns where that does not name them.
fn query_with_names<'a>(query: &'a str, columns: &[Column]) -> (String, Cow<'a, str>) {
    let Some(without) = deparsed::without_select(query) else {
        return (String::new(), Cow::Borrowed(query));
    };
    let names: Vec<String> = columns.iter().map(|column| ident::quote(&column.name)).collect();
    (format!(" ({})", names.join(", ")), Cow::Owned(without))
}

/// An empty view of the same columns, which may be replaced by the real one: same names, types
/// and collations.
fn placeholder(relations: &Relations, view: &Relation) -> String {
    let columns: Vec<String> = relations
        .columns(view.oid)
        .iter()
        .map(|column| {
            let collation = column.collation.as_ref().map(|name| format!(" COLLATE {name}"));
            let collation = collation.unwrap_or_default();
            format!("\n    NULL::{}{collation} AS {}", column.type_sql, ident::quote(&column.name))
        })
        .collect();
    format!("CREATE VIEW {} AS\n  SELECT{}", view.sql(), columns.join(","))
}

fn collect_materialized(
    out: &mut Collection,
    graph: &Graph,
    relations: &Relations,
    constraints: &Constraints,
    view: &Relation,
    query: &str,
) -> Result<usize> {
    let name = view.sql();
    let (names, selected) = query_with_names(query, relations.columns(view.oid));
    let sql = format!(
        "CREATE MATERIALIZED VIEW {name}{names}{} AS\n{selected}\n  WITH NO DATA",
        tables::storage(view)
    );
    let draft = Draft::new(ObjectClass::MaterializedView, Some(&view.name.schema), &view.name.name)
        .define(sql)
        .in_tablespace(view.tablespace.as_deref())
        .owned_by(&view.owner, &format!("MATERIALIZED VIEW {name}"));
    let index = out.add(view.key(), draft)?;
    let description = out.described(index);
    tables::describe_relation(description, view);
    description.set(Property::Query, query);
    columns::describe(description, view, relations.columns(view.oid).iter(), constraints);
    out.commentable_relation(view.key(), index, "MATERIALIZED VIEW", &name);
    for column in relations.columns(view.oid) {
        for sql in columns::settings(view, column, &[]) {
            let sql = sql.replacen("ALTER TABLE ONLY", "ALTER MATERIALIZED VIEW", 1);
            out.push(index, Statement::define(sql));
        }
    }
    if !view.populated {
        set_storage(out, index, relations, view);
    }
    if let Some(sql) = tables::replica_identity(view) {
        out.push(index, Statement::define(sql));
    }
    for extension in graph.marked_extensions(view.key()) {
        extensions::mark(out, index, extension, "MATERIALIZED VIEW", &name);
    }
    Ok(index)
}

/// Collects one refresh per populated materialized view, after those that it reads. Called when
/// everything else has been collected.
pub(super) fn collect_data(
    out: &mut Collection,
    graph: &Graph,
    relations: &Relations,
) -> Result<()> {
    let needs = out.needs(graph);
    let views = relations.of_kind(&['m']);
    let by_draft: HashMap<usize, &Relation> =
        views.iter().filter_map(|view| Some((out.maker(view.key())?, *view))).collect();
    for view in views {
        let Some(own) = out.maker(view.key()).filter(|_| view.populated) else { continue };
        let reads = |from: usize| {
            // What a table's columns are made of is not read with its rows; one that is filled has its own.
            let is_read_through = |draft: usize| {
                use ObjectClass::{Column, ForeignTable, Table};
                let is_filled = by_draft.get(&draft).is_some_and(|view| view.populated);
                draft == from
                    || !(is_filled
                        || matches!(out.object(draft).class, Table | ForeignTable | Column))
            };
            let reached = reachable_through(&needs, from, is_read_through).into_iter();
            let reached = reached.filter(|draft| *draft != from);
            reached.filter(|draft| by_draft.contains_key(draft)).collect::<Vec<usize>>()
        };
        let (filled, mut unfilled): (Vec<usize>, Vec<usize>) =
            reads(own).into_iter().partition(|draft| by_draft[draft].populated);
        // Whatever one reads, it reads more than that does.
        unfilled.sort_by_cached_key(|draft| (reads(*draft).len(), by_draft[draft].sql()));
        let unfilled: Vec<String> = unfilled.iter().map(|draft| by_draft[draft].sql()).collect();
        let mut draft =
            Draft::new(ObjectClass::MaterializedViewData, Some(&view.name.schema), &view.name.name)
                .define(refresh(&view.sql(), &unfilled))
                .needs(view.key())
                .after_data();
        for read in filled {
            draft = draft.needs(Key::view_data(by_draft[&read].oid));
        }
        let index = out.add(Key::view_data(view.oid), draft)?;
        set_storage(out, index, relations, view);
        let of = Address::within(ObjectClass::MaterializedView, &view.name);
        out.describe(index, of).set(Property::Populated, "yes");
    }
    Ok(())
}

/// Gives columns the storage that they can have when the view is filled.
fn set_storage(out: &mut Collection, draft: usize, relations: &Relations, view: &Relation) {
    for sql in late_storage::statements(view, relations.columns(view.oid)) {
        out.push(draft, Statement::define(sql));
    }
}

/// Fills a view over some that have not been filled: a plan may do without their rows, or they were
/// there when the view was filled.
fn refresh(view: &str, unfilled: &[String]) -> String {
    let fill = |view: &str, rest: &str| format!("REFRESH MATERIALIZED VIEW {view}{rest}");
    let alone = fill(view, "");
    if unfilled.is_empty() {
        return alone;
    }
    let filled = unfilled.iter().map(|read| fill(read, ""));
    let emptied = unfilled.iter().map(|read| fill(read, " WITH NO DATA"));
    let around: Vec<String> = filled.chain([alone.clone()]).chain(emptied).collect();
    let body = format!(
        "BEGIN
  {alone};
EXCEPTION WHEN object_not_in_prerequisite_state THEN
  {};
END",
        around.join(";\n  ")
    );
    format!("DO LANGUAGE plpgsql {}", ident::literal(&body))
}
