//! What a generated schema is made of: actions that depend on a few numbers and on what is there.

mod changes;
mod ties;

use super::numbers::Action;

/// A table with the columns that every generated table has, `id integer` and `k text`, and more.
#[derive(Clone)]
pub struct Table {
    pub name: String,
    pub columns: Vec<String>,
    /// How it is partitioned, if it is: `r`, `l` or `h`.
    pub partitioned: Option<char>,
}

/// What there is so far, as SQL names it.
pub struct Schema {
    schemas: [String; 2],
    major: u32,
    count: usize,
    pub tables: Vec<Table>,
    types: Vec<String>,
    functions: Vec<String>,
    views: Vec<String>,
    sequences: Vec<String>,
    policies: Vec<(String, String)>,
    constraints: Vec<(String, String)>,
    indexes: Vec<String>,
    /// The one excludes the other, since nobody can read foreign tables whose wrapper has no handler.
    has_filled_views: bool,
    has_foreign_tables: bool,
}

/// What a statement makes, if the server accepts it.
pub enum Made {
    Nothing,
    Table(Table),
    Type(String),
    Function(String),
    View(String),
    Sequence(String),
    Column(usize, String),
    Policy(String, String),
    Constraint(String, String),
    Index(String),
    Gone(usize),
}

/// Types of columns, each with a default.
const TYPES: [(&str, &str); 22] = [
    ("integer", "1"),
    ("bigint", "2 * 3"),
    ("text", "'it''s \\ x'"),
    ("varchar(10)", "'v'"),
    ("numeric(10,2)", "1.5"),
    ("boolean", "NOT false"),
    ("timestamptz", "now()"),
    ("date", "CURRENT_DATE"),
    ("jsonb", "'{}'"),
    ("json", "'[1]'"),
    ("uuid", "NULL"),
    ("bytea", "'\\x00'"),
    ("integer[]", "ARRAY[1, 2]"),
    ("interval", "'1 day'"),
    ("char(3)", "'a'"),
    ("int4range", "int4range(1, 2)"),
    ("inet", "NULL"),
    ("bit varying(5)", "B'101'"),
    ("text COLLATE \"C\"", "upper('c')"),
    ("double precision", "0.1"),
    ("timestamp(3)", "LOCALTIMESTAMP"),
    ("name", "CURRENT_USER"),
];

/// How many kinds of actions there are.
pub const KINDS: u32 = 54;

impl Schema {
    pub fn new(case: usize, major: u32) -> Self {
        let schemas = [format!("case{case}"), format!("\"Case {case} \"\"o'\"")];
        Self {
            schemas,
            major,
            count: 0,
            tables: Vec::new(),
            types: Vec::new(),
            functions: Vec::new(),
            views: Vec::new(),
            sequences: Vec::new(),
            policies: Vec::new(),
            constraints: Vec::new(),
            indexes: Vec::new(),
            has_filled_views: false,
            has_foreign_tables: false,
        }
    }

    /// What comes first.
    pub fn schemas(&self) -> String {
        format!("CREATE SCHEMA {}; CREATE SCHEMA {}", self.schemas[0], self.schemas[1])
    }

    pub fn keep(&mut self, made: Made) {
        match made {
            Made::Nothing => {}
            Made::Table(table) => self.tables.push(table),
            Made::Type(name) => self.types.push(name),
            Made::Function(name) => self.functions.push(name),
            Made::View(name) => self.views.push(name),
            Made::Sequence(name) => self.sequences.push(name),
            Made::Column(table, name) => self.tables[table].columns.push(name),
            Made::Policy(name, table) => self.policies.push((name, table)),
            Made::Constraint(name, table) => self.constraints.push((name, table)),
            Made::Index(name) => self.indexes.push(name),
            Made::Gone(table) => drop(self.tables.remove(table)),
        }
    }

    /// A name that is new, and sometimes odd.
    fn bare(&mut self, stem: &str) -> String {
        self.count += 1;
        match self.count % 5 {
            0 => format!("\"{stem} {}; \"\"\"", self.count),
            1 => format!("\"{}{}\"", stem.to_uppercase(), self.count),
            _ => format!("{stem}{}", self.count),
        }
    }

    fn name(&mut self, stem: &str, a: &Action) -> String {
        let schema = self.schemas[a.of(1, 2)].clone();
        format!("{schema}.{}", self.bare(stem))
    }

