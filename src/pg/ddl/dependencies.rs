//! `pg_depend` as a graph over rows of the catalogs (dump-correctness 2.3).

use super::collection::{Key, PG_CLASS, PG_COLLATION, PG_REWRITE, PG_TYPE};
use super::rows;
use crate::error::Result;
use crate::pg::client::Client;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

/// One dependency.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    /// What is needed.
    pub to: Key,
    /// The column of it, if it is one of a relation's; else 0.
    pub column: i16,
    /// `deptype`: `n` normal, `a` automatic, `i` internal, `x` automatic on an extension.
    pub kind: char,
}

/// Who needs what, who belongs to which extension, and which types stand for something else.
#[derive(Default)]
pub(super) struct Graph {
    edges: HashMap<Key, Vec<Edge>>,
    member_of: HashMap<Key, Key>,
    stands_for: HashMap<Key, Key>,
    /// The rules that are a view's query.
    queries: HashMap<Key, Key>,
    /// Enums and base types, which never need a table.
    plain_types: HashSet<Key>,
    /// The CHECKs of domains. Those that are no part of its definition are refused once a column holds the
    /// domain in an array or a row.
    checks: HashMap<Key, Vec<Key>>,
    uses: OnceCell<Uses>,
}

#[derive(Default)]
struct Uses {
    of_type: HashMap<Key, Vec<Key>>,
    /// The rowtypes of tables.
    row_of: HashMap<Key, Key>,
}

impl Graph {
    pub fn read(client: &mut Client, major: u32) -> Result<Self> {
        let mut graph = Self::default();
        // Partition edges (P, S) are left out: attaching is an object of its own. Rows below
        // 16384 were made by initdb and are on every server.
        // Up to 14 a generated column needs what its expression does; later its default does, as always.
        let (class, object, join) = match major {
            ..15 => (
                "CASE WHEN g.oid IS NULL THEN d.classid ELSE 2604 END",
                "coalesce(g.oid, d.objid)",
                "LEFT JOIN (SELECT g.oid, g.adrelid, g.adnum FROM pg_catalog.pg_attrdef AS g
                   JOIN pg_catalog.pg_attribute AS a ON a.attrelid = g.adrelid AND a.attnum = g.adnum
                   WHERE a.attgenerated <> '') AS g
                 ON d.classid = 1259 AND g.adrelid = d.objid AND g.adnum = d.objsubid",
            ),
            _ => ("d.classid", "d.objid", ""),
        };
        let sql = format!(
            "SELECT {class} AS classid, {object} AS objid, d.refclassid, d.refobjid,
                    d.refobjsubid::int2 AS column, d.deptype::text AS kind
             FROM pg_catalog.pg_depend AS d {join}
             WHERE d.deptype = 'e'
                OR (d.deptype IN ('n', 'a', 'i', 'x') AND d.objid >= 16384 AND d.refobjid >= 16384)
             ORDER BY d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, d.refobjsubid"
        );
        for row in rows::stream(client, "dependencies", &sql)? {
            let row = row?;
            let from = Key { catalog: row.get("classid")?, oid: row.get("objid")? };
            let to = Key { catalog: row.get("refclassid")?, oid: row.get("refobjid")? };
            match row.letter("kind")? {
                'e' => drop(graph.member_of.insert(from, to)),
                kind => {
                    if kind == 'i' && from.catalog == PG_REWRITE {
                        graph.queries.insert(to, from);
                    }
                    graph.edges.entry(from).or_default().push(Edge {
                        to,
                        column: row.get("column")?,
                        kind,
                    });
                }
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
        let sql = "SELECT contypid AS domain, oid FROM pg_catalog.pg_constraint
             WHERE contypid <> 0 AND contype = 'c' AND convalidated AND oid >= 16384";
        for row in rows::stream(client, "checks of domains", sql)? {
            let row = row?;
            let checks = self.checks.entry(Key::type_(row.get("domain")?)).or_default();
            checks.push(Key::constraint(row.get("oid")?));
        }
        Ok(())
    }

    pub fn edges(&self, key: Key) -> &[Edge] {
        self.edges.get(&key).map_or(&[], Vec::as_slice)
    }

    /// What needs types and what stands for rows, turned round; it is seldom asked for.
    fn uses(&self) -> &Uses {
        self.uses.get_or_init(|| {
            let mut uses = Uses::default();
            for (from, edges) in &self.edges {
                for edge in edges.iter().filter(|edge| edge.to.catalog == PG_TYPE) {
                    uses.of_type.entry(edge.to).or_default().push(*from);
                }
            }
            for (row, of) in self.stands_for.iter().filter(|(_, of)| of.catalog == PG_CLASS) {
                uses.row_of.insert(*of, *row);
            }
            uses
        })
    }

    /// What needs a type.
    fn needing(&self, type_: Key) -> impl Iterator<Item = Key> {
        self.uses().of_type.get(&type_).into_iter().flatten().copied()
    }

    /// Whether columns hold the values of a type by themselves alone, and never in an array, a range or a
    /// row; `is_table` tells tables from composite types.
    pub fn is_held_plainly(&self, key: Key, is_table: impl Fn(Key) -> bool) -> bool {
        let row_is_held =
            |table: Key| self.uses().row_of.get(&table).is_some_and(|row| self.is_in_columns(*row));
        self.needing(key).all(|user| match user.catalog {
            PG_TYPE => self.stands_for(user) == Some(key) && !self.is_in_columns(user),
            PG_CLASS => is_table(user) && !row_is_held(user),
            _ => true,
        })
    }

    /// Whether columns hold values of a type, or of an array of it.
    fn is_in_columns(&self, type_: Key) -> bool {
        self.needing(type_).any(|user| match user.catalog {
            PG_TYPE => self.stands_for(user) != Some(type_) || self.is_in_columns(user),
            catalog => catalog == PG_CLASS,
        })
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

    /// Whether `from` needs `to`, directly or through others but for those that `may_stand_in`.
    pub fn leads_to(&self, from: Key, to: Key, may_stand_in: impl Fn(Key) -> bool) -> bool {
        let (mut seen, mut waiting) = (HashSet::from([from]), vec![from]);
        while let Some(key) = waiting.pop() {
            if key == to {
                return true;
            }
            if may_stand_in(key) {
                continue;
            }
            let needed = self.edges(key).iter().map(|edge| edge.to);
            let means = self.stands_for(key).into_iter().chain(self.queries.get(&key).copied());
            let checks = self.checks.get(&key).into_iter().flatten().copied();
            let further = needed.chain(means).chain(checks);
            waiting.extend(further.filter(|next| seen.insert(*next)));
        }
        false
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
