//! Actions on what is there.

use super::{Made, Schema};
use crate::generated::numbers::Action;

/// Refuses what the server should: SET NOT NULL leaves a NOT NULL below that is not valid (18). No statement
/// makes that again, those of `pg_dump` as little as others, and a backup names it.
const NOT_BELOW: &str = "; DO $$BEGIN IF EXISTS (
    SELECT FROM pg_constraint AS c JOIN pg_inherits AS h ON h.inhrelid = c.conrelid
    JOIN pg_constraint AS up ON up.conrelid = h.inhparent
    JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
    JOIN pg_attribute AS b ON b.attrelid = up.conrelid AND b.attnum = up.conkey[1]
    WHERE c.contype = 'n' AND up.contype = 'n' AND a.attname = b.attname
      AND up.convalidated AND NOT up.connoinherit AND NOT c.convalidated AND c.coninhcount > 0)
    THEN RAISE 'not valid below'; END IF; END$$";

/// Roles that own and are granted; the tests' server has them.
const ROLES: [&str; 2] = ["pgark_gen_a", "\"pgark gen b\""];

impl Schema {
    pub(super) fn add_constraint(&mut self, a: &Action) -> Option<(String, Made)> {
        let table = self.table(a, 2)?.1.name.clone();
        let other = self.table(a, 3)?.1.name.clone();
        let name = self.bare("con");
        let sql = match a.of(4, 12) {
            0 => String::from("PRIMARY KEY (id)"),
            1 => String::from("UNIQUE (id) INCLUDE (k) DEFERRABLE"),
            2 if self.major >= 15 => {
                String::from("UNIQUE NULLS NOT DISTINCT (k, id) WITH (fillfactor = 60)")
            }
            3 => String::from("UNIQUE (id, k) DEFERRABLE INITIALLY DEFERRED"),
            4 => format!(
                "FOREIGN KEY (id) REFERENCES {other} (id) ON DELETE CASCADE ON UPDATE SET NULL"
            ),
            5 => format!("FOREIGN KEY (id, k) REFERENCES {other} (id, k) MATCH FULL DEFERRABLE"),
            6 => format!("FOREIGN KEY (id) REFERENCES {other} (id) NOT VALID"),
            7 => String::from("CHECK (id % 2 = 1 OR k LIKE 'a%') NOT VALID"),
            8 if self.major >= 18 => String::from("CHECK (id > -5) NOT ENFORCED"),
            9 => String::from("EXCLUDE USING btree (id WITH =) WHERE (k IS NOT NULL)"),
            10 if self.major >= 18 => String::from("NOT NULL k NOT VALID"),
            _ => String::from("CHECK (k <> ALL ('{x,y}'))"),
        };
        let sql = format!("ALTER TABLE {table} ADD CONSTRAINT {name} {sql}");
        Some((sql, Made::Constraint(name, table)))
    }

    pub(super) fn create_index(&mut self, a: &Action) -> Option<(String, Made)> {
        let table = self.table(a, 2)?.1.clone();
        let column = table.columns[a.of(3, table.columns.len())].clone();
        let name = self.bare("i");
        let what = match a.of(4, 9) {
            0 => String::from("((lower(k) || 'x'), id DESC NULLS LAST)"),
            1 => format!("USING hash ({column})"),
            2 => String::from("USING brin (id) WITH (pages_per_range = 4)"),
            3 => String::from("(id) INCLUDE (k) WHERE id > 3 AND k IN ('a', 'b')"),
            4 => String::from("(k text_pattern_ops, k COLLATE \"C\")"),
            5 => String::from("USING gin (to_tsvector('english', k)) WITH (fastupdate = off)"),
            6 => String::from("USING spgist (k)"),
            7 => String::from("((id + 1)); CLUSTER VERBOSE"),
            _ => format!("({column})"),
        };
        let what = what.replace("; CLUSTER VERBOSE", "");
        let unique = if a.of(5, 5) == 0 { "UNIQUE " } else { "" };
        let only = if a.of(6, 6) == 0 { "ONLY " } else { "" };
        let schema = table.name.split("\".").next().filter(|_| table.name.starts_with('"'));
        let schema = schema.map_or_else(
            || table.name.split('.').next().unwrap_or_default().to_owned(),
            |s| format!("{s}\""),
        );
        let full = format!("{schema}.{name}");
        let after = match a.of(7, 6) {
            0 => format!("; ALTER TABLE {} CLUSTER ON {name}", table.name),
            1 => format!("; ALTER INDEX {full} ALTER COLUMN 1 SET STATISTICS 50"),
            2 => format!("; ALTER TABLE {} REPLICA IDENTITY USING INDEX {name}", table.name),
            _ => String::new(),
        };
        let sql = format!("CREATE {unique}INDEX {name} ON {only}{} {what}{after}", table.name);
        Some((sql, Made::Index(full)))
    }