    fn table(&self, a: &Action, at: usize) -> Option<(usize, &Table)> {
        let index = a.of(at, self.tables.len().max(1));
        self.tables.get(index).map(|table| (index, table))
    }

    /// A type of a column and its default.
    fn type_of(&self, a: &Action, at: usize) -> (String, String) {
        let choice = a.of(at, TYPES.len() + self.types.len().min(8));
        match TYPES.get(choice) {
            Some((name, default)) => ((*name).to_owned(), (*default).to_owned()),
            None => {
                let own = self.types[(choice - TYPES.len()) * 7 % self.types.len()].clone();
                (own, String::from("NULL"))
            }
        }
    }

    fn column(&mut self, a: &Action, at: usize) -> (String, String) {
        let name = self.bare("c");
        let (type_name, default) = self.type_of(a, at);
        let extra = match a.of(at + 1, 9) {
            0 => format!("DEFAULT {default}"),
            1 => format!("DEFAULT {default} NOT NULL"),
            2 => String::from("NOT NULL"),
            _ => String::new(),
        };
        (name.clone(), format!("{name} {type_name} {extra}"))
    }

    /// The statement that an action is now, or none where it lacks something, and what it makes.
    pub fn statement(&mut self, a: &Action) -> Option<(String, Made)> {
        match a.kind() {
            0..=4 => self.create_table(a),
            5 => self.create_partitioned(a),
            6 | 7 => self.create_partition(a),
            8 | 9 => self.create_child(a),
            10..=13 => self.create_type(a),
            14..=17 => self.create_function(a),
            18..=21 => self.create_view(a),
            22..=26 => self.add_constraint(a),
            27..=29 => self.create_index(a),
            30..=35 => self.alter_column(a),
            36 | 37 => self.create_trigger(a),
            38 => self.secure_rows(a),
            39 | 40 => self.grant(a),
            41 => self.comment(a),
            42 => self.create_sequence(a),
            43 => self.publish(a),
            44 => self.alter_table(a),
            46..=53 => self.tie(a),
            _ => self.other(a),
        }
    }

    fn create_table(&mut self, a: &Action) -> Option<(String, Made)> {
        let name = self.name("t", a);
        let key = match a.of(2, 5) {
            0 => "integer PRIMARY KEY",
            1 => "integer GENERATED ALWAYS AS IDENTITY (START 7 INCREMENT 3 CYCLE) UNIQUE",
            2 => "serial",
            3 => "integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
            _ => "integer",
        };
        let mut columns = vec![String::from("id"), String::from("k")];
        let mut parts = vec![format!("id {key}"), String::from("k text")];
        for position in 0..a.of(3, 4) {
            let (column, sql) = self.column(a, 4 + position);
            columns.push(column);
            parts.push(sql);
        }
        match a.of(5, 6) {
            0 => parts.push(String::from("gen text GENERATED ALWAYS AS (upper(k)) STORED")),
            1 if self.major >= 18 => {
                parts.push(String::from("gen integer GENERATED ALWAYS AS (id + 1)"));
            }
            2 => parts.push(format!(
                "CONSTRAINT {} CHECK (id > 0 AND k IN ('a', 'b'))",
                self.bare("chk")
            )),
            _ => {}
        }
        let unlogged = if a.of(6, 6) == 0 { "UNLOGGED " } else { "" };
        let with = ["", "", " WITH (fillfactor = 70)", " WITH (toast.autovacuum_enabled = off)"]
            [a.of(7, 4)];
        let sql = format!("CREATE {unlogged}TABLE {name} ({}){with}", parts.join(", "));
        Some((sql, Made::Table(Table { name, columns, partitioned: None })))
    }

    fn create_partitioned(&mut self, a: &Action) -> Option<(String, Made)> {
        let name = self.name("p", a);
        let (kind, by) = [
            ('r', "RANGE (id)"),
            ('l', "LIST (k)"),
            ('h', "HASH (id)"),
            ('r', "RANGE (id, (lower(k)))"),
        ][a.of(2, 4)];
        let key = if a.of(3, 2) == 0 && a.of(2, 4) != 3 {
            "PRIMARY KEY (id, k)"
        } else {
            "CHECK (id <> 13)"
        };
        let (column, sql) = self.column(a, 4);
        let sql =
            format!("CREATE TABLE {name} (id integer, k text, {sql}, {key}) PARTITION BY {by}");
        let columns = vec!["id".into(), "k".into(), column];
        let partitioned = if a.of(2, 4) == 3 { Some('x') } else { Some(kind) };
        Some((sql, Made::Table(Table { name, columns, partitioned })))
    }

