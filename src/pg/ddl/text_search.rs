//! Text search: parsers, templates, dictionaries and configurations.

use super::collection::{Collection, Draft, Key};
use super::dependencies::Graph;
use super::rows::{self, Record, USER_SCHEMA};
use crate::error::Result;
use crate::model::catalog::Property;
use crate::model::schema::{ObjectClass, Statement};
use crate::pg::client::Client;
use crate::pg::ident;

/// Collects the text search objects that users made.
pub(super) fn collect(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    collect_of_functions(client, out, graph, &PARSERS)?;
    collect_of_functions(client, out, graph, &TEMPLATES)?;
    collect_dictionaries(client, out, graph)?;
    collect_configurations(client, out, graph)
}

/// A class whose objects are lists of functions, and have no owner.
struct OfFunctions {
    class: ObjectClass,
    key: fn(u32) -> Key,
    words: &'static str,
    catalog: &'static str,
    prefix: &'static str,
    /// Words of `CREATE TEXT SEARCH …` with their columns.
    functions: &'static [(&'static str, &'static str)],
}

const PARSERS: OfFunctions = OfFunctions {
    class: ObjectClass::TextSearchParser,
    key: Key::text_search_parser,
    words: "TEXT SEARCH PARSER",
    catalog: "pg_ts_parser",
    prefix: "prs",
    functions: &[
        ("START", "prsstart"),
        ("GETTOKEN", "prstoken"),
        ("END", "prsend"),
        ("LEXTYPES", "prslextype"),
        ("HEADLINE", "prsheadline"),
    ],
};

const TEMPLATES: OfFunctions = OfFunctions {
    class: ObjectClass::TextSearchTemplate,
    key: Key::text_search_template,
    words: "TEXT SEARCH TEMPLATE",
    catalog: "pg_ts_template",
    prefix: "tmpl",
    functions: &[("INIT", "tmplinit"), ("LEXIZE", "tmpllexize")],
};

