//! Operators, and the names of operators that never got a function.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::functions::display_name;
use super::rows::{self, Record, USER_SCHEMA};
use crate::error::Result;
use crate::model::schema::ObjectClass;
use crate::pg::client::Client;
use crate::pg::ident;
use std::collections::HashSet;

/// An operator's name and arguments.
struct Operator {
    key: Key,
    schema: String,
    name: String,
    /// `None` for a prefix operator.
    left: Option<String>,
    /// `None` for a postfix operator, which only 13 has.
    right: Option<String>,
}

impl Operator {
    /// The arguments as `DROP OPERATOR` takes them.
    fn arguments(&self) -> String {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| String::from("NONE"));
        format!("{}, {}", side(&self.left), side(&self.right))
    }

    /// The arguments as `CREATE OPERATOR` takes them.
    fn sides(&self) -> impl Iterator<Item = String> {
        let left = self.left.iter().map(|side| format!("LEFTARG = {side}"));
        left.chain(self.right.iter().map(|side| format!("RIGHTARG = {side}")))
    }

    fn sql(&self) -> String {
        format!("{}.{}", ident::quote(&self.schema), self.name)
    }
}

/// Collects the operators that users made.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let other = |column: &str| {
        format!(
            "(SELECT 'OPERATOR(' || quote_ident(xn.nspname) || '.' || x.oprname || ')'
              FROM pg_catalog.pg_operator AS x
              JOIN pg_catalog.pg_namespace AS xn ON xn.oid = x.oprnamespace WHERE x.oid = {column})"
        )
    };
    let (commutator, negator) = (other("o.oprcom"), other("o.oprnegate"));
    let schema_of = |column: &str| {
        format!("(SELECT x.oprnamespace FROM pg_catalog.pg_operator AS x WHERE x.oid = {column})")
    };
    let (commutator_schema, negator_schema) = (schema_of("o.oprcom"), schema_of("o.oprnegate"));
    let sql = format!(
        "SELECT o.oid, n.nspname::text AS schema, o.oprname::text AS name,
                o.oprkind::text AS kind, pg_get_userbyid(o.oprowner)::text AS owner,
                CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END AS left,
                CASE WHEN o.oprright <> 0 THEN format_type(o.oprright, NULL) END AS right,
                nullif(o.oprcode::text, '-') AS function,
                o.oprcom AS commutator_oid, {commutator} AS commutator,
                {commutator_schema} AS commutator_schema,
                o.oprnegate AS negator_oid, {negator} AS negator,
                {negator_schema} AS negator_schema,
                o.oprcanmerge AS merges, o.oprcanhash AS hashes,
                nullif(o.oprrest::text, '-') AS restrict, nullif(o.oprjoin::text, '-') AS join
         FROM pg_catalog.pg_operator AS o
         JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
         WHERE {USER_SCHEMA}
         ORDER BY n.nspname, o.oprname, 6, 7"
    );
    let (shells, real): (Vec<Record>, Vec<Record>) =
        rows::query(client, "operators", &sql)?.into_iter().partition(|row| {
            row.get::<Option<&str>>("function").is_ok_and(|function| function.is_none())
        });
    let mut unfilled = HashSet::new();
    for row in &shells {
        unfilled.insert(Key::operator(row.get("oid")?));
        collect_shell(out, graph, row)?;
    }
    for row in &real {
        collect_real(out, graph, &unfilled, row)?;
    }
    Ok(())
}

fn operator(row: &Record) -> Result<Operator> {
    Ok(Operator {
        key: Key::operator(row.get("oid")?),
        schema: row.get("schema")?,
        name: row.get("name")?,
        left: row.get("left")?,
        right: row.get("right")?,
    })
}

fn add(
    out: &mut Collection,
    operator: &Operator,
    row: &Record,
    statements: Vec<String>,
    properties: Vec<String>,
) -> Result<usize> {
    let arguments = operator.arguments();
    let shown = display_name(&operator.name, &arguments);
    let draft = Draft::new(ObjectClass::Operator, Some(&operator.schema), shown);
    let draft = statements.into_iter().fold(draft, Draft::define);
    let target = format!("OPERATOR {} ({arguments})", operator.sql());
    out.add_named(operator.key, draft, Some(row.get("owner")?), &target, properties)
}

fn collect_real(
    out: &mut Collection,
    graph: &Graph,
    unfilled: &HashSet<Key>,
    row: &Record,
) -> Result<()> {
    let operator = operator(row)?;
    if graph.extension_of(operator.key).is_some() {
        return Ok(());
    }
    if !"lbr".contains(row.letter("kind")?) {
        let text = format!("operator {}.{}", operator.schema, operator.name);
        let schema = Some(operator.schema.clone());
        out.leave_out_of(ObjectClass::Unknown, Some(operator.key), text, schema, None);
        return Ok(());
    }
    let mut properties = vec![format!("FUNCTION = {}", row.deparsed("function")?)];
    properties.extend(operator.sides());
    for (word, column) in [
        ("COMMUTATOR", "commutator"),
        ("NEGATOR", "negator"),
        ("RESTRICT", "restrict"),
        ("JOIN", "join"),
    ] {
        if let Some(value) = row.get::<Option<&str>>(column)? {
            properties.push(format!("{word} = {value}"));
        }
    }
    for (word, column) in [("HASHES", "hashes"), ("MERGES", "merges")] {
        if row.get(column)? {
            properties.push(word.to_owned());
        }
    }
    let sql =
        format!("CREATE OPERATOR {} (\n    {}\n)", operator.sql(), properties.join(",\n    "));
    let index = add(out, &operator, row, vec![sql], properties)?;
    for (other, schema) in
        [("commutator_oid", "commutator_schema"), ("negator_oid", "negator_schema")]
    {
        let other = Key::operator(row.get(other)?);
        // The catalogs do not note commutators and negators, which need each other: whichever
        // comes first makes a shell of the other.
        if unfilled.contains(&other) {
            out.add_need(index, other);
        }
        if let Some(schema) = row.get::<Option<u32>>(schema)? {
            out.add_need(index, Key::schema(schema));
        }
    }
    Ok(())
}

/// A name that another operator gave as its commutator or negator and that was never filled. No
/// statement makes one alone, so a passing operator names it as its negator.
fn collect_shell(out: &mut Collection, graph: &Graph, row: &Record) -> Result<()> {
    let operator = operator(row)?;
    if graph.extension_of(operator.key).is_some() {
        return Ok(());
    }
    let function = "pg_temp.\"pgark_shell\"";
    let types: Vec<&str> =
        operator.left.iter().chain(&operator.right).map(String::as_str).collect();
    let types = types.join(", ");
    let sides: Vec<String> = operator.sides().collect();
    let statements = vec![
        format!(
            "CREATE FUNCTION {function}({types}) RETURNS boolean LANGUAGE sql AS 'SELECT true'"
        ),
        format!(
            "CREATE OPERATOR pg_temp.<-> (FUNCTION = {function}, {}, NEGATOR = OPERATOR({}))",
            sides.join(", "),
            operator.sql()
        ),
        format!("DROP OPERATOR pg_temp.<-> ({})", operator.arguments()),
        format!("DROP FUNCTION {function}({types})"),
    ];
    add(out, &operator, row, statements, vec![String::from("a name alone")]).map(drop)
}
