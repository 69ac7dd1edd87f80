//! What the archive does not carry, by name; and the guard that nothing is missing in silence.

use super::collection::{Collection, Key};
use super::dependencies::Graph;
use super::relations::Relations;
use super::rows::{self, USER_SCHEMA};
use crate::error::Result;
use crate::model::schema::ObjectClass;
use postgres::Client;

/// Classes that are not carried: each query gives `oid` (null where no row is claimed), `name`, and
/// the `schema` and `relation` that it belongs to, where there is one.
/// Rows below 16384 come from initdb.
fn classes() -> Vec<(ObjectClass, u32, String)> {
    let in_schema = |catalog: &str, prefix: &str, name: &str| {
        format!(
            "SELECT o.oid, n.nspname || '.' || {name} AS name, n.nspname::text AS schema,
                    NULL::text AS relation FROM pg_catalog.{catalog} AS o
             JOIN pg_catalog.pg_namespace AS n ON n.oid = o.{prefix}namespace WHERE {USER_SCHEMA}"
        )
    };
    let outside = |catalog: &str, name: &str| {
        format!(
            "SELECT o.oid, {name} AS name, NULL::text AS schema, NULL::text AS relation
             FROM pg_catalog.{catalog} AS o WHERE o.oid >= 16384"
        )
    };
    let on_relation = |catalog: &str, relation: &str, name: &str, condition: &str| {
        format!(
            "SELECT o.oid, {name} || ' on ' || n.nspname || '.' || c.relname AS name,
                    n.nspname::text AS schema, c.relname::text AS relation
             FROM pg_catalog.{catalog} AS o JOIN pg_catalog.pg_class AS c ON c.oid = o.{relation}
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             WHERE {USER_SCHEMA} AND {condition}"
        )
    };
    let operator = "o.oprname || '(' || CASE o.oprleft WHEN 0 THEN 'NONE'
         ELSE format_type(o.oprleft, NULL) END || ', ' || format_type(o.oprright, NULL) || ')'";
    let cast = "format_type(o.castsource, NULL) || ' AS ' || format_type(o.casttarget, NULL)";
    // The casts of range types to multiranges come with them.
    let cast = format!(
        "{} AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
             WHERE d.classid = 2605 AND d.objid = o.oid AND d.deptype = 'i')",
        outside("pg_cast", cast)
    );
    let transform = "format_type(o.trftype, NULL) || ' for ' ||
         (SELECT l.lanname FROM pg_catalog.pg_language AS l WHERE l.oid = o.trflang)";
    let by_access_method = |name: &str, method: &str| {
        format!(
            "{name} || ' using ' || (SELECT am.amname FROM pg_catalog.pg_am AS am \
             WHERE am.oid = o.{method})"
        )
    };
    let opclass = by_access_method("o.opcname", "opcmethod");
    let opfamily = by_access_method("o.opfname", "opfmethod");
    let defaults = "SELECT NULL::pg_catalog.oid AS oid, 'for ' || pg_get_userbyid(d.defaclrole)
         || coalesce(' in ' || n.nspname, '') || ' on ' || d.defaclobjtype::text AS name,
             n.nspname::text AS schema, NULL::text AS relation
         FROM pg_catalog.pg_default_acl AS d
         LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace";
    let label = "SELECT NULL::pg_catalog.oid AS oid, l.provider || ' on '
             || pg_describe_object(l.classoid, l.objoid, l.objsubid) AS name,
             n.nspname::text AS schema, c.relname::text AS relation
         FROM pg_catalog.pg_seclabel AS l
         LEFT JOIN pg_catalog.pg_class AS c ON l.classoid = 1259 AND c.oid = l.objoid
         LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
         UNION ALL
         SELECT NULL, l.provider || ' on the database', NULL, NULL FROM pg_catalog.pg_shseclabel AS l
         JOIN pg_catalog.pg_database AS d ON d.oid = l.objoid AND l.classoid = 1262
         WHERE d.datname = current_database()";
    let setting = "SELECT NULL::pg_catalog.oid AS oid, split_part(setting, '=', 1)
             || CASE WHEN s.setrole <> 0 THEN ' for ' || pg_get_userbyid(s.setrole) ELSE '' END
             AS name, NULL::text AS schema, NULL::text AS relation
         FROM pg_catalog.pg_db_role_setting AS s
         JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
         CROSS JOIN unnest(s.setconfig) AS setting
         WHERE d.datname = current_database()";
    let subscription = "SELECT NULL::pg_catalog.oid AS oid, s.subname::text AS name,
             NULL::text AS schema, NULL::text AS relation
         FROM pg_catalog.pg_subscription AS s
         JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
         WHERE d.datname = current_database()";
    let mapping = "SELECT NULL::pg_catalog.oid AS oid, m.usename || ' on ' || m.srvname AS name,
             NULL::text AS schema, NULL::text AS relation
         FROM pg_catalog.pg_user_mappings AS m";
    let row_security = format!(
        "SELECT NULL::pg_catalog.oid AS oid, n.nspname || '.' || c.relname AS name,
             n.nspname::text AS schema, c.relname::text AS relation
         FROM pg_catalog.pg_class AS c
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
         WHERE (c.relrowsecurity OR c.relforcerowsecurity) AND {USER_SCHEMA}"
    );
    let statistics = format!(
        "SELECT o.oid, sn.nspname || '.' || o.stxname AS name, n.nspname::text AS schema,
             c.relname::text AS relation
         FROM pg_catalog.pg_statistic_ext AS o
         JOIN pg_catalog.pg_namespace AS sn ON sn.oid = o.stxnamespace
         JOIN pg_catalog.pg_class AS c ON c.oid = o.stxrelid
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE {USER_SCHEMA}"
    );
    use ObjectClass as Class;
    vec![
        (Class::AccessMethod, 2601, outside("pg_am", "o.amname")),
        (Class::Cast, 2605, cast),
        (Class::Collation, 3456, in_schema("pg_collation", "coll", "o.collname")),
        (Class::Conversion, 2607, in_schema("pg_conversion", "con", "o.conname")),
        (Class::DatabaseSetting, 0, setting.to_owned()),
        (Class::DefaultPrivileges, 0, defaults.to_owned()),
        (Class::EventTrigger, 3466, outside("pg_event_trigger", "o.evtname")),
        (Class::ExtendedStatistics, 3381, statistics),
        (Class::ForeignDataWrapper, 2328, outside("pg_foreign_data_wrapper", "o.fdwname")),
        (Class::ForeignServer, 1417, outside("pg_foreign_server", "o.srvname")),
        (Class::Language, 2612, outside("pg_language", "o.lanname")),
        (Class::Operator, 2617, in_schema("pg_operator", "opr", operator)),
        (Class::OperatorClass, 2616, in_schema("pg_opclass", "opc", &opclass)),
        (Class::OperatorFamily, 2753, in_schema("pg_opfamily", "opf", &opfamily)),
        (Class::Policy, 3256, on_relation("pg_policy", "polrelid", "o.polname", "true")),
        (Class::Publication, 6104, outside("pg_publication", "o.pubname")),
        (Class::RowSecurity, 0, row_security),
        (
            Class::Rule,
            2618,
            on_relation("pg_rewrite", "ev_class", "o.rulename", "o.rulename <> '_RETURN'"),
        ),
        (Class::SecurityLabel, 0, label.to_owned()),
        (Class::Subscription, 0, subscription.to_owned()),
        (Class::TextSearchConfiguration, 3602, in_schema("pg_ts_config", "cfg", "o.cfgname")),
        (Class::TextSearchDictionary, 3600, in_schema("pg_ts_dict", "dict", "o.dictname")),
        (Class::TextSearchParser, 3601, in_schema("pg_ts_parser", "prs", "o.prsname")),
        (Class::TextSearchTemplate, 3764, in_schema("pg_ts_template", "tmpl", "o.tmplname")),
        (Class::Transform, 3576, outside("pg_transform", transform)),
        (Class::UserMapping, 0, mapping.to_owned()),
    ]
}