    pub(super) fn alter_column(&mut self, a: &Action) -> Option<(String, Made)> {
        let (index, table) = self.table(a, 2)?;
        let table = table.clone();
        let column = table.columns[a.of(3, table.columns.len())].clone();
        let only = if a.of(5, 4) == 0 { "ONLY " } else { "" };
        let alter = format!("ALTER TABLE {only}{} ALTER {column}", table.name);
        let (added, definition) = self.column(a, 6);
        let own_function = self.functions.get(a.of(7, self.functions.len().max(1))).cloned();
        let sql = match a.of(4, 17) {
            0 => format!("{alter} SET NOT NULL{NOT_BELOW}"),
            1 => format!("{alter} DROP NOT NULL"),
            2 => format!("{alter} SET STATISTICS 77"),
            3 => format!("{alter} SET STORAGE EXTERNAL"),
            4 => format!("{alter} SET (n_distinct = -0.5)"),
            5 => format!("{alter} DROP DEFAULT"),
            6 => format!(
                "ALTER TABLE {only}{} ALTER k SET DEFAULT 'new' || CURRENT_USER",
                table.name
            ),
            // Without a column that needs TOAST, its options have no place in a new table.
            7 if column != "k" => format!("ALTER TABLE {} DROP COLUMN {column}", table.name),
            8 if column != "id" && column != "k" => {
                let renamed = self.bare("r");
                let sql = format!("ALTER TABLE {} RENAME {column} TO {renamed}", table.name);
                return Some((sql, Made::Column(index, renamed)));
            }
            9 if self.major >= 14 => format!("{alter} SET COMPRESSION pglz"),
            10 => format!("ALTER TABLE {} ALTER id ADD GENERATED ALWAYS AS IDENTITY", table.name),
            11 => {
                let signature = own_function?;
                let call = signature.split('(').next()?.to_owned();
                format!(
                    "ALTER TABLE {} ADD CONSTRAINT by_function CHECK ({call}(id) IS NOT NULL)",
                    table.name
                )
            }
            12 => {
                let signature = own_function?;
                let call = signature.rsplit_once('(')?.0.to_owned();
                format!("ALTER TABLE {} ADD COLUMN {added} integer DEFAULT {call}(1)", table.name)
            }
            13 => format!(
                "ALTER TABLE {} ADD COLUMN {added} integer GENERATED ALWAYS AS (id * 2) STORED",
                table.name
            ),
            _ => format!("ALTER TABLE {} ADD COLUMN {definition}", table.name),
        };
        let made =
            if sql.contains("ADD COLUMN") { Made::Column(index, added) } else { Made::Nothing };
        Some((sql, made))
    }

    pub(super) fn create_trigger(&mut self, a: &Action) -> Option<(String, Made)> {
        let table = self.table(a, 2)?.1.name.clone();
        let triggers: Vec<&String> = self.functions.iter().filter(|f| f.ends_with("()")).collect();
        let function = (*triggers.get(a.of(3, triggers.len().max(1)))?).clone();
        let name = self.bare("tr");
        let what = match a.of(4, 6) {
            0 => format!(
                "CREATE TRIGGER {name} BEFORE INSERT OR UPDATE OF k ON {table} FOR EACH ROW WHEN (NEW.id > 1)"
            ),
            1 => format!(
                "CREATE CONSTRAINT TRIGGER {name} AFTER DELETE ON {table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
            ),
            2 => format!(
                "CREATE TRIGGER {name} AFTER UPDATE ON {table} REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT"
            ),
            3 => format!("CREATE TRIGGER {name} BEFORE TRUNCATE ON {table}"),
            _ => format!("CREATE TRIGGER {name} AFTER INSERT ON {table} FOR EACH ROW"),
        };
        let argument = function.replace("()", "('it''s', '\\')");
        let state = match a.of(5, 6) {
            0 => format!("; ALTER TABLE {table} DISABLE TRIGGER {name}"),
            1 => format!("; ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER {name}"),
            2 => format!("; ALTER TABLE {table} ENABLE REPLICA TRIGGER {name}"),
            _ => String::new(),
        };
        Some((format!("{what} EXECUTE FUNCTION {argument}{state}"), Made::Nothing))
    }