fn collect_of_functions(
    client: &mut Client,
    out: &mut Collection,
    graph: &Graph,
    class: &OfFunctions,
) -> Result<()> {
    let OfFunctions { catalog, prefix, words, .. } = class;
    let columns: String = class
        .functions
        .iter()
        .map(|(_, column)| format!(", nullif(t.{column}::text, '-') AS {column}"))
        .collect();
    let sql = format!(
        "SELECT t.oid, n.nspname::text AS schema, t.{prefix}name::text AS name{columns}
         FROM pg_catalog.{catalog} AS t
         JOIN pg_catalog.pg_namespace AS n ON n.oid = t.{prefix}namespace
         WHERE {USER_SCHEMA} ORDER BY n.nspname, t.{prefix}name"
    );
    for row in rows::query(client, words, &sql)? {
        let key = (class.key)(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let mut functions = Vec::new();
        for (word, column) in class.functions {
            if let Some(function) = row.get::<Option<&str>>(column)? {
                functions.push(format!("{word} = {function}"));
            }
        }
        let name = Name::of(&row)?;
        let target = format!("{words} {}", name.quoted);
        let draft = Draft::new(class.class, Some(&name.schema), name.name)
            .define(format!("CREATE {target} ({})", functions.join(", ")));
        out.add_named(key, draft, None, &target, functions)?;
    }
    Ok(())
}

struct Name {
    schema: String,
    name: String,
    quoted: String,
}

impl Name {
    fn of(row: &Record) -> Result<Self> {
        let (schema, name): (String, String) = (row.get("schema")?, row.get("name")?);
        let quoted = format!("{}.{}", ident::quote(&schema), ident::quote(&name));
        Ok(Self { schema, name, quoted })
    }
}

fn collect_dictionaries(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    // The options are kept as the text of a list, values in quotes.
    let sql = format!(
        "SELECT d.oid, n.nspname::text AS schema, d.dictname::text AS name,
                pg_get_userbyid(d.dictowner)::text AS owner,
                quote_ident(tn.nspname) || '.' || quote_ident(t.tmplname) AS template,
                d.dictinitoption AS options
         FROM pg_catalog.pg_ts_dict AS d
         JOIN pg_catalog.pg_namespace AS n ON n.oid = d.dictnamespace
         JOIN pg_catalog.pg_ts_template AS t ON t.oid = d.dicttemplate
         JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.tmplnamespace
         WHERE {USER_SCHEMA} ORDER BY n.nspname, d.dictname"
    );
    for row in rows::query(client, "text search dictionaries", &sql)? {
        let key = Key::text_search_dictionary(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let name = Name::of(&row)?;
        let target = format!("TEXT SEARCH DICTIONARY {}", name.quoted);
        let mut properties = vec![format!("TEMPLATE = {}", row.deparsed("template")?)];
        properties.extend(row.get::<Option<String>>("options")?);
        let draft = Draft::new(ObjectClass::TextSearchDictionary, Some(&name.schema), name.name)
            .define(format!("CREATE {target} ({})", properties.join(", ")));
        out.add_named(key, draft, Some(row.get("owner")?), &target, properties)?;
    }
    Ok(())
}

fn collect_configurations(client: &mut Client, out: &mut Collection, graph: &Graph) -> Result<()> {
    let sql = format!(
        "SELECT c.oid, n.nspname::text AS schema, c.cfgname::text AS name,
                pg_get_userbyid(c.cfgowner)::text AS owner,
                quote_ident(pn.nspname) || '.' || quote_ident(p.prsname) AS parser
         FROM pg_catalog.pg_ts_config AS c
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.cfgnamespace
         JOIN pg_catalog.pg_ts_parser AS p ON p.oid = c.cfgparser
         JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.prsnamespace
         WHERE {USER_SCHEMA} ORDER BY n.nspname, c.cfgname"
    );
    for row in rows::query(client, "text search configurations", &sql)? {
        let key = Key::text_search_configuration(row.get("oid")?);
        if graph.extension_of(key).is_some() {
            continue;
        }
        let name = Name::of(&row)?;
        let target = format!("TEXT SEARCH CONFIGURATION {}", name.quoted);
        let parser = format!("PARSER = {}", row.deparsed("parser")?);
        let draft = Draft::new(ObjectClass::TextSearchConfiguration, Some(&name.schema), name.name)
            .define(format!("CREATE {target} ({parser})"));
        out.add_named(key, draft, Some(row.get("owner")?), &target, vec![parser])?;
    }
    collect_mappings(client, out)
}

/// Which dictionaries are asked, one after the other, for each type of token.
fn collect_mappings(client: &mut Client, out: &mut Collection) -> Result<()> {
    let sql = format!(
        "SELECT c.oid, n.nspname::text AS schema, c.cfgname::text AS name,
                m.maptokentype AS number, t.alias AS token,
                string_agg(m.mapdict::pg_catalog.regdictionary::text, ', ' ORDER BY m.mapseqno)
                  AS dictionaries
         FROM pg_catalog.pg_ts_config AS c
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.cfgnamespace
         JOIN pg_catalog.pg_ts_config_map AS m ON m.mapcfg = c.oid
         LEFT JOIN LATERAL ts_token_type(c.cfgparser) AS t ON t.tokid = m.maptokentype
         WHERE {USER_SCHEMA}
         GROUP BY c.oid, n.nspname, c.cfgname, m.maptokentype, t.alias
         ORDER BY n.nspname, c.cfgname, m.maptokentype"
    );
    for row in rows::query(client, "text search mappings", &sql)? {
        let key = Key::text_search_configuration(row.get("oid")?);
        let Some(draft) = out.maker(key) else { continue };
        let name = Name::of(&row)?;
        let Some(token) = row.get::<Option<&str>>("token")? else {
            let number: i32 = row.get("number")?;
            let text = format!("token type {number} of {}.{}", name.schema, name.name);
            out.leave_out_of(ObjectClass::Unknown, None, text, Some(name.schema), None);
            continue;
        };
        let mapping =
            format!("MAPPING FOR {} WITH {}", ident::quote(token), row.deparsed("dictionaries")?);
        let sql = format!("ALTER TEXT SEARCH CONFIGURATION {} ADD {mapping}", name.quoted);
        out.push(draft, Statement::define(sql));
        out.described(draft).add(Property::Definition, mapping);
    }
    Ok(())
}