/// Reports every object of a class that is not carried; members of extensions come with those.
pub(super) fn collect(
    client: &mut Client,
    out: &mut Collection,
    graph: &Graph,
    relations: &Relations,
) -> Result<()> {
    // These names are for people, who do not write quotes around everything.
    quote_all(client, "off")?;
    for (class, catalog, sql) in classes() {
        for row in rows::query(client, &class.to_string(), &format!("{sql} ORDER BY 2"))? {
            let key = row.get::<Option<u32>>("oid")?.map(|oid| Key { catalog, oid });
            if key.is_none_or(|key| graph.extension_of(key).is_none()) {
                let (schema, relation) = (row.get("schema")?, row.get("relation")?);
                out.leave_out_of(class, key, row.get::<&str>("name")?, schema, relation);
            }
        }
    }
    quote_all(client, "on")?;
    for relation in relations.of_kind(&['f']) {
        let (name, key) = (relation.name.to_string(), Some(relation.key()));
        out.leave_out_on(&relation.name, ObjectClass::ForeignTable, key, name);
    }
    Ok(())
}

fn quote_all(client: &mut Client, state: &str) -> Result<()> {
    let sql = format!("SELECT set_config('quote_all_identifiers', '{state}', true)");
    rows::query(client, "names", &sql).map(drop)
}

