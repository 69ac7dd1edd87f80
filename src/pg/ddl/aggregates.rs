//! Aggregates: ordinary, ordered-set and hypothetical-set ones.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::functions::{SIGNATURE, display_name};
use super::rows::{self, Record, USER_SCHEMA};
use crate::error::Result;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;

/// Collects the aggregates that users made.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = format!(
        "SELECT p.oid, n.nspname::text AS schema, p.proname::text AS name,
                pg_get_userbyid(p.proowner)::text AS owner, {SIGNATURE} AS signature,
                p.pronargs = 0 AS is_bare, pg_get_function_arguments(p.oid) AS arguments,
                pg_get_function_identity_arguments(p.oid) AS identity,
                a.aggkind::text AS kind, p.proparallel::text AS parallel,
                a.aggtransfn::text AS sfunc, format_type(a.aggtranstype, NULL) AS stype,
                nullif(a.aggtransspace, 0)::text AS sspace, a.agginitval AS initcond,
                nullif(a.aggfinalfn::text, '-') AS finalfunc, a.aggfinalextra AS final_extra,
                a.aggfinalmodify::text AS final_modify,
                nullif(a.aggcombinefn::text, '-') AS combinefunc,
                nullif(a.aggserialfn::text, '-') AS serialfunc,
                nullif(a.aggdeserialfn::text, '-') AS deserialfunc,
                nullif(a.aggmtransfn::text, '-') AS msfunc,
                nullif(a.aggminvtransfn::text, '-') AS minvfunc,
                CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END
                  AS mstype,
                nullif(a.aggmtransspace, 0)::text AS msspace, a.aggminitval AS minitcond,
                nullif(a.aggmfinalfn::text, '-') AS mfinalfunc,
                a.aggmfinalextra AS mfinal_extra, a.aggmfinalmodify::text AS mfinal_modify,
                (SELECT 'OPERATOR(' || quote_ident(sn.nspname) || '.' || so.oprname || ')'
                 FROM pg_catalog.pg_operator AS so
                 JOIN pg_catalog.pg_namespace AS sn ON sn.oid = so.oprnamespace
                 WHERE so.oid = a.aggsortop) AS sortop
         FROM pg_catalog.pg_aggregate AS a
         JOIN pg_catalog.pg_proc AS p ON p.oid = a.aggfnoid
         JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
         WHERE {USER_SCHEMA}
         ORDER BY n.nspname, p.proname, {SIGNATURE}"
    );
    for row in rows::query(client, "aggregates", &sql)? {
        let key = Key::function(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let (schema, name): (&str, &str) = (row.get("schema")?, row.get("name")?);
        let bare = row.get("is_bare")?;
        let signature = |column: &str| {
            if bare { Ok(String::from("*")) } else { row.deparsed(column) }
        };
        let shown = display_name(name, &signature("signature")?);
        let Some(properties) = properties(&row)? else {
            let text = format!("aggregate {schema}.{shown}");
            let schema = Some(schema.to_owned());
            out.leave_out_of(ObjectClass::Unknown, Some(key), text, schema, None);
            continue;
        };
        let quoted = format!("{}.{}", ident::quote(schema), ident::quote(name));
        let sql = format!(
            "CREATE AGGREGATE {quoted}({}) (\n    {}\n)",
            signature("arguments")?,
            properties.join(",\n    ")
        );
        let draft = Draft::new(ObjectClass::Aggregate, Some(schema), shown).define(sql);
        let target = format!("AGGREGATE {quoted}({})", signature("identity")?);
        let arguments = format!("arguments: {}", signature("arguments")?);
        let definition: Vec<String> = std::iter::once(arguments).chain(properties).collect();
        out.add_named(key, draft, Some(row.get("owner")?), &target, definition)?;
    }
    Ok(())
}

/// What stands in the parentheses; `None` when a letter is unknown.
fn properties(row: &Record) -> Result<Option<Vec<String>>> {
    let kind = row.letter("kind")?;
    // What CREATE AGGREGATE assumes where nothing is said.
    let usual = if kind == 'n' { 'r' } else { 'w' };
    let mut list = vec![
        format!("SFUNC = {}", row.deparsed("sfunc")?),
        format!("STYPE = {}", row.deparsed("stype")?),
    ];
    let add = |list: &mut Vec<String>, word: &str, column: &str| -> Result<()> {
        if let Some(value) = row.get::<Option<&str>>(column)? {
            list.push(format!("{word} = {value}"));
        }
        Ok(())
    };
    let add_literal = |list: &mut Vec<String>, word: &str, column: &str| -> Result<()> {
        if let Some(value) = row.get::<Option<&str>>(column)? {
            list.push(format!("{word} = {}", ident::literal(value)));
        }
        Ok(())
    };
    let add_final = |list: &mut Vec<String>, word: &str, prefix: &str| -> Result<bool> {
        if row.get::<Option<&str>>(&format!("{prefix}func"))?.is_none() {
            return Ok(true);
        }
        add(list, word, &format!("{prefix}func"))?;
        if row.get(&format!("{prefix}_extra"))? {
            list.push(format!("{word}_EXTRA"));
        }
        let modify = row.letter(&format!("{prefix}_modify"))?;
        let said = match modify {
            'r' => "READ_ONLY",
            's' => "SHAREABLE",
            'w' => "READ_WRITE",
            _ => return Ok(false),
        };
        if modify != usual {
            list.push(format!("{word}_MODIFY = {said}"));
        }
        Ok(true)
    };
    add(&mut list, "SSPACE", "sspace")?;
    add_literal(&mut list, "INITCOND", "initcond")?;
    let mut known = add_final(&mut list, "FINALFUNC", "final")?;
    add(&mut list, "COMBINEFUNC", "combinefunc")?;
    add(&mut list, "SERIALFUNC", "serialfunc")?;
    add(&mut list, "DESERIALFUNC", "deserialfunc")?;
    add(&mut list, "MSFUNC", "msfunc")?;
    add(&mut list, "MINVFUNC", "minvfunc")?;
    add(&mut list, "MSTYPE", "mstype")?;
    add(&mut list, "MSSPACE", "msspace")?;
    add_literal(&mut list, "MINITCOND", "minitcond")?;
    known &= add_final(&mut list, "MFINALFUNC", "mfinal")?;
    add(&mut list, "SORTOP", "sortop")?;
    match row.letter("parallel")? {
        'u' => {}
        's' => list.push(String::from("PARALLEL = SAFE")),
        'r' => list.push(String::from("PARALLEL = RESTRICTED")),
        _ => known = false,
    }
    match kind {
        // An ordered set is told by the ORDER BY among its arguments.
        'n' | 'o' => {}
        'h' => list.push(String::from("HYPOTHETICAL")),
        _ => known = false,
    }
    Ok(known.then_some(list))
}
