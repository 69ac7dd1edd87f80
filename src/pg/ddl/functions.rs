//! Functions, procedures and window functions.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::extensions;
use super::rows::{self, USER_SCHEMA, since};
use crate::error::Result;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;

/// The argument types that name a routine `p`, as SQL. Functions are told apart by what goes in,
/// procedures by everything, so there every mode is said; the same text on every version.
pub(crate) const SIGNATURE: &str = "CASE WHEN p.prokind = 'p' THEN (
        SELECT coalesce(string_agg(
            CASE arg.mode WHEN 'o' THEN 'OUT' WHEN 'b' THEN 'INOUT' WHEN 'v' THEN 'VARIADIC'
                          ELSE 'IN' END || ' ' || format_type(arg.type, NULL),
            ', ' ORDER BY arg.position), '')
        FROM unnest(coalesce(p.proallargtypes, p.proargtypes::pg_catalog.oid[]), p.proargmodes)
          WITH ORDINALITY AS arg(type, mode, position))
    ELSE oidvectortypes(p.proargtypes) END";

/// The arguments of a routine `p` that stands in for another: whatever has a default has one.
const PLACEHOLDER_ARGUMENTS: &str = "(
        SELECT coalesce(string_agg(
            CASE arg.mode WHEN 'o' THEN 'OUT ' WHEN 'b' THEN 'INOUT ' WHEN 'v' THEN 'VARIADIC '
                          ELSE '' END
            || coalesce(quote_ident(nullif(arg.name, '')) || ' ', '') || format_type(arg.type, NULL)
            || CASE WHEN pg_get_function_arg_default(p.oid, arg.position::int) IS NULL THEN ''
                    ELSE ' DEFAULT NULL' END,
            ', ' ORDER BY arg.position), '')
        FROM unnest(coalesce(p.proallargtypes, p.proargtypes::pg_catalog.oid[]), p.proargmodes,
                    p.proargnames) WITH ORDINALITY AS arg(type, mode, name, position)
        WHERE arg.mode IS DISTINCT FROM 't')";

/// Collects the routines that users made.
pub(super) fn collect(
    client: &mut Client,
    major: u32,
    out: &mut Collection,
    graph: &Graph,
) -> Result<()> {
    let body = since(major, 14, "p.prosqlbody::text", "NULL::pg_catalog.text");
    let sql = format!(
        "SELECT p.oid, n.nspname::text AS schema, p.proname::text AS name,
                p.prokind::text AS kind, pg_get_userbyid(p.proowner)::text AS owner,
                {SIGNATURE} AS signature, p.provolatile::text AS volatility,
                p.proparallel::text AS parallel,
                CASE WHEN p.prokind IN ('f', 'p', 'w') THEN pg_get_functiondef(p.oid) ELSE '' END
                  AS definition,
                CASE WHEN p.prokind IN ('f', 'p') AND (p.pronargdefaults > 0 OR {body} IS NOT NULL)
                     THEN {PLACEHOLDER_ARGUMENTS} END AS arguments,
                concat({body}, p.proargdefaults::text) LIKE '%:funcid ' || p.oid || ' %' AS calls_itself,
                pg_get_function_result(p.oid) AS result,
                EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                        WHERE d.classid = 1255 AND d.objid = p.oid AND d.deptype = 'i')
                  AS is_internal
         FROM pg_catalog.pg_proc AS p
         JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
         WHERE {USER_SCHEMA}
         ORDER BY n.nspname, p.proname, {SIGNATURE}"
    );
    for row in rows::query(client, "functions", &sql)? {
        let key = Key::function(row.get("oid")?);
        // The constructors of a range type come with it.
        if graph.extension_of(key).is_some() || row.get("is_internal")? {
            continue;
        }
        let (schema, name): (&str, &str) = (row.get("schema")?, row.get("name")?);
        let signature = row.deparsed("signature")?;
        let shown = display_name(name, &signature);
        let known =
            "isv".contains(row.letter("volatility")?) && "sru".contains(row.letter("parallel")?);
        let (class, kind) = match row.letter("kind")? {
            'f' | 'w' if known => (ObjectClass::Function, "FUNCTION"),
            'p' if known => (ObjectClass::Procedure, "PROCEDURE"),
            // Aggregates have more to say.
            'a' => continue,
            letter => {
                let text = format!("routine {schema}.{shown} ({letter})");
                let schema = Some(schema.to_owned());
                out.leave_out_of(ObjectClass::Unknown, Some(key), text, schema, None);
                continue;
            }
        };
        let target = format!("{}.{}({signature})", ident::quote(schema), ident::quote(name));
        let definition = row.deparsed("definition")?;
        let mut draft = Draft::new(class, Some(schema), shown);
        if let Some(arguments) = row.get::<Option<&str>>("arguments")? {
            let name = format!("{}.{}({arguments})", ident::quote(schema), ident::quote(name));
            let result: Option<&str> = row.get("result")?;
            let empty = placeholder(kind, &name, result, row.letter("volatility")?);
            draft = match row.get("calls_itself")? {
                true => draft.define(empty),
                false => draft.placeholder(empty),
            };
        }
        let draft = draft
            .define(definition.trim_end())
            .owned_by(row.get("owner")?, &format!("{kind} {target}"));
        let index = out.add(key, draft)?;
        out.commentable(key, index, format!("{kind} {target}"));
        for extension in graph.marked_extensions(key) {
            extensions::mark(out, index, extension, kind, &target);
        }
    }
    Ok(())
}

/// A routine that does nothing, which may be replaced by the real one: same names and types of arguments,
/// and same result. What calls it while a circle is cut may have to be immutable.
fn placeholder(kind: &str, name: &str, result: Option<&str>, volatility: char) -> String {
    let returns = result.map(|result| format!(" RETURNS {result}")).unwrap_or_default();
    let volatility = if volatility == 'i' { " IMMUTABLE" } else { "" };
    format!("CREATE {kind} {name}{returns} LANGUAGE sql{volatility} AS ''")
}

/// The name for people: the argument types without the quotes that only SQL needs.
pub(crate) fn display_name(name: &str, signature: &str) -> String {
    format!("{name}({})", unquoted(signature))
}

/// Names of types for people.
pub(crate) fn unquoted(types: &str) -> String {
    types.replace("\"pg_catalog\".", "").replace('"', "")
}