/// Makes sure that every row a user made is made by an object, comes with an extension, or has
/// been reported; what is left is of a kind that this version does not know, and is reported too.
pub(super) fn guard(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    // Rows that only exist as parts of others are left out here: array types and rowtypes,
    // the functions of range types, the triggers behind foreign keys, TOAST tables.
    let sql = "SELECT o.catalog, o.oid, o.whole_catalog, o.whole FROM (
            SELECT 1259::oid AS catalog, c.oid, c.relnamespace AS namespace,
                   1259::oid AS whole_catalog, coalesce(i.indrelid, c.oid) AS whole
            FROM pg_catalog.pg_class AS c
            LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
            UNION ALL
            SELECT 1255, p.oid, p.pronamespace, 1255, p.oid FROM pg_catalog.pg_proc AS p
            WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                WHERE d.classid = 1255 AND d.objid = p.oid AND d.deptype = 'i')
            UNION ALL
            SELECT 1247, t.oid, t.typnamespace, 1247, t.oid FROM pg_catalog.pg_type AS t
            LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
            WHERE t.typtype <> 'm' AND (t.typrelid = 0 OR c.relkind = 'c')
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.typarray = t.oid)
            UNION ALL
            SELECT 2606, con.oid, con.connamespace,
                   CASE WHEN con.conrelid <> 0 THEN 1259 ELSE 1247 END,
                   CASE WHEN con.conrelid <> 0 THEN con.conrelid ELSE con.contypid END
            FROM pg_catalog.pg_constraint AS con
            UNION ALL
            SELECT 2604, d.oid, c.relnamespace, 1259, c.oid FROM pg_catalog.pg_attrdef AS d
            JOIN pg_catalog.pg_class AS c ON c.oid = d.adrelid
            UNION ALL
            SELECT 2620, t.oid, c.relnamespace, 1259, c.oid FROM pg_catalog.pg_trigger AS t
            JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
            UNION ALL
            SELECT 2618, r.oid, c.relnamespace, 1259, c.oid FROM pg_catalog.pg_rewrite AS r
            JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
            UNION ALL
            SELECT 2615, n.oid, n.oid, 2615, n.oid FROM pg_catalog.pg_namespace AS n
            UNION ALL
            SELECT 3079, e.oid, e.extnamespace, 3079, e.oid FROM pg_catalog.pg_extension AS e
         ) AS o
         JOIN pg_catalog.pg_namespace AS n ON n.oid = o.namespace
         WHERE o.oid >= 16384 AND n.nspname !~ '^pg_(toast|temp)'
         ORDER BY o.catalog, o.oid";
    let mut missing = Vec::new();
    for row in rows::query(client, "completeness", sql)? {
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
