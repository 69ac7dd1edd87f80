//! The guard that nothing is missing in silence.

use super::collection::{Collection, Key};
use super::dependencies::Graph;
use super::rows;
use crate::error::Result;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;

/// Makes sure that every row a user made is made by an object, comes with one or with an
/// extension, or has been reported; what is left is of a kind that this version does not know,
/// and is reported too.
pub(super) fn check(
    client: &mut Client,
    major: u32,
    out: &mut Collection,
    graph: &Graph,
) -> Result<()> {
    // Rows below 16384 come from initdb.
    let sql = format!(
        "SELECT o.catalog, o.oid, o.whole_catalog, o.whole
         FROM ({}) AS o(catalog, oid, namespace, whole_catalog, whole)
         LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = o.namespace
         WHERE o.oid >= 16384 AND coalesce(n.nspname, '') !~ '^pg_(toast|temp)'
         ORDER BY o.catalog, o.oid",
        parts(major).join("\n UNION ALL ")
    );
    let mut missing = Vec::new();
    for row in rows::stream(client, "completeness", &sql)? {
        let row = row?;
        let key = Key { catalog: row.get("catalog")?, oid: row.get("oid")? };
        let whole = Key { catalog: row.get("whole_catalog")?, oid: row.get("whole")? };
        let known = out.accounts_for(key)
            || graph.extension_of(key).is_some()
            || graph.extension_of(whole).is_some()
            || out.is_left_out(whole);
        if !known {
            missing.push(format!("({}::pg_catalog.oid, {}::pg_catalog.oid)", key.catalog, key.oid));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT coalesce(pg_describe_object(o.catalog, o.oid, 0), '?') AS name
         FROM (VALUES {}) AS o(catalog, oid)",
        missing.join(", ")
    );
    for row in rows::query(client, "unknown objects", &sql)? {
        out.leave_out(ObjectClass::Unknown, None, row.get::<&str>("name")?);
    }
    Ok(())
}

/// Catalogs whose rows lie in a schema.
const IN_SCHEMA: [(u32, &str, &str); 11] = [
    (2607, "pg_conversion", "connamespace"),
    (2616, "pg_opclass", "opcnamespace"),
    (2617, "pg_operator", "oprnamespace"),
    (2753, "pg_opfamily", "opfnamespace"),
    (3079, "pg_extension", "extnamespace"),
    (3456, "pg_collation", "collnamespace"),
    (3600, "pg_ts_dict", "dictnamespace"),
    (3601, "pg_ts_parser", "prsnamespace"),
    (3602, "pg_ts_config", "cfgnamespace"),
    (3764, "pg_ts_template", "tmplnamespace"),
    (2615, "pg_namespace", "oid"),
];

/// Catalogs whose rows lie in none.
const OUTSIDE: [(u32, &str); 7] = [
    (1417, "pg_foreign_server"),
    (2328, "pg_foreign_data_wrapper"),
    (2601, "pg_am"),
    (2612, "pg_language"),
    (3466, "pg_event_trigger"),
    (3576, "pg_transform"),
    (6104, "pg_publication"),
];

/// Catalogs whose rows belong to a row of another one: catalog, name, column; and that one's
/// number, name, and column of the schema.
const OF_ANOTHER: [(u32, &str, &str, u32, &str, &str); 6] = [
    (2604, "pg_attrdef", "adrelid", 1259, "pg_class", "relnamespace"),
    (2618, "pg_rewrite", "ev_class", 1259, "pg_class", "relnamespace"),
    (3256, "pg_policy", "polrelid", 1259, "pg_class", "relnamespace"),
    (3381, "pg_statistic_ext", "stxrelid", 1259, "pg_class", "relnamespace"),
    // Members of families are no members of extensions: each is decided on by itself.
    (2602, "pg_amop", "amopfamily", 0, "pg_opfamily", "opfnamespace"),
    (2603, "pg_amproc", "amprocfamily", 0, "pg_opfamily", "opfnamespace"),
];

/// Queries for the catalog of a row, the row, its schema or 0, and the catalog and row of what it
/// is a part of. Rows that only exist as parts of others are left out: array types and rowtypes,
/// the functions and casts of range types, the triggers behind foreign keys, TOAST tables. Of a
/// composite type that an extension makes, the type is the member, and not the relation behind it.
fn parts(major: u32) -> Vec<String> {
    let not_internal = |catalog: u32| {
        format!(
            "NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                 WHERE d.classid = {catalog} AND d.objid = x.oid AND d.deptype = 'i')"
        )
    };
    let mut parts = vec![
        String::from(
            "SELECT 1259::oid, x.oid, x.relnamespace,
                    CASE WHEN x.relkind = 'c' THEN 1247::oid ELSE 1259::oid END,
                    CASE WHEN x.relkind = 'c' THEN x.reltype ELSE coalesce(i.indrelid, x.oid) END
             FROM pg_catalog.pg_class AS x
             LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = x.oid",
        ),
        format!(
            "SELECT 1255, x.oid, x.pronamespace, 1255, x.oid FROM pg_catalog.pg_proc AS x
             WHERE {}",
            not_internal(1255)
        ),
        String::from(
            "SELECT 1247, x.oid, x.typnamespace, 1247, x.oid FROM pg_catalog.pg_type AS x
             LEFT JOIN pg_catalog.pg_class AS c ON c.oid = x.typrelid
             WHERE x.typtype <> 'm' AND (x.typrelid = 0 OR c.relkind = 'c')
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.typarray = x.oid)",
        ),
        String::from(
            "SELECT 2606, x.oid, x.connamespace,
                    CASE WHEN x.conrelid <> 0 THEN 1259 ELSE 1247 END,
                    CASE WHEN x.conrelid <> 0 THEN x.conrelid ELSE x.contypid END
             FROM pg_catalog.pg_constraint AS x",
        ),
        String::from(
            "SELECT 2620, x.oid, c.relnamespace, 1259, c.oid FROM pg_catalog.pg_trigger AS x
             JOIN pg_catalog.pg_class AS c ON c.oid = x.tgrelid WHERE NOT x.tgisinternal",
        ),
        format!(
            "SELECT 2605, x.oid, 0, 2605, x.oid FROM pg_catalog.pg_cast AS x WHERE {}",
            not_internal(2605)
        ),
        String::from(
            "SELECT 6106, x.oid, 0, 6104, x.prpubid FROM pg_catalog.pg_publication_rel AS x",
        ),
        String::from("SELECT 1418, x.umid, 0, 1418, x.umid FROM pg_catalog.pg_user_mappings AS x"),
    ];
    if major >= 15 {
        parts.push(String::from(
            "SELECT 6237, x.oid, 0, 6104, x.pnpubid FROM pg_catalog.pg_publication_namespace AS x",
        ));
    }
    parts.extend(IN_SCHEMA.map(|(number, catalog, namespace)| {
        format!(
            "SELECT {number}, x.oid, x.{namespace}, {number}, x.oid FROM pg_catalog.{catalog} AS x"
        )
    }));
    parts.extend(OUTSIDE.map(|(number, catalog)| {
        format!("SELECT {number}, x.oid, 0, {number}, x.oid FROM pg_catalog.{catalog} AS x")
    }));
    parts.extend(OF_ANOTHER.map(|(number, catalog, column, whole, of, namespace)| {
        format!(
            "SELECT {number}, x.oid, w.{namespace}, {whole}, w.oid FROM pg_catalog.{catalog} AS x
             JOIN pg_catalog.{of} AS w ON w.oid = x.{column}"
        )
    }));
    parts
}
