//! What belongs to the database itself: its comment, its security labels and its settings, in
//! words that fit a database of any name.

use super::collection::{Collection, Draft, Key};
use super::rows;
use crate::error::Result;
use crate::model::catalog::{Address, Property};
use crate::model::schema::{ObjectClass, Purpose, Statement};
use crate::pg::client::Client;
use crate::pg::ident::{literal, quote};
use crate::pg::settings;

/// Stands for the database at hand in a statement for [`on_current_database`]. No name in SQL can
/// look like it, since every name there is in quotes.
pub(super) const CURRENT_DATABASE: &str = "DATABASE %current%";

/// A statement about the database, whatever its name is where the statement runs.
pub(super) fn on_current_database(sql: &str) -> String {
    let Some((before, after)) = sql.split_once(CURRENT_DATABASE) else { return sql.to_owned() };
    let body = format!(
        "BEGIN EXECUTE {} || pg_catalog.quote_ident(pg_catalog.current_database()) || {}; END",
        literal(&format!("{before}DATABASE ")),
        literal(after)
    );
    format!("DO LANGUAGE plpgsql {}", literal(&body))
}

/// Collects the database's comment, labels and settings.
pub(super) fn collect(client: &mut Client, out: &mut Collection) -> Result<()> {
    let sql = "SELECT shobj_description(d.oid, 'pg_database') AS text, d.datname::text AS name
         FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()";
    for row in rows::query(client, "the database's comment", sql)? {
        let Some(text) = row.get::<Option<&str>>("text")? else { continue };
        let name: &str = row.get("name")?;
        let sql = format!("COMMENT ON {CURRENT_DATABASE} IS {}", literal(text));
        let draft = draft(ObjectClass::DatabaseComment, name, Purpose::Comment, &sql);
        let draft = out.add(Key::database(0), draft)?;
        out.describe(draft, Address::database()).set(Property::Comment, text);
    }
    let sql = "SELECT l.provider, l.label, d.datname::text AS name
         FROM pg_catalog.pg_shseclabel AS l
         JOIN pg_catalog.pg_database AS d ON d.oid = l.objoid AND l.classoid = 1262
         WHERE d.datname = current_database() ORDER BY l.provider";
    for row in rows::query(client, "the database's security labels", sql)? {
        let sql = format!(
            "SECURITY LABEL FOR {} ON {CURRENT_DATABASE} IS {}",
            quote(row.get("provider")?),
            literal(row.get("label")?)
        );
        let name: &str = row.get("name")?;
        let draft = draft(ObjectClass::SecurityLabel, name, Purpose::SecurityLabel, &sql);
        let draft = out.add_without_row(draft);
        let label = format!("{}: {}", row.get::<&str>("provider")?, row.get::<&str>("label")?);
        out.describe(draft, Address::database()).add(Property::SecurityLabels, label);
    }
    collect_settings(client, out)
}

/// One object per setting, so that one that the target refuses is one that is missing; each after
/// the one before it, as the catalogs keep them.
fn collect_settings(client: &mut Client, out: &mut Collection) -> Result<()> {
    let sql = "SELECT r.rolname::text AS role, c.item
         FROM pg_catalog.pg_db_role_setting AS s
         JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
         LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
         CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY AS c(item, position)
         WHERE d.datname = current_database() AND (s.setrole = 0 OR r.oid IS NOT NULL)
         ORDER BY r.rolname NULLS FIRST, c.position";
    for (number, row) in (1..).zip(rows::query(client, "the database's settings", sql)?) {
        let (role, item): (Option<&str>, &str) = (row.get("role")?, row.get("item")?);
        let name = item.split_once('=').map_or(item, |(name, _)| name);
        let Some(assignment) = settings::assignment(item) else {
            out.leave_out(ObjectClass::DatabaseSetting, None, item);
            continue;
        };
        let (name, whose) = match role {
            None => (name.to_owned(), format!("ALTER {CURRENT_DATABASE}")),
            Some(role) => (
                format!("{name} for {role}"),
                format!("ALTER ROLE {} IN {CURRENT_DATABASE}", quote(role)),
            ),
        };
        let sql = format!("{whose} SET {assignment}");
        let mut draft = draft(ObjectClass::DatabaseSetting, &name, Purpose::Define, &sql);
        draft.object_mut().owner = role.map(str::to_owned);
        let draft = draft.needs(Key::database_setting(number - 1));
        let draft = out.add(Key::database_setting(number), draft)?;
        out.described(draft).set(Property::Definition, assignment);
    }
    Ok(())
}

fn draft(class: ObjectClass, name: &str, purpose: Purpose, sql: &str) -> Draft {
    let mut draft = Draft::new(class, None, name).after_data();
    let sql = on_current_database(sql);
    draft.object_mut().statements.push(Statement { purpose, sql });
    draft
}
