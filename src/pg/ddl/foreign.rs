//! Foreign-data wrappers, servers and user mappings. Foreign tables are among the tables.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::rows;
use crate::error::Result;
use crate::model::name::QualifiedName;
use crate::model::schema::{ObjectClass, SchemaObject};
use crate::pg::client::Client;
use crate::pg::ident;

/// Collects wrappers, servers and user mappings.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    collect_wrappers(client, out, graph)?;
    collect_servers(client, out, graph)?;
    collect_mappings(client, out, graph)
}

/// ` OPTIONS (…)` of what the catalogs keep as `name=value`; nothing for none.
pub(super) fn options(options: &[String]) -> String {
    if options.is_empty() {
        return String::new();
    }
    let options: Vec<String> = options
        .iter()
        .map(|option| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            format!("{} {}", ident::quote(name), ident::literal(value))
        })
        .collect();
    format!(" OPTIONS ({})", options.join(", "))
}

fn collect_wrappers(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = "SELECT w.oid, w.fdwname::text AS name, pg_get_userbyid(w.fdwowner)::text AS owner,
                hn.nspname::text AS handler_schema, h.proname::text AS handler,
                vn.nspname::text AS validator_schema, v.proname::text AS validator,
                coalesce(w.fdwoptions, '{}') AS options
         FROM pg_catalog.pg_foreign_data_wrapper AS w
         LEFT JOIN pg_catalog.pg_proc AS h ON h.oid = w.fdwhandler
         LEFT JOIN pg_catalog.pg_namespace AS hn ON hn.oid = h.pronamespace
         LEFT JOIN pg_catalog.pg_proc AS v ON v.oid = w.fdwvalidator
         LEFT JOIN pg_catalog.pg_namespace AS vn ON vn.oid = v.pronamespace
         WHERE w.oid >= 16384 ORDER BY w.fdwname";
    for row in rows::query(client, "foreign-data wrappers", sql)? {
        let key = Key::wrapper(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let name: &str = row.get("name")?;
        let target = format!("FOREIGN DATA WRAPPER {}", ident::quote(name));
        let mut sql = format!("CREATE {target}");
        for (word, column) in [("HANDLER", "handler"), ("VALIDATOR", "validator")] {
            if let (Some(schema), Some(function)) = (
                row.get::<Option<&str>>(&format!("{column}_schema"))?,
                row.get::<Option<&str>>(column)?,
            ) {
                let function = ident::quote_qualified(&QualifiedName::new(schema, function));
                sql.push_str(&format!(" {word} {function}"));
            }
        }
        sql.push_str(&options(&row.get::<Vec<String>>("options")?));
        let draft = Draft::new(ObjectClass::ForeignDataWrapper, None, name)
            .define(sql)
            .owned_by(row.get("owner")?, &target);
        let draft = out.add(key, draft)?;
        out.commentable(key, draft, target);
    }
    Ok(())
}

fn collect_servers(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = "SELECT s.oid, s.srvname::text AS name, pg_get_userbyid(s.srvowner)::text AS owner,
                w.fdwname::text AS wrapper, s.srvtype AS type, s.srvversion AS version,
                coalesce(s.srvoptions, '{}') AS options
         FROM pg_catalog.pg_foreign_server AS s
         JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
         WHERE s.oid >= 16384 ORDER BY s.srvname";
    for row in rows::query(client, "foreign servers", sql)? {
        let key = Key::server(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let name: &str = row.get("name")?;
        let target = format!("SERVER {}", ident::quote(name));
        let mut sql = format!("CREATE {target}");
        for (word, column) in [("TYPE", "type"), ("VERSION", "version")] {
            if let Some(text) = row.get::<Option<&str>>(column)? {
                sql.push_str(&format!(" {word} {}", ident::literal(text)));
            }
        }
        let wrapper = ident::quote(row.get("wrapper")?);
        let options = options(&row.get::<Vec<String>>("options")?);
        sql.push_str(&format!("{OF_WRAPPER}{wrapper}{options}"));
        let draft = Draft::new(ObjectClass::ForeignServer, None, name)
            .define(sql)
            .owned_by(row.get("owner")?, &target);
        let draft = out.add(key, draft)?;
        out.commentable(key, draft, target);
    }
    Ok(())
}

const OF_WRAPPER: &str = " FOREIGN DATA WRAPPER ";

/// The wrapper of a foreign server, out of the statement that [`collect_servers`] has written.
pub(crate) fn wrapper_of(server: &SchemaObject) -> Option<String> {
    let before = format!("CREATE SERVER {}", ident::quote(&server.name));
    let sql = server.statements.iter().find_map(|one| one.sql.strip_prefix(&before))?;
    // Type and version come before it, as strings: every other piece is inside of one.
    let mut start = 0;
    for (position, piece) in sql.split('\'').enumerate() {
        if position % 2 == 0
            && let Some(found) = piece.find(OF_WRAPPER)
        {
            let name = sql[start + found + OF_WRAPPER.len()..].strip_prefix('"')?;
            let end = name.replace("\"\"", "  ").find('"')?;
            return Some(name[..end].replace("\"\"", "\""));
        }
        start += piece.len() + 1;
    }
    None
}

/// The options of a mapping hold passwords. The catalog itself shows them to superusers and to
/// those who read all data, and a view to each role its own. A mapping whose options may have been
/// withheld is reported, since without them it would connect as somebody else, or not at all.
fn collect_mappings(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let all = "SELECT m.oid, s.oid AS server_oid, s.srvname::text AS server,
                CASE WHEN m.umuser <> 0 THEN pg_get_userbyid(m.umuser)::text END AS role,
                coalesce(m.umoptions, '{}') AS options, true AS visible
         FROM pg_catalog.pg_user_mapping AS m
         JOIN pg_catalog.pg_foreign_server AS s ON s.oid = m.umserver
         WHERE m.oid >= 16384 ORDER BY s.srvname, role";
    // The view's own condition.
    let own = "SELECT m.umid AS oid, s.oid AS server_oid, s.srvname::text AS server,
                CASE WHEN m.umuser <> 0 THEN m.usename::text END AS role,
                coalesce(m.umoptions, '{}') AS options,
                CASE WHEN m.umuser = 0 THEN pg_has_role(s.srvowner, 'USAGE')
                     ELSE m.usename = current_user AND (pg_has_role(s.srvowner, 'USAGE')
                       OR has_server_privilege(s.oid, 'USAGE')) END AS visible
         FROM pg_catalog.pg_user_mappings AS m
         JOIN pg_catalog.pg_foreign_server AS s ON s.oid = m.srvid
         WHERE m.umid >= 16384 ORDER BY s.srvname, role";
    let privilege = "SELECT has_table_privilege('pg_catalog.pg_user_mapping', 'SELECT') AS all";
    let mut sql = own;
    for row in rows::query(client, "the right to read user mappings", privilege)? {
        sql = if row.get("all")? { all } else { own };
    }
    for row in rows::query(client, "user mappings", sql)? {
        let key = Key::user_mapping(row.get("oid")?);
        let server: &str = row.get("server")?;
        let role: Option<String> = row.get("role")?;
        let name = format!("{} on {server}", role.as_deref().unwrap_or("PUBLIC"));
        if !row.get::<bool>("visible")? {
            let text = format!("{name}, whose options this role may not see");
            out.leave_out(ObjectClass::UserMapping, Some(key), text);
            continue;
        }
        let server_key = Key::server(row.get("server_oid")?);
        // The script of an extension may make a mapping, which is then no member of it.
        let of_extension = graph.extension_of(server_key).is_some();
        let sql = format!(
            "CREATE USER MAPPING {}FOR {} SERVER {}{}",
            if of_extension { "IF NOT EXISTS " } else { "" },
            role.as_deref().map_or_else(|| String::from("PUBLIC"), ident::quote),
            ident::quote(server),
            options(&row.get::<Vec<String>>("options")?)
        );
        let draft = Draft::new(ObjectClass::UserMapping, None, name).define(sql).needs(server_key);
        out.add(key, draft)?;
    }
    Ok(())
}