    fn create_partition(&mut self, a: &Action) -> Option<(String, Made)> {
        let parents: Vec<&Table> = self.tables.iter().filter(|t| t.partitioned.is_some()).collect();
        let parent = (*parents.get(a.of(2, parents.len().max(1)))?).clone();
        let from = a.of(3, 5) * 10;
        let bound = match (parent.partitioned?, a.of(4, 6)) {
            ('h', _) => format!("FOR VALUES WITH (MODULUS 5, REMAINDER {})", a.of(3, 5)),
            (_, 0) => String::from("DEFAULT"),
            ('l', _) => format!("FOR VALUES IN ('v{from}', 'it''s {from}')"),
            ('x', _) => format!("FOR VALUES FROM ({from}, MINVALUE) TO ({}, 'm')", from + 9),
            _ => format!("FOR VALUES FROM ({from}) TO ({})", from + 10),
        };
        let name = self.name("part", a);
        let (by, partitioned) = match a.of(5, 5) {
            0 => (" PARTITION BY RANGE (id)", Some('r')),
            _ => ("", None),
        };
        let table = Table { name: name.clone(), columns: parent.columns.clone(), partitioned };
        // Attached, it has its own order of columns.
        let sql = if a.of(6, 3) == 0 && parent.columns.len() == 2 {
            format!(
                "CREATE TABLE {name} (k text, extra integer, id integer){by}; ALTER TABLE {name} DROP extra; ALTER TABLE {} ATTACH PARTITION {name} {bound}",
                parent.name
            )
        } else {
            format!("CREATE TABLE {name} PARTITION OF {} {bound}{by}", parent.name)
        };
        Some((sql, Made::Table(table)))
    }

    fn create_child(&mut self, a: &Action) -> Option<(String, Made)> {
        let parent = self.table(a, 2)?.1.clone();
        let second =
            self.table(a, 3).filter(|(_, other)| a.of(4, 3) == 0 && other.name != parent.name);
        let second = second.map(|(_, other)| format!(", {}", other.name)).unwrap_or_default();
        let name = self.name("child", a);
        let (column, own) = self.column(a, 5);
        let own = match a.of(4, 6) {
            0 => String::new(),
            1 => String::from("id integer DEFAULT 8"),
            2 => String::from("k text NOT NULL"),
            3 => format!("{own}, CONSTRAINT {} CHECK (id > 3) NO INHERIT", self.bare("chk")),
            _ => own,
        };
        let mut columns = vec![String::from("id"), String::from("k")];
        columns.extend(own.starts_with(&column).then_some(column));
        let sql = format!("CREATE TABLE {name} ({own}) INHERITS ({}{second})", parent.name);
        Some((sql, Made::Table(Table { name, columns, partitioned: None })))
    }

    fn create_type(&mut self, a: &Action) -> Option<(String, Made)> {
        let name = self.name("ty", a);
        let (base, default) = self.type_of(a, 2);
        let plain = base.split(" COLLATE").next().unwrap_or_default();
        let sql = match a.of(3, 7) {
            0 => format!(
                "CREATE TYPE {name} AS ENUM ('b', 'it''s', 'A b'); ALTER TYPE {name} ADD VALUE 'first' BEFORE 'b'"
            ),
            1 => format!("CREATE DOMAIN {name} AS {base} DEFAULT {default}"),
            2 => format!(
                "CREATE DOMAIN {name} AS text CONSTRAINT {} CHECK (VALUE <> 'x' AND length(VALUE) < 9) NOT NULL",
                self.bare("chk")
            ),
            3 => format!(
                "CREATE DOMAIN {name} AS integer; ALTER DOMAIN {name} ADD CONSTRAINT {} CHECK (VALUE > 0) NOT VALID",
                self.bare("chk")
            ),
            4 => format!("CREATE TYPE {name} AS (a {plain}, \"B c\" text COLLATE \"C\")"),
            5 => format!("CREATE TYPE {name} AS RANGE (subtype = float8, subtype_diff = float8mi)"),
            _ => format!("CREATE DOMAIN {name} AS {plain}[]"),
        };
        Some((sql, Made::Type(name)))
    }

