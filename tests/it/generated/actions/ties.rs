//! Actions that tie things to each other.

use super::{Made, Schema, Table};
use crate::generated::numbers::Action;

/// A circle through a child's rows is refused by name, and `pg_dump` does not know an order either.
fn without_children(table: &str) -> String {
    format!(
        "; DO $$BEGIN IF EXISTS (SELECT FROM pg_inherits AS h JOIN pg_class AS c ON c.oid = h.inhrelid
          WHERE h.inhparent = '{}'::regclass AND NOT c.relispartition) THEN RAISE 'children'; END IF; END$$",
        table.replace('\'', "''")
    )
}

impl Schema {
    pub(super) fn tie(&mut self, a: &Action) -> Option<(String, Made)> {
        match a.of(1, 12) {
            0..=2 => self.attach_partition(a),
            3 => self.attach_index(a),
            4 | 5 => self.create_foreign_table(a),
            6 => self.act_on_view(a),
            7..=9 => self.use_function(a),
            10 => self.use_row_type(a),
            _ => self.create_dependent_function(a),
        }
    }

    /// A table that has come to have constraints, indexes and triggers of its own; at first one like it.
    fn attach_partition(&mut self, a: &Action) -> Option<(String, Made)> {
        let parents: Vec<&Table> = self.tables.iter().filter(|t| t.partitioned.is_some()).collect();
        let parent = (*parents.get(a.of(2, parents.len().max(1)))?).clone();
        let is_alike =
            |table: &&Table| table.columns == parent.columns && table.name != parent.name;
        let alike: Vec<&Table> = self.tables.iter().filter(is_alike).collect();
        let Some(table) = alike.get(a.of(3, alike.len() + 1)) else {
            let name = self.name("like", a);
            let with = ["ALL", "CONSTRAINTS", "DEFAULTS"][a.of(4, 3)];
            let by = ["", "", " PARTITION BY HASH (id)"][a.of(5, 3)];
            let sql = format!("CREATE TABLE {name} (LIKE {} INCLUDING {with}){by}", parent.name);
            let partitioned = (!by.is_empty()).then_some('h');
            return Some((sql, Made::Table(Table { name, partitioned, ..parent })));
        };
        let from = 100 + a.of(4, 5) * 10;
        let bound = match parent.partitioned? {
            'h' => format!("FOR VALUES WITH (MODULUS 5, REMAINDER {})", a.of(4, 5)),
            'l' => format!("FOR VALUES IN ('v{from}')"),
            'x' => format!("FOR VALUES FROM ({from}, MINVALUE) TO ({}, 'm')", from + 9),
            _ => format!("FOR VALUES FROM ({from}) TO ({})", from + 10),
        };
        let sql = format!("ALTER TABLE {} ATTACH PARTITION {} {bound}", parent.name, table.name);
        Some((sql, Made::Nothing))
    }

    fn attach_index(&self, a: &Action) -> Option<(String, Made)> {
        let pick = |at: usize| self.indexes.get(a.of(at, self.indexes.len().max(1)));
        Some((format!("ALTER INDEX {} ATTACH PARTITION {}", pick(2)?, pick(3)?), Made::Nothing))
    }

    fn create_foreign_table(&mut self, a: &Action) -> Option<(String, Made)> {
        let other = self.table(a, 2)?.1.clone();
        if self.has_filled_views {
            return None;
        }
        self.has_foreign_tables = true;
        let name = self.name("ft", a);
        // Wrappers and servers lie in no schema.
        let server = format!("srv_{}", self.schemas[0]);
        let own = format!("SERVER {server} OPTIONS (\"a b\" 'it''s')");
        let sql = match (a.of(3, 3), other.partitioned) {
            (0, _) => format!("CREATE FOREIGN TABLE {name} () INHERITS ({}) {own}", other.name),
            (_, Some('r')) => format!(
                "CREATE FOREIGN TABLE {name} PARTITION OF {} FOR VALUES FROM (900) TO (910) {own}",
                other.name
            ),
            _ => format!(
                "CREATE FOREIGN TABLE {name} (id integer OPTIONS (o 'x') NOT NULL, k text DEFAULT 'd', CHECK (id > 1)) {own}"
            ),
        };
        let sql = format!(
            "DO $$BEGIN CREATE FOREIGN DATA WRAPPER {server}; CREATE SERVER {server} FOREIGN DATA WRAPPER {server}; EXCEPTION WHEN duplicate_object THEN NULL; END$$; {sql}"
        );
        let columns = vec![String::from("id"), String::from("k")];
        Some((sql, Made::Table(Table { name, columns, partitioned: None })))
    }

