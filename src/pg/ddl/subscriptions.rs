//! Subscriptions: disabled and not connected, since the copy must not take the place of the
//! original at the publisher. The slot keeps its name; which tables have been copied, and the
//! position up to which changes have come, are not carried.

use super::collection::{Collection, Draft, Key};
use super::newer;
use super::rows::{self, Record, since};
use crate::error::Result;
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::client::Client;
use crate::pg::ident;

/// Collects the subscriptions of this database. Where to connect, password included, is shown to
/// superusers and to those who read all data; to others a subscription is no more than a name.
pub(super) fn collect(client: &mut Client, major: u32, out: &mut Collection) -> Result<()> {
    let privilege = "SELECT has_column_privilege(
           'pg_catalog.pg_subscription', 'subconninfo', 'SELECT') AS readable";
    let mut readable = false;
    for row in rows::query(client, "the right to read subscriptions", privilege)? {
        readable = row.get("readable")?;
    }
    let here = "s.subdbid = (SELECT d.oid FROM pg_catalog.pg_database AS d
                             WHERE d.datname = current_database())";
    if !readable {
        let sql = format!(
            "SELECT s.subname::text AS name FROM pg_catalog.pg_subscription AS s
             WHERE {here} ORDER BY 1"
        );
        for row in rows::query(client, "subscriptions", &sql)? {
            let name: &str = row.get("name")?;
            let text = format!("{name}, whose connection this role may not see");
            out.leave_out(ObjectClass::Subscription, None, text);
        }
        return Ok(());
    }
    let (from_14, from_15) =
        (|column| since(major, 14, column, "NULL"), |column| since(major, 15, column, "NULL"));
    let (from_16, from_17) =
        (|column| since(major, 16, column, "NULL"), |column| since(major, 17, column, "NULL"));
    // A state that is neither on nor pending is off; a stream was a boolean before 16.
    let sql = format!(
        "SELECT s.oid, s.subname::text AS name, pg_get_userbyid(s.subowner)::text AS owner,
                s.subconninfo AS connection, s.subslotname::text AS slot,
                s.subsynccommit AS synchronous_commit, s.subpublications AS publications,
                {}::boolean AS binary, left({}::text, 1) AS streaming,
                {}::text AS two_phase, {}::boolean AS disable_on_error,
                {}::boolean AS password_required, {}::boolean AS run_as_owner,
                {}::text AS origin, {}::boolean AS failover
         FROM pg_catalog.pg_subscription AS s WHERE {here} ORDER BY s.subname",
        from_14("s.subbinary"),
        from_14("s.substream"),
        from_15("s.subtwophasestate"),
        from_15("s.subdisableonerr"),
        from_16("s.subpasswordrequired"),
        from_16("s.subrunasowner"),
        from_16("s.suborigin"),
        from_17("s.subfailover"),
    );
    for row in rows::query(client, "subscriptions", &sql)? {
        let (key, name): (Key, &str) = (Key::subscription(row.get("oid")?), row.get("name")?);
        let target = format!("SUBSCRIPTION {}", ident::quote(name));
        let publications: Vec<String> = row.get("publications")?;
        let publications: Vec<String> =
            publications.iter().map(|name| ident::quote(name)).collect();
        let sql = format!(
            "CREATE {target} CONNECTION {} PUBLICATION {} WITH ({})",
            ident::literal(row.get("connection")?),
            publications.join(", "),
            settings(out, name, &row)?
        );
        let draft = Draft::new(ObjectClass::Subscription, None, name)
            .define(sql)
            .owned_by(row.get("owner")?, &target)
            .after_data();
        let draft = out.add(key, draft)?;
        // So that it does on a newer server what it did.
        for (newer, setting) in [(14, "streaming = off"), (16, "run_as_owner = true")] {
            if major < newer {
                let sql = newer::from(newer, &format!("ALTER {target} SET ({setting})"));
                out.push(draft, Statement::define(sql));
            }
        }
        out.commentable(key, draft, target);
    }
    Ok(())
}

fn settings(out: &mut Collection, name: &str, row: &Record) -> Result<String> {
    let mut settings = vec![String::from("connect = false")];
    settings.push(match row.get::<Option<&str>>("slot")? {
        Some(slot) => format!("slot_name = {}", ident::literal(slot)),
        None => String::from("slot_name = NONE"),
    });
    let mut unknown = |what: &str, letter: &str| {
        let text = format!("{what} of subscription {name} ({letter})");
        out.leave_out(ObjectClass::Unknown, None, text);
    };
    match row.get::<Option<&str>>("streaming")? {
        None => {}
        Some("f") => settings.push(String::from("streaming = off")),
        Some("t") => settings.push(String::from("streaming = on")),
        Some("p") => settings.push(String::from("streaming = parallel")),
        Some(letter) => unknown("streaming", letter),
    }
    match row.get::<Option<&str>>("two_phase")? {
        None | Some("d") => {}
        Some("p" | "e") => settings.push(String::from("two_phase = on")),
        Some(letter) => unknown("two-phase state", letter),
    }
    for (column, usual) in [
        ("binary", false),
        ("disable_on_error", false),
        ("password_required", true),
        ("run_as_owner", false),
        ("failover", false),
    ] {
        if let Some(value) = row.get::<Option<bool>>(column)?.filter(|value| *value != usual) {
            settings.push(format!("{column} = {value}"));
        }
    }
    for (column, usual) in [("synchronous_commit", "off"), ("origin", "any")] {
        if let Some(value) = row.get::<Option<&str>>(column)?.filter(|value| *value != usual) {
            settings.push(format!("{column} = {}", ident::literal(value)));
        }
    }
    Ok(settings.join(", "))
}
