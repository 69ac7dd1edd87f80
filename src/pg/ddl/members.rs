//! What the members of extensions are. The catalogs do not say what an extension's script made and what
//! a user has changed since; a database in which the extension has just been created does.

use super::rows;
use crate::error::Result;
use crate::pg::client::Client;
use std::collections::BTreeMap;

/// Characters of a detail that is kept as it is; of a longer one there is a digest.
const SHORT: usize = 100;

/// Extensions, members, and the members' parts, each with what tells it from another one of its name.
/// Types that come with relations, ranges and other types are left out, and so are NOT NULL constraints,
/// which columns say.
const MEMBERS: &str = "
WITH e AS MATERIALIZED (
    SELECT x.oid, x.extname::text AS name, x.extowner AS owner,
           coalesce(x.extconfig, '{}') AS config
    FROM pg_catalog.pg_extension AS x WHERE x.oid >= 16384
), m AS MATERIALIZED (
    SELECT e.oid AS extension, d.classid, d.objid
    FROM e JOIN pg_catalog.pg_depend AS d
      ON d.refclassid = 3079 AND d.refobjid = e.oid AND d.deptype = 'e'
), t AS MATERIALIZED (
    SELECT m.extension, c.* FROM m JOIN pg_catalog.pg_class AS c ON c.oid = m.objid
    WHERE m.classid = 1259
    UNION ALL
    SELECT m.extension, c.* FROM m JOIN pg_catalog.pg_type AS y ON y.oid = m.objid
    JOIN pg_catalog.pg_class AS c ON c.oid = y.typrelid AND c.relkind = 'c'
    WHERE m.classid = 1247
), p AS MATERIALIZED (
    SELECT m.extension, m.classid, m.objid, 0 AS sub, '' AS detail, NULL::oid AS owner FROM m
    WHERE m.classid NOT IN (1247, 1255, 1259, 2618)
    UNION ALL
    SELECT m.extension, 1255, f.oid, 0,
           CASE WHEN f.prokind <> 'a' THEN pg_get_functiondef(f.oid) ELSE '' END, f.proowner
    FROM m JOIN pg_catalog.pg_proc AS f ON f.oid = m.objid WHERE m.classid = 1255
    UNION ALL
    SELECT m.extension, 1247, y.oid, 0, concat_ws(' ',
               CASE WHEN y.typtype = 'd' THEN format_type(y.typbasetype, y.typtypmod) END,
               CASE WHEN y.typnotnull THEN 'not null' END, y.typdefault,
               (SELECT string_agg(quote_literal(l.enumlabel), ', ' ORDER BY l.enumsortorder)
                FROM pg_catalog.pg_enum AS l WHERE l.enumtypid = y.oid)), y.typowner
    FROM m JOIN pg_catalog.pg_type AS y ON y.oid = m.objid
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid = y.typrelid
    WHERE m.classid = 1247 AND y.typtype <> 'm' AND (y.typrelid = 0 OR c.relkind = 'c')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS a WHERE a.typarray = y.oid)
    UNION ALL
    SELECT t.extension, 1259, t.oid, 0, concat_ws(', ',
               CASE t.relpersistence WHEN 'u' THEN 'unlogged' END,
               CASE t.relreplident WHEN 'f' THEN 'replica identity full'
                                   WHEN 'i' THEN 'replica identity by index' END,
               array_to_string(t.reloptions, ', '),
               CASE WHEN t.relrowsecurity THEN 'row security' END,
               CASE WHEN t.relforcerowsecurity THEN 'forced row security' END,
               CASE WHEN t.relkind IN ('v', 'm') THEN pg_get_viewdef(t.oid) END,
               (SELECT concat_ws(' ', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement,
                                 s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
                FROM pg_catalog.pg_sequence AS s WHERE s.seqrelid = t.oid)), t.relowner
    FROM t WHERE t.relkind <> 'c'
    UNION ALL
    SELECT t.extension, 1259, t.oid, a.attnum, concat_ws(' ',
               format_type(a.atttypid, a.atttypmod),
               CASE WHEN a.attnotnull THEN 'not null' END,
               CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity' END,
               CASE WHEN a.attgenerated <> '' THEN 'generated' WHEN d.oid IS NOT NULL THEN 'default' END,
               pg_get_expr(d.adbin, d.adrelid), array_to_string(a.attoptions, ', ')), NULL
    FROM t JOIN pg_catalog.pg_attribute AS a
      ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE t.relkind IN ('r', 'p', 'f', 'v', 'm', 'c')
    UNION ALL
    SELECT t.extension, 1259, i.indexrelid, 0, pg_get_indexdef(i.indexrelid), NULL
    FROM t JOIN pg_catalog.pg_index AS i ON i.indrelid = t.oid
    UNION ALL
    SELECT t.extension, 2606, k.oid, 0, pg_get_constraintdef(k.oid), NULL
    FROM t JOIN pg_catalog.pg_constraint AS k
      ON k.conrelid = t.oid AND k.conparentid = 0 AND k.contype IN ('c', 'f', 'p', 'u', 'x')
    UNION ALL
    SELECT m.extension, 2606, k.oid, 0, pg_get_constraintdef(k.oid), NULL
    FROM m JOIN pg_catalog.pg_constraint AS k ON k.contypid = m.objid AND k.contype = 'c'
    WHERE m.classid = 1247
    UNION ALL
    SELECT t.extension, 2620, g.oid, 0,
           concat_ws(' ', nullif(g.tgenabled::text, 'O'), pg_get_triggerdef(g.oid)), NULL
    FROM t JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal
    UNION ALL
    SELECT t.extension, 2618, r.oid, 0,
           concat_ws(' ', nullif(r.ev_enabled::text, 'O'), pg_get_ruledef(r.oid)), NULL
    FROM t JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = t.oid AND r.ev_type <> '1'
    UNION ALL
    SELECT t.extension, 3256, o.oid, 0, concat_ws(' ', o.polcmd,
               CASE WHEN o.polpermissive THEN 'permissive' ELSE 'restrictive' END,
               (SELECT string_agg(CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r)::text END, ',')
                FROM unnest(o.polroles) AS r),
               pg_get_expr(o.polqual, o.polrelid), pg_get_expr(o.polwithcheck, o.polrelid)), NULL
    FROM t JOIN pg_catalog.pg_policy AS o ON o.polrelid = t.oid
), said AS (
    SELECT p.extension, '' AS about, p.classid, p.objid, p.sub, p.detail FROM p
    UNION ALL
    SELECT p.extension, 'comment on ', p.classid, p.objid, p.sub, d.description
    FROM p JOIN pg_catalog.pg_description AS d
      ON d.classoid = p.classid AND d.objoid = p.objid AND d.objsubid = p.sub
    UNION ALL
    -- A trusted extension's members are the bootstrap superuser's.
    SELECT p.extension, 'owner of ', p.classid, p.objid, p.sub, pg_get_userbyid(p.owner)::text
    FROM p JOIN e ON e.oid = p.extension WHERE p.owner NOT IN (e.owner, 10)
    UNION ALL
    SELECT t.extension, 'position of ', 1259, t.oid, 0,
           CASE WHEN has_sequence_privilege(t.oid, 'USAGE, SELECT')
                THEN coalesce(pg_sequence_last_value(t.oid)::text, 'unused') END
    FROM t JOIN e ON e.oid = t.extension
    WHERE t.relkind = 'S' AND t.relpersistence = 'p' AND t.oid <> ALL (e.config)
)
SELECT e.name AS extension, said.about || i.type || ' ' || i.identity AS name,
       CASE WHEN length(said.detail) <= $SHORT THEN said.detail
            ELSE left(encode(sha256(convert_to(said.detail, getdatabaseencoding())), 'hex'), 16)
       END AS detail
FROM said JOIN e ON e.oid = said.extension,
     LATERAL pg_identify_object(said.classid, said.objid, said.sub) AS i
WHERE said.detail IS NOT NULL AND i.identity IS NOT NULL";

/// Of each extension one line per member, part of one, and what else is to be said of them:
/// `name: detail`, or the name alone. Sorted.
///
/// # Errors
/// The server's.
pub fn read(client: &mut Client) -> Result<BTreeMap<String, Vec<String>>> {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let sql = MEMBERS.replace("$SHORT", &SHORT.to_string());
    for row in rows::stream(client, "members of extensions", &sql)? {
        let row = row?;
        let mut line: String = row.get("name")?;
        let detail: &str = row.get("detail")?;
        if !detail.is_empty() {
            line.push_str(": ");
            line.push_str(detail);
        }
        members.entry(row.get("extension")?).or_default().push(line);
    }
    members.values_mut().for_each(|lines| lines.sort());
    Ok(members)
}