    pub(super) fn secure_rows(&mut self, a: &Action) -> Option<(String, Made)> {
        let (table, role) = (self.table(a, 2)?.1.name.clone(), ROLES[a.of(3, 2)]);
        let name = self.bare("pol");
        let sql = match a.of(4, 4) {
            0 => format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"),
            1 => format!(
                "CREATE POLICY {name} ON {table} AS RESTRICTIVE FOR UPDATE TO {role} USING (k = CURRENT_USER) WITH CHECK (id > 0)"
            ),
            2 => format!(
                "CREATE POLICY {name} ON {table} FOR INSERT WITH CHECK (EXISTS (SELECT FROM {table} AS x WHERE x.id = 1))"
            ),
            _ => format!(
                "CREATE POLICY {name} ON {table} USING (k IN ('a', 'b')); ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
            ),
        };
        Some((sql, Made::Policy(name, table)))
    }

    pub(super) fn grant(&mut self, a: &Action) -> Option<(String, Made)> {
        let (table, role) = (self.table(a, 2)?.1.name.clone(), ROLES[a.of(3, 2)]);
        let function = self.functions.get(a.of(5, self.functions.len().max(1))).cloned();
        let view = self.views.get(a.of(5, self.views.len().max(1))).cloned();
        let kind = self.types.get(a.of(5, self.types.len().max(1))).cloned();
        let schema = self.schemas[a.of(6, 2)].clone();
        let sql = match a.of(4, 15) {
            0 => format!("GRANT SELECT, INSERT ON {table} TO {role} WITH GRANT OPTION"),
            1 => format!("GRANT UPDATE (k), SELECT (id, k) ON {table} TO {role}"),
            2 => format!("REVOKE ALL ON {table} FROM CURRENT_USER"),
            3 => format!("GRANT ALL ON {table} TO PUBLIC"),
            4 => format!("ALTER TABLE {table} OWNER TO {role}"),
            5 => format!("REVOKE EXECUTE ON ROUTINE {} FROM PUBLIC", function?),
            6 => format!("GRANT EXECUTE ON ROUTINE {} TO {role}", function?),
            7 => format!("ALTER ROUTINE {} OWNER TO {role}", function?),
            8 => format!("GRANT SELECT ON {} TO {role}", view?),
            9 => format!("ALTER TYPE {} OWNER TO {role}", kind?),
            10 => format!("REVOKE USAGE ON TYPE {} FROM PUBLIC", kind?),
            11 => format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}"),
            12 => format!(
                "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}"
            ),
            13 => format!("ALTER SCHEMA {schema} OWNER TO {role}"),
            _ => format!(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA {schema} GRANT EXECUTE ON FUNCTIONS TO {role} WITH GRANT OPTION"
            ),
        };
        Some((sql, Made::Nothing))
    }

    pub(super) fn comment(&mut self, a: &Action) -> Option<(String, Made)> {
        let pick = |list: &[String]| list.get(a.of(2, list.len().max(1))).cloned();
        let target = match a.of(3, 8) {
            0 => format!("TABLE {}", self.table(a, 2)?.1.name),
            1 => format!("COLUMN {}.k", self.table(a, 2)?.1.name),
            2 => format!("VIEW {}", pick(&self.views)?),
            3 => format!("ROUTINE {}", pick(&self.functions)?),
            4 => format!("TYPE {}", pick(&self.types)?),
            5 => format!("INDEX {}", pick(&self.indexes)?),
            6 => {
                let (name, table) = self.constraints.get(a.of(2, self.constraints.len().max(1)))?;
                format!("CONSTRAINT {name} ON {table}")
            }
            _ => {
                let (name, table) = self.policies.get(a.of(2, self.policies.len().max(1)))?;
                format!("POLICY {name} ON {table}")
            }
        };
        Some((format!("COMMENT ON {target} IS E'it''s \\\\ a\\ncomment; --'"), Made::Nothing))
    }

    pub(super) fn create_sequence(&mut self, a: &Action) -> Option<(String, Made)> {
        let name = self.name("s", a);
        let table = self.table(a, 2)?.1.name.clone();
        let sql = match a.of(3, 5) {
            0 => format!(
                "CREATE SEQUENCE {name} AS smallint INCREMENT -2 MINVALUE -100 START -7 CACHE 3"
            ),
            1 => format!(
                "CREATE SEQUENCE {name} OWNED BY {table}.id; ALTER TABLE {table} ALTER id SET DEFAULT nextval('{}')",
                name.replace('\'', "''")
            ),
            2 => format!(
                "CREATE SEQUENCE {name} CYCLE MAXVALUE 9; SELECT nextval('{}')",
                name.replace('\'', "''")
            ),
            3 => {
                let other = self.sequences.get(a.of(4, self.sequences.len().max(1)))?;
                let sql = format!(
                    "ALTER TABLE {table} ALTER id SET DEFAULT nextval('{}')",
                    other.replace('\'', "''")
                );
                return Some((sql, Made::Nothing));
            }
            _ => format!(
                "CREATE SEQUENCE {name}; ALTER SEQUENCE {name} OWNER TO {}",
                ROLES[a.of(4, 2)]
            ),
        };
        Some((sql, Made::Sequence(name)))
    }

    pub(super) fn publish(&mut self, a: &Action) -> Option<(String, Made)> {
        let table = self.table(a, 2)?.1.name.clone();
        // Publications lie in no schema: their names must not meet those of other cases.
        let name = self.bare("p").replace('"', "");
        let name = format!("pub_{}_{name}", self.schemas[0]);
        let sql = match a.of(3, 4) {
            0 if self.major >= 15 => {
                format!("CREATE PUBLICATION \"{name}\" FOR TABLE {table} (id, k) WHERE (id > 5)")
            }
            1 if self.major >= 15 => {
                format!("CREATE PUBLICATION \"{name}\" FOR TABLES IN SCHEMA {}", self.schemas[1])
            }
            2 => format!(
                "CREATE PUBLICATION \"{name}\" FOR TABLE ONLY {table} WITH (publish = 'insert, truncate')"
            ),
            _ => format!(
                "CREATE PUBLICATION \"{name}\" FOR TABLE {table} WITH (publish_via_partition_root = true)"
            ),
        };
        Some((sql, Made::Nothing))
    }

    pub(super) fn alter_table(&mut self, a: &Action) -> Option<(String, Made)> {
        let (index, table) = self.table(a, 2)?;
        let (table, other) = (table.name.clone(), self.table(a, 3)?.1.name.clone());
        let (name, on) = self
            .constraints
            .get(a.of(4, self.constraints.len().max(1)))
            .cloned()
            .unwrap_or_default();
        let renamed = self.bare("ren");
        let sql = match a.of(5, 11) {
            0 => format!("ALTER TABLE {table} INHERIT {other}"),
            1 => format!("ALTER TABLE {table} NO INHERIT {other}"),
            2 => format!("ALTER TABLE {other} DETACH PARTITION {table}"),
            3 => format!("ALTER TABLE {table} REPLICA IDENTITY FULL"),
            4 => format!("ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.3)"),
            5 => format!("ALTER TABLE {on} VALIDATE CONSTRAINT {name}"),
            6 => format!("ALTER TABLE {on} RENAME CONSTRAINT {name} TO {renamed}"),
            7 => format!("ALTER TABLE {on} DROP CONSTRAINT {name} CASCADE"),
            8 => format!("ALTER TABLE {table} SET UNLOGGED"),
            9 => return Some((format!("DROP TABLE {table} CASCADE"), Made::Gone(index))),
            _ => format!(
                "CREATE RULE {renamed} AS ON UPDATE TO {table} WHERE OLD.id > 3 DO ALSO INSERT INTO {other} (id, k) VALUES (NEW.id, NEW.k)"
            ),
        };
        Some((sql, Made::Nothing))
    }

    pub(super) fn other(&mut self, a: &Action) -> Option<(String, Made)> {
        let table = self.table(a, 2)?.1.name.clone();
        let name = self.name("o", a);
        let view = self.views.get(a.of(3, self.views.len().max(1))).cloned();
        let kind = self.types.get(a.of(3, self.types.len().max(1))).cloned();
        let sql = match a.of(4, 9) {
            0 => format!("CREATE STATISTICS {name} (dependencies, mcv) ON id, k FROM {table}"),
            1 if self.major >= 14 => format!(
                "CREATE STATISTICS {name} ON (id + 1), k FROM {table}; ALTER STATISTICS {name} SET STATISTICS 40"
            ),
            2 => format!("CREATE COLLATION {name} (locale = 'C')"),
            3 => format!("CREATE TEXT SEARCH CONFIGURATION {name} (COPY = english)"),
            4 => format!(
                "CREATE OPERATOR {}.=#= (LEFTARG = integer, RIGHTARG = text, FUNCTION = int4pl)",
                self.schemas[0]
            ),
            5 => format!("CREATE OR REPLACE VIEW {} AS SELECT id, k FROM {table}", view?),
            6 => format!("CREATE TABLE {name} OF {} (\"B c\" WITH OPTIONS NOT NULL)", kind?),
            7 => format!("CREATE CAST ({} AS text) WITH INOUT AS ASSIGNMENT", kind?),
            _ => format!(
                "CREATE FUNCTION {name}(x {}) RETURNS text LANGUAGE sql AS 'SELECT $1::text'",
                view?
            ),
        };
        Some((sql, Made::Nothing))
    }
}