    fn act_on_view(&mut self, a: &Action) -> Option<(String, Made)> {
        let view = self.views.get(a.of(2, self.views.len().max(1)))?.clone();
        let table = self.table(a, 3)?.1.name.clone();
        let name = self.bare("act");
        let trigger = self.functions.iter().find(|function| function.ends_with("()"));
        let sql = match (a.of(4, 5), trigger) {
            (0, Some(function)) => format!(
                "CREATE TRIGGER {name} INSTEAD OF INSERT OR DELETE ON {view} FOR EACH ROW EXECUTE FUNCTION {function}"
            ),
            (1, _) => format!(
                "CREATE RULE {name} AS ON INSERT TO {view} DO INSTEAD INSERT INTO {table} (id, k) VALUES (NEW.id, NEW.k)"
            ),
            (2, _) => {
                format!("CREATE RULE {name} AS ON DELETE TO {view} DO INSTEAD SELECT * FROM {view}")
            }
            (3, _) => {
                format!("CREATE OR REPLACE VIEW {view} AS SELECT id, k FROM {table} GROUP BY id")
            }
            _ => format!(
                "DO $do$BEGIN IF (SELECT relkind FROM pg_class WHERE oid = '{}'::regclass) = 'm'
                 THEN REFRESH MATERIALIZED VIEW {view} WITH NO DATA;
                 ELSE ALTER VIEW {view} SET (check_option = local); ALTER VIEW {view} RENAME COLUMN k TO kk;
                 END IF; END$do$",
                view.replace('\'', "''")
            ),
        };
        Some((sql, Made::Nothing))
    }

    /// Where one function of an integer, at least, may stand.
    fn use_function(&mut self, a: &Action) -> Option<(String, Made)> {
        let functions: Vec<&String> =
            self.functions.iter().filter(|function| function.contains("(integer")).collect();
        let signature = (*functions.get(a.of(2, functions.len().max(1)))?).clone();
        let call = signature.rsplit_once('(')?.0.to_owned();
        let table = self.table(a, 3)?.1.name.clone();
        let name = self.name("u", a);
        let bare = self.bare("u");
        let sql = match a.of(4, 8) {
            0 => {
                let sql = format!(
                    "CREATE DOMAIN {name} AS integer DEFAULT {call}(2) CHECK ({call}(VALUE) IS NOT NULL)"
                );
                return Some((sql, Made::Type(name)));
            }
            1 => format!("CREATE INDEX {bare} ON {table} (({call}(id)::text))"),
            2 => format!("CREATE POLICY {bare} ON {table} USING ({call}(id) IS NULL)"),
            3 => format!(
                "CREATE OPERATOR {}.+#+ (RIGHTARG = integer, FUNCTION = {call})",
                self.schemas[1]
            ),
            4 => format!(
                "CREATE FUNCTION {name}(a integer DEFAULT {call}(1)::text::integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'"
            ),
            // Even one that gives the table's own rows.
            5 => format!(
                "ALTER TABLE {table} ADD COLUMN {bare} boolean GENERATED ALWAYS AS ({call}(id) IS NULL) STORED{}",
                without_children(&table)
            ),
            6 => format!("CREATE STATISTICS {name} ON ({call}(id)::text), k FROM {table}"),
            _ => {
                let sql =
                    format!("CREATE VIEW {name} AS SELECT id, {call}(id)::text AS k FROM {table}");
                return Some((sql, Made::View(name)));
            }
        };
        Some((sql, Made::Nothing))
    }

    /// A column of a table's or view's rows, also of one that reads the table.
    fn use_row_type(&mut self, a: &Action) -> Option<(String, Made)> {
        let (index, table) = self.table(a, 2)?;
        let table = table.name.clone();
        let row = match self.views.get(a.of(3, self.views.len().max(1))) {
            Some(view) if a.of(4, 2) == 0 => view.clone(),
            _ => self.table(a, 5)?.1.name.clone(),
        };
        let array = ["", "[]"][a.of(6, 2)];
        let column = self.bare("row");
        let alone = without_children(&table);
        let sql = format!("ALTER TABLE {table} ADD COLUMN {column} {row}{array}{alone}");
        Some((sql, Made::Column(index, column)))
    }

    /// With a body that the server keeps as a tree.
    fn create_dependent_function(&mut self, a: &Action) -> Option<(String, Made)> {
        let table = self.table(a, 2)?.1.name.clone();
        let view = self.views.get(a.of(3, self.views.len().max(1))).unwrap_or(&table).clone();
        let name = self.name("dep", a);
        let body = match a.of(4, 4) {
            0 => format!("SELECT id FROM {view} AS v WHERE v.k = 'x' ORDER BY id LIMIT 1"),
            1 => format!(
                "INSERT INTO {table} (id, k) VALUES ($1, 'k') ON CONFLICT (id) DO UPDATE SET k = excluded.k RETURNING id"
            ),
            2 => format!("SELECT max(id) FROM (SELECT id, k FROM {table} GROUP BY id) AS by_key"),
            _ => format!(
                "UPDATE {table} AS t SET k = v.k FROM {view} AS v WHERE v.id = t.id; SELECT 1"
            ),
        };
        let sql = format!(
            "CREATE FUNCTION {name}(a integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC {body}; END"
        );
        Some((sql, Made::Function(format!("{name}(integer)"))))
    }
}
