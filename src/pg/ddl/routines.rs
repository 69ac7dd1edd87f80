//! What functions and procedures are, property by property. What makes them is the server's own text,
//! which says all of it at once.

use super::collection::{Collection, Key};
use super::rows::{self, Record, USER_SCHEMA, since};
use crate::error::Result;
use crate::model::catalog::{Description, Property};
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;

/// What 14 and later give for the arguments of a procedure; OUT is not known before.
const ARGUMENTS_OF_13: &str =
    "CASE WHEN p.prokind <> 'p' THEN pg_get_function_arguments(p.oid) ELSE (
        SELECT coalesce(string_agg(
            CASE arg.mode WHEN 'b' THEN 'INOUT ' WHEN 'v' THEN 'VARIADIC ' ELSE 'IN ' END
            || coalesce(quote_ident(nullif(arg.name, '')) || ' ', '') || format_type(arg.type, NULL)
            || coalesce(' DEFAULT ' || pg_get_function_arg_default(p.oid, arg.position::int), ''),
            ', ' ORDER BY arg.position), '')
        FROM unnest(coalesce(p.proallargtypes, p.proargtypes::pg_catalog.oid[]), p.proargmodes,
                    p.proargnames) WITH ORDINALITY AS arg(type, mode, name, position)) END";

/// Says of every routine that has been collected what it is.
pub(super) fn describe(client: &mut Client, major: u32, out: &mut Collection) -> Result<()> {
    // Before 14 the server does not say IN for a procedure's arguments.
    let arguments = since(major, 14, "pg_get_function_arguments(p.oid)", ARGUMENTS_OF_13);
    let body = since(major, 14, "pg_get_function_sqlbody(p.oid)", "NULL::pg_catalog.text");
    let sql = format!(
        "SELECT p.oid, l.lanname::text AS language, {arguments} AS arguments,
                pg_get_function_result(p.oid) AS result, p.prokind = 'w' AS is_window,
                p.provolatile::text AS volatility, p.proisstrict AS is_strict,
                p.prosecdef AS security_definer, p.proleakproof AS is_leakproof,
                p.proparallel::text AS parallel,
                CASE WHEN p.procost <> CASE WHEN l.lanname IN ('internal', 'c') THEN 1 ELSE 100 END
                     THEN p.procost::text END AS cost,
                CASE WHEN p.prorows <> CASE WHEN p.proretset THEN 1000 ELSE 0 END
                     THEN p.prorows::text END AS rows,
                nullif(p.prosupport::pg_catalog.oid, 0)::pg_catalog.regproc::text AS support,
                ARRAY(SELECT format_type(t.type, NULL)
                      FROM unnest(p.protrftypes) WITH ORDINALITY AS t(type, position)
                      ORDER BY t.position) AS transforms,
                coalesce(p.proconfig, '{{}}') AS settings, p.probin AS library,
                coalesce({body}, p.prosrc) AS body
         FROM pg_catalog.pg_proc AS p
         JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
         JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
         WHERE {USER_SCHEMA} AND p.prokind IN ('f', 'p', 'w')"
    );
    for row in rows::query(client, "routines", &sql)? {
        let Some(draft) = out.maker(Key::function(row.get("oid")?)) else { continue };
        if matches!(out.object(draft).class, ObjectClass::Function | ObjectClass::Procedure) {
            describe_one(out.described(draft), &row)?;
        }
    }
    Ok(())
}

fn describe_one(description: &mut Description, row: &Record) -> Result<()> {
    let volatility = match row.letter("volatility")? {
        'i' => Some("immutable"),
        's' => Some("stable"),
        _ => None,
    };
    let parallel = match row.letter("parallel")? {
        's' => Some("safe"),
        'r' => Some("restricted"),
        _ => None,
    };
    let list = |column: &str| -> Result<Option<Vec<String>>> {
        let items: Vec<String> = row.get(column)?;
        Ok((!items.is_empty()).then_some(items))
    };
    description
        .set(Property::Language, row.get::<&str>("language")?)
        .set(Property::Arguments, row.deparsed("arguments")?)
        .set_some(Property::Returns, row.get::<Option<&str>>("result")?)
        .set_if(Property::Window, row.get("is_window")?)
        .set_some(Property::Volatility, volatility)
        .set_if(Property::Strict, row.get("is_strict")?)
        .set_if(Property::SecurityDefiner, row.get("security_definer")?)
        .set_if(Property::Leakproof, row.get("is_leakproof")?)
        .set_some(Property::Parallel, parallel)
        .set_some(Property::Cost, row.get::<Option<&str>>("cost")?)
        .set_some(Property::Rows, row.get::<Option<&str>>("rows")?)
        .set_some(Property::Support, row.get::<Option<&str>>("support")?)
        .set_some(Property::Transforms, list("transforms")?)
        .set_some(Property::Settings, list("settings")?)
        .set_some(Property::Library, row.get::<Option<&str>>("library")?)
        .set(Property::Body, row.deparsed("body")?);
    Ok(())
}
