//! `pg_depend` as a graph over rows of the catalogs (dump-correctness 2.3).

use super::collection::{Key, PG_COLLATION};
use super::rows;
use crate::error::Result;
use crate::pg::client::Client;
use std::collections::{HashMap, HashSet};

/// One dependency.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    /// What is needed.
    pub to: Key,
    /// `deptype`: `n` normal, `a` automatic, `i` internal, `x` automatic on an extension.
    pub kind: char,
}

/// Who needs what, who belongs to which extension, and which types stand for something else.
#[derive(Default)]
pub(super) struct Graph {
    edges: HashMap<Key, Vec<Edge>>,
    member_of: HashMap<Key, Key>,
    stands_for: HashMap<Key, Key>,
    /// Enums and base types, which never need a table.
    plain_types: HashSet<Key>,
}

impl Graph {
    pub fn read(client: &mut Client, major: u32) -> Result<Self> {
        let mut graph = Self::default();
        // Partition edges (P, S) are left out: attaching is an object of its own. Rows below
        // 16384 were made by initdb and are on every server.
        let sql = "SELECT classid, objid, refclassid, refobjid, deptype::text AS kind
             FROM pg_catalog.pg_depend
             WHERE deptype = 'e'
                OR (deptype IN ('n', 'a', 'i', 'x') AND objid >= 16384 AND refobjid >= 16384)
             ORDER BY classid, objid, objsubid, refclassid, refobjid, refobjsubid";
        for row in rows::stream(client, "dependencies", sql)? {
            let row = row?;
            let from = Key { catalog: row.get("classid")?, oid: row.get("objid")? };
            let to = Key { catalog: row.get("refclassid")?, oid: row.get("refobjid")? };
            match row.letter("kind")? {
                'e' => drop(graph.member_of.insert(from, to)),
                kind => graph.edges.entry(from).or_default().push(Edge { to, kind }),
            }
        }
        graph.read_types(client, major)?;
        Ok(graph)
    }

    fn read_types(&mut self, client: &mut Client, major: u32) -> Result<()> {
        let multiranges = if major >= 14 {
            "UNION ALL SELECT rngmultitypid, 1247::oid, rngtypid FROM pg_catalog.pg_range"
        } else {
            ""
        };
        let sql = format!(
            "SELECT typarray AS type, 1247::oid AS catalog, oid AS real
               FROM pg_catalog.pg_type WHERE typarray <> 0 AND typarray >= 16384
             UNION ALL
             SELECT t.oid, 1259::oid, t.typrelid
               FROM pg_catalog.pg_type AS t
               JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid AND c.relkind <> 'c'
               WHERE t.oid >= 16384
             {multiranges}"
        );
        for row in rows::stream(client, "types", &sql)? {
            let row = row?;
            let real = Key { catalog: row.get("catalog")?, oid: row.get("real")? };
            self.stands_for.insert(Key::type_(row.get("type")?), real);
        }
        let sql = "SELECT oid FROM pg_catalog.pg_type
             WHERE typtype = 'e' OR (typtype = 'b' AND typelem = 0)";
        for row in rows::stream(client, "plain types", sql)? {
            let row = row?;
            self.plain_types.insert(Key::type_(row.get("oid")?));
        }
        Ok(())
    }

    pub fn edges(&self, key: Key) -> &[Edge] {
        self.edges.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The rows of `catalog` that something needs.
    pub fn needed_of(&self, catalog: u32) -> HashSet<Key> {
        let needed = self.edges.values().flatten().map(|edge| edge.to);
        needed.filter(|key| key.catalog == catalog).collect()
    }

    /// The extension that `key` belongs to.
    pub fn extension_of(&self, key: Key) -> Option<Key> {
        self.member_of.get(&key).copied()
    }

    /// The element of an array type, the relation of a rowtype, the range of a multirange.
    pub fn stands_for(&self, key: Key) -> Option<Key> {
        self.stands_for.get(&key).copied()
    }

    /// The extensions that `key` is marked to depend on (`ALTER … DEPENDS ON EXTENSION`).
    pub fn marked_extensions(&self, key: Key) -> impl Iterator<Item = Key> {
        self.edges(key).iter().filter(|edge| edge.kind == 'x').map(|edge| edge.to)
    }

    /// Whether the expression in row `key`, a part of `whole`, needs nothing but `whole` itself
    /// and what always comes before it and never needs it: extensions, enums, base types and
    /// collations.
    /// Only then may it be spelled out where `whole` is created without making a cycle.
    pub fn is_self_contained(&self, key: Key, whole: Key) -> bool {
        self.edges(key).iter().all(|edge| {
            let mut to = edge.to;
            while let Some(real) = self.stands_for(to) {
                to = real;
            }
            to == whole
                || to.catalog == PG_COLLATION
                || self.plain_types.contains(&to)
                || self.member_of.contains_key(&to)
        })
    }
}