    fn create_function(&mut self, a: &Action) -> Option<(String, Made)> {
        let name = self.name("f", a);
        let (kind, _) = self.type_of(a, 2);
        let kind = kind.split([' ', '(']).next().unwrap_or_default().to_owned();
        let kind = if kind == "bit" || kind == "double" || kind.contains('"') {
            "text".to_owned()
        } else {
            kind
        };
        let row = self.table(a, 3).map(|(_, table)| table.name.clone());
        let (sql, signature) = match (a.of(4, 9), row) {
            (0, Some(row)) => (
                format!(
                    "CREATE FUNCTION {name}({row}) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1.id'"
                ),
                format!("{name}({row})"),
            ),
            (1, Some(row)) => (
                format!(
                    "CREATE FUNCTION {name}(OUT a integer, b text DEFAULT 'x''y') RETURNS SETOF integer LANGUAGE sql STABLE ROWS 7 SET search_path = pg_catalog, \"$user\" AS $f$ SELECT id FROM {row} $f$"
                ),
                format!("{name}(text)"),
            ),
            (2, Some(row)) if self.major >= 14 => (
                format!(
                    "CREATE FUNCTION {name}(n integer) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) + n FROM {row} WHERE k = ANY (ARRAY['a'::varchar, 'b']); END"
                ),
                format!("{name}(integer)"),
            ),
            (3, Some(row)) => (
                format!(
                    "CREATE FUNCTION {name}(a integer) RETURNS {row} LANGUAGE sql IMMUTABLE AS 'SELECT NULL::{row}'"
                ),
                format!("{name}(integer)"),
            ),
            (4, _) => (
                format!(
                    "CREATE PROCEDURE {name}(a {kind}, INOUT b integer DEFAULT 3) LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN b := 1; END'"
                ),
                format!("{name}({kind}, integer)"),
            ),
            (5, _) => (
                format!(
                    "CREATE AGGREGATE {name}(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0')"
                ),
                format!("{name}(integer)"),
            ),
            (6, _) => (
                format!(
                    "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$"
                ),
                format!("{name}()"),
            ),
            _ => (
                format!(
                    "CREATE FUNCTION {name}(a {kind}, VARIADIC b text[] DEFAULT '{{}}') RETURNS {kind} LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5 AS 'SELECT $1'"
                ),
                format!("{name}({kind}, text[])"),
            ),
        };
        Some((sql, Made::Function(signature)))
    }

    fn create_view(&mut self, a: &Action) -> Option<(String, Made)> {
        let from = match (a.of(2, 3), self.views.len()) {
            (0, count) if count > 0 => self.views[a.of(3, count)].clone(),
            _ => self.table(a, 3)?.1.name.clone(),
        };
        let name = self.name("v", a);
        let other =
            self.table(a, 4).map(|(_, table)| table.name.clone()).unwrap_or_else(|| from.clone());
        let query = match a.of(5, 7) {
            0 => format!(
                "SELECT id, k, extract('YEAR' FROM now()) AS y FROM {from} WHERE k IN ('a', 'it''s')"
            ),
            1 => format!(
                "SELECT x.id, y.k, count(*) OVER (PARTITION BY y.k) AS n FROM {from} AS x LEFT JOIN {other} AS y USING (id)"
            ),
            2 => format!("SELECT id, k FROM {from} UNION ALL SELECT 1, 'x' ORDER BY 1"),
            3 => format!("SELECT id, max(k) AS k FROM {from} GROUP BY id HAVING count(*) > 1"),
            4 => format!(
                "WITH c AS (SELECT * FROM {from}) SELECT c.id, c.k, to_json(c.k) AS j FROM c"
            ),
            5 => format!(
                "SELECT id, k FROM {from} WHERE EXISTS (SELECT FROM {other} AS o WHERE o.id = {from}.id)"
            ),
            _ => format!("SELECT * FROM {from}"),
        };
        let sql = match a.of(6, 5) {
            0 if !self.has_foreign_tables => {
                self.has_filled_views = true;
                format!("CREATE MATERIALIZED VIEW {name} AS {query}; CREATE INDEX ON {name} (k)")
            }
            0 | 1 => format!("CREATE MATERIALIZED VIEW {name} AS {query} WITH NO DATA"),
            2 => format!("CREATE VIEW {name} WITH (security_barrier) AS {query}"),
            3 => {
                format!("CREATE VIEW {name} AS {query}; ALTER VIEW {name} ALTER k SET DEFAULT 'd'")
            }
            _ => format!("CREATE VIEW {name} AS {query}"),
        };
        Some((sql, Made::View(name)))
    }
}
